"""What a figure of a study declares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.report.numbers import LAST, Numbers
from spaceprobe.results.missing import why_missing
from spaceprobe.results.results import Results

SECTIONS = {
    "folding": "Space folding",
    "paths": "Paths and planes",
    "matrices": "Weight matrices",
    "training": "Training",
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One figure of a study.

    Attributes:
        name: what `spaceprobe plot` calls it, and its files.
        title: its heading.
        section: one of `SECTIONS`.
        tables: the CSVs that it is drawn from, the one to look into first.
        lacks: why a study cannot have it; None where it can.
        draw: draws it.
        caption: how to read it, and what it shows.
    """

    name: str
    title: str
    section: str
    tables: tuple[str, ...]
    lacks: Callable[[Results], str | None]
    draw: Callable[[Results], Figure]
    caption: Callable[[Numbers], Markup]


AT_THE_END: Mapping[str, Any] = {"epoch": LAST}
UNTRAINED: Mapping[str, Any] = {"epoch": 0}
"""Conditions of `Numbers.reading`."""


def needs(*tables: str) -> Callable[[Results], str | None]:
    """Return what says why a study has no rows in one of some tables."""
    return lambda results: why_missing(results, *tables)


def when(numbers: Numbers, table: str) -> str:
    """Return which networks the last epochs of a table are of."""
    return "after training" if numbers.frames[table]["epoch"].max() > 0 else "before training"


def said(words: str, *parts: Markup | str) -> Markup:
    """Return words with parts in their places; a part that is no `Markup` is escaped."""
    return Markup(words).format(*parts)  # noqa: S704  # words are those of this room


def joined(parts: Sequence[Markup], separator: str = ", ") -> Markup:
    """Return parts with something between them."""
    return Markup(separator).join(parts)  # noqa: S704  # see above
