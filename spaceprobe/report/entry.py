"""What a figure declares to stand in a report, and what captions are written with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from spaceprobe.registry import Entry
from spaceprobe.report.drawing.style import styled
from spaceprobe.report.numbers import LAST, Numbers
from spaceprobe.results.missing import why_missing
from spaceprobe.results.results import Results

SECTIONS = {
    "folding": "Space folding",
    "paths": "Paths and planes",
    "matrices": "Weight matrices",
    "training": "Training",
}

AT_START: Mapping[str, Any] = {"epoch": 0}
AT_END: Mapping[str, Any] = {"epoch": LAST}
"""Conditions of `Numbers.statistic`."""


@dataclass(frozen=True, kw_only=True)
class FigureEntry(Entry):
    """A figure of a study, as reports, `spaceprobe plot` and `spaceprobe compare` take it.

    Attributes:
        title: its heading.
        section: one of `SECTIONS`.
        function: draws tables.
        tables: those that it draws, in the order of the function's first arguments; None is passed for a
            table that is not there.
        options: the function's keyword arguments.
        needs: the tables that must have rows; those that it draws where none is named.
        unless: why a study whose tables have them cannot have it all the same; None where it can.
        caption: how to read it, and what it shows: a text, or a function that puts numbers into one.
    """

    title: str
    section: str
    function: Callable[..., Figure]
    tables: tuple[str, ...]
    options: Callable[[Results], Mapping[str, Any]] = lambda results: {}  # noqa: ARG005  # as a method
    needs: tuple[str, ...] = ()
    unless: Callable[[Results], str | None] = lambda results: None  # noqa: ARG005  # as a method
    caption: str | Callable[[Numbers], Markup]

    def lacks(self, results: Results) -> str | None:
        """Return why a study cannot have the figure; None where it can."""
        return why_missing(results, *(self.needs or self.tables)) or self.unless(results)

    def draw(self, results: Results) -> Figure:
        """Draw the figure of a study that does not lack it."""
        with styled():
            return self.function(*map(results.table, self.tables), **self.options(results))

    def caption_of(self, numbers: Numbers) -> Markup:
        """Return the caption with the numbers of a study."""
        return escape(self.caption) if isinstance(self.caption, str) else self.caption(numbers)


def when(numbers: Numbers, table: str) -> str:
    """Return which networks the last epochs of a table are of."""
    return "of trained networks" if numbers.frames[table]["epoch"].max() > 0 else "of untrained networks"


def sentence(template: str, *parts: Markup | str) -> Markup:
    """Return a template with parts in its places; parts that are not `Markup` are escaped."""
    return Markup(template).format(*parts)  # noqa: S704  # templates are those of this package


def joined(parts: Sequence[Markup], separator: str = ", ") -> Markup:
    """Return parts with a separator between them."""
    return Markup(separator).join(parts)  # noqa: S704  # see above
