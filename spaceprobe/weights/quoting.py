"""Text from untrusted files, as a message or a terminal may show it. Without torch."""

from pathlib import Path

MAX_CHARACTERS = 80
"""Chosen: of a text in a message."""


def quote(text: str) -> str:
    """Return text in quotes, without control characters, cut at `MAX_CHARACTERS`."""
    return repr(text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 3] + "...")


def quote_if_needed(text: str) -> str:
    """Return text as it is, or `quote` of it where it is too long or holds control characters."""
    return text if text.isprintable() and len(text) <= MAX_CHARACTERS else quote(text)


def quote_error(error: Exception) -> str:
    """Return an error's text in quotes, or its type where it has none."""
    return quote(str(error) or type(error).__name__)


def path_text(path: Path) -> str:
    """Return a path as it is, or in quotes where it holds control characters."""
    text = str(path)
    return text if text.isprintable() else repr(text)
