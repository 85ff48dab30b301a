"""Which matrices of a large file are decomposed: patterns of their names."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from spaceprobe.errors import SettingsError
from spaceprobe.weights.quoting import quote_if_needed

MAX_NEAR = 3
"""Chosen: how many near names a message lists."""


def select(names: Sequence[str], layer: Sequence[str], exclude: Sequence[str]) -> list[bool]:
    """Return whether each matrix is chosen: named by one of the patterns, and by none to leave out.

    Args:
        names: of the matrices.
        layer: patterns of a shell, ``*``, ``?`` and ``[abc]``, of whole names; none for all.
        exclude: patterns of those to leave out.

    Raises:
        SettingsError: a pattern matches nothing, or nothing is left.
    """
    for flag, patterns in (("--layer", layer), ("--exclude", exclude)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise SettingsError(_unmatched(flag, pattern, names))
    chosen = [
        (not layer or any(fnmatchcase(name, pattern) for pattern in layer))
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
        for name in names
    ]
    if not any(chosen):
        raise SettingsError("--layer and --exclude leave no matrix; change the patterns")
    return chosen


def describe_selection(num_all: int, num_chosen: int, layer: Sequence[str], exclude: Sequence[str]) -> str:
    """Return which matrices were chosen, as a line; empty where none was asked for."""
    flags = [
        f"{flag} {quote_if_needed(pattern)}"
        for flag, patterns in (("--layer", layer), ("--exclude", exclude))
        for pattern in patterns
    ]
    return f"chosen: {num_chosen} of {num_all} matrices ({', '.join(flags)})" if flags else ""


def _unmatched(flag: str, pattern: str, names: Sequence[str]) -> str:
    middle = pattern.strip("*")
    holding = [name for name in names if middle and middle.casefold() in name.casefold()]
    near = holding or difflib.get_close_matches(middle, names, n=MAX_NEAR, cutoff=0.4) or [*names]
    listed = ", ".join(quote_if_needed(name) for name in near[:MAX_NEAR])
    return (
        f"{flag} {quote_if_needed(pattern)}: matches the whole name of none of {len(names)} matrices, such "
        f"as {listed}; * stands for any text"
    )
