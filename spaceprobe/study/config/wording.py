"""How messages write keys, values, choices and guesses."""

import difflib
import math
from collections.abc import Iterable, Sequence

KeyPath = tuple[str | int, ...]
"""Keys and list positions, from the top of a file."""

_MAX_TEXT = 60  # characters of a value that a message repeats (chosen)


def printable(text: str) -> str:
    """Return a text with every character that a terminal cannot show written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, limit: int = _MAX_TEXT) -> str:
    """Return a text cut to a length that fits a message."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def dotted(path: KeyPath) -> str:
    """Return a path as a message names it.

    >>> dotted(("sweep", "training.seed", 2))
    'sweep.training.seed[2]'
    """
    steps = [f"[{step}]" if isinstance(step, int) else f".{shorten(step)}" for step in path]
    return "".join(steps).removeprefix(".")


def describe(value: object) -> str:
    """Return how a message names a value.

    >>> describe("yes"), describe(True), describe(None), describe([1, 2]), describe(1.5)
    ("'yes' (text)", 'true', 'nothing (null)', 'a list of 2', '1.5')
    """
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return str(value).lower()
        case str():
            return f"{shorten(value)!r} (text)"
        case float() if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ("-.inf" if value < 0 else ".inf")
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case dict():
            return "a mapping"
    return shorten(repr(value))


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b or c')
    """
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def nearest(word: object, choices: Iterable[str]) -> list[str]:
    """Return the choice nearest to a mistyped word, or none."""
    if not isinstance(word, str) or len(word) > _MAX_TEXT:  # difflib is quadratic
        return []
    spellings = {choice.casefold(): choice for choice in choices}
    return [spellings[guess] for guess in difflib.get_close_matches(word.casefold(), spellings, n=1)]


def did_you_mean(guesses: Sequence[str]) -> str:
    """Return ``, did you mean …`` for what a mistyped word may have meant, or nothing."""
    return f", did you mean {listed(guesses)}" if guesses else ""
