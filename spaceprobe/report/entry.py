"""What a figure declares to stand in a report, and what captions are written with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from spaceprobe.registry import Entry
from spaceprobe.report.drawing.style import styled
from spaceprobe.report.numbers import LAST, Numbers
from spaceprobe.results.groups import GroupedRows
from spaceprobe.results.missing import why_missing
from spaceprobe.results.questions import RUNS_POOLED
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED, name_of_last

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
        drawn: the rows that the function draws of these tables, or those of each state, so that the caption
            counts their networks; None for a figure that is not of networks.
        adds: whether an optional table adds something to the drawing, by its name.
        caption: how to read it, and what it shows: a text, or a function that puts numbers into one.
    """

    title: str
    section: str
    function: Callable[..., Figure]
    tables: tuple[str, ...]
    options: Callable[[Results], Mapping[str, Any]] = lambda results: {}  # noqa: ARG005  # as a method
    needs: tuple[str, ...] = ()
    unless: Callable[[Results], str | None] = lambda results: None  # noqa: ARG005  # as a method
    drawn: Callable[..., GroupedRows | Mapping[str, GroupedRows]] | None = None
    adds: Mapping[str, Callable[[Numbers], bool]] = field(default_factory=dict)
    caption: str | Callable[[Numbers], Markup]

    def lacks(self, results: Results) -> str | None:
        """Return why a study cannot have the figure; None where it can."""
        return why_missing(results, *(self.needs or self.tables)) or self.unless(results)

    def draw(self, results: Results) -> Figure:
        """Draw the figure of a study that does not lack it."""
        with styled():
            return self.function(*map(results.table, self.tables), **self.options(results))

    def caption_of(self, numbers: Numbers) -> Markup:
        """Return the caption with the numbers of a study, and how many networks are drawn."""
        text = escape(self.caption) if isinstance(self.caption, str) else self.caption(numbers)
        if self.drawn is None:
            return text
        rows = self.drawn(*map(numbers.table, self.tables))
        return text + _count(numbers, rows if isinstance(rows, Mapping) else {"": rows})

    def sources(self, numbers: Numbers) -> list[str]:
        """Return the tables that the figure of a study is really drawn from."""
        there = [name for name in self.tables if name in numbers.frames and len(numbers.frames[name])]
        return [name for name in there if name not in self.adds or self.adds[name](numbers)]


def _count(numbers: Numbers, drawn: Mapping[str, GroupedRows]) -> Markup:
    """Return a sentence on how many networks are drawn in each state, and at which settings."""
    runs = numbers.frames["runs"]
    done = {*runs.loc[runs["status"] == "done", "run"]}
    parts = []
    for state, grouped in drawn.items():
        names = {*grouped.rows["run"]}
        if not names:
            continue
        where = {"status": "done"} if names == done else {"run": sorted(names)}
        count = numbers.statistic("count", "runs", None, where)
        of = Markup()
        if names != done and state != UNTRAINED:  # of which there are fewer where weights are the same
            of = sentence(" of {}", numbers.statistic("count", "runs", None, {"status": "done"}))
        noun = "network" if len(names) == 1 and not of else "networks"
        parts.append(sentence("{}{} {}{}", count, of, f"{state} " if state else "", noun))
    fixed = [*dict.fromkeys(label for grouped in drawn.values() for label in grouped.fixed)]
    at = Markup(" at <code>{}</code>,").format(" · ".join(fixed)) if fixed else Markup()
    is_single = len(parts) == 1 and parts[0].endswith("network")
    verb = "is" if is_single else "are"
    return sentence(" Drawn {}{} {}.", verb, at, joined(parts, " and ")) if parts else Markup()


def when(numbers: Numbers, table: str) -> str:
    """Return which networks the last epochs of a table are of."""
    epochs = numbers.frames[table]["epoch"]
    if name_of_last(numbers.frames[table]) != TRAINED:
        return "of networks with given weights"
    return "of trained networks" if epochs.max() > 0 else "of untrained networks"


def sentence(template: str, *parts: Markup | str) -> Markup:
    """Return a template with parts in its places; parts that are not `Markup` are escaped."""
    return Markup(template).format(*parts)  # noqa: S704  # templates are those of this package


def joined(parts: Sequence[Markup], separator: str = ", ") -> Markup:
    """Return parts with a separator between them."""
    return Markup(separator).join(parts)  # noqa: S704  # see above


def counted(number: Markup, noun: str) -> Markup:
    """Return a number with what it counts, in the plural unless it is 1."""
    return Markup("{} {}{}").format(number, noun, "s" * (number.striptags() != "1"))


def sample_of(numbers: Numbers, row: int, table: str = "correlations") -> Markup:
    """Describe what a row of correlations.csv is over; its own note says where seeds are pooled."""
    if numbers.frames[table].at[row, "interval"] == RUNS_POOLED:
        return sentence("{} runs, as if they were independent", numbers.cell(table, row, "num_runs", "d"))
    return sentence("mean over {}", counted(numbers.cell(table, row, "num_seeds", "d"), "seed"))
