"""What a finding declares: a question, the study that answers it, and what its page says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.registry import Entry
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.study.config.finding import CI

COMPARISONS = "comparisons"
"""The table of the comparisons that a finding makes, if any; see `spaceprobe.analysis.comparisons`."""

Tables = Mapping[str, pd.DataFrame]
"""Tables by name, as they are in their CSVs."""


@dataclass(frozen=True, kw_only=True)
class FindingEntry(Entry):
    """A question about folding, and how a study answers it.

    Attributes:
        title: the heading of its section.
        question: what is asked.
        study: the shipped study of the full form; that for CI has `CI` behind the name.
        kept: the names of the tables that are kept of the study.
        keep: makes them, of its summary tables: the rows that everything else is computed from, few enough to
            be committed.
        derive: means, intervals and comparisons, given the tables kept: all numbers that are said come from a
            cell of one or the other. Comparisons are a table called `COMPARISONS`, made by `with_holm`.
        says: the answer in three sentences, given all numbers. They have to be true of whatever came out, so
            words such as "more" depend on a verdict.
        draw: the figure, given all tables.
        caption: how to read the figure, without any number.
    """

    title: str
    question: str
    study: str
    kept: tuple[str, ...]
    keep: Callable[[Results], Tables]
    derive: Callable[[Tables], Tables]
    says: Callable[[Numbers], Sequence[Markup]]
    draw: Callable[[Tables], Figure]
    caption: str

    def study_of(self, form: str) -> str:
        """Return the name of the study in a form."""
        return self.study + (CI if form == "ci" else "")
