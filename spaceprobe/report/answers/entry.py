"""What an answer declares to stand in a report: a question, a table, and what the table says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.registry import Entry
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.verdicts import DIFFERS, NO_INTERVAL, SPANS_ZERO, VERDICT
from spaceprobe.results.missing import why_missing
from spaceprobe.results.results import Results

SETTINGS = "*"
"""Among the columns that name a line: the settings that the networks differ in."""


def verdict_counts(numbers: Numbers, table: str, where: Mapping[str, Any]) -> Markup:
    """Return how many differences have an interval without zero, one with it, and none.

    Args:
        numbers: all numbers.
        table: the answer's table, with the column of `with_verdicts`.
        where: the values of other columns in the rows that count.
    """
    counts = (
        numbers.statistic("count", table, None, {**where, VERDICT: verdict})
        for verdict in (DIFFERS, SPANS_ZERO, NO_INTERVAL)
    )
    return sentence(
        "{} with an interval that excludes zero, {} with one that spans zero, {} without an interval", *counts
    )


@dataclass(frozen=True)
class Shown:
    """A number of an answer.

    Attributes:
        column: of the answer's table.
        head: what stands above it; digits in it stand in code.
        spec: how Python formats it.
        interval: the columns of the ends of its 95 % interval, if it has one.
        extremes: the columns of the least and the largest single value, if they are shown.
        once: whether it is the same for all values of `AnswerEntry.across`, and stands once in a line.
    """

    column: str
    head: str | Markup
    spec: str = ".3f"
    interval: tuple[str, str] | None = None
    extremes: tuple[str, str] | None = None
    once: bool = False


@dataclass(frozen=True, kw_only=True)
class AnswerEntry(Entry):
    """What a study can answer, if its tables hold what it takes.

    Attributes:
        question: what is asked.
        needs: the tables that must have rows; the page names them as what the answer is computed from.
        unless: why a study whose tables have them does not ask this; None where it does.
        function: computes the answer's table, each row of which says one thing; the page writes it beside
            the figures, so that every number of the answer is in a CSV.
        lines: the columns that name a line of the answer, `SETTINGS` among them; what is the same in all
            lines is left out.
        across: the column whose values stand side by side in a line; None for a line a row.
        shown: the numbers of a line.
        says: what the answer is in a sentence or two, given all numbers and the name of the answer's table.
        reading: what the numbers are, but for their intervals.
        figures: those that show it, if the page has them.
    """

    question: str
    needs: tuple[str, ...]
    unless: Callable[[Results], str | None] = lambda results: None  # noqa: ARG005  # as a method
    function: Callable[[Results], pd.DataFrame]
    lines: tuple[str, ...]
    across: str | None = None
    shown: tuple[Shown, ...]
    says: Callable[[Numbers, str], Markup]
    reading: str = "Means over seeds"
    figures: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """The name of its table, which lies beside the figures."""
        return f"answer_{self.name.replace('-', '_')}"

    def lacks(self, results: Results) -> str | None:
        """Return why a study cannot answer this, or does not ask it; None where it does."""
        return why_missing(results, *self.needs) or self.unless(results)
