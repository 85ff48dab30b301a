"""Groups of runs that figures compare: architectures, and every other setting that a sweep varies."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from spaceprobe.results.readings import one_reading, reading_columns
from spaceprobe.stages.train.tables import RUNS

LABEL = "group"

MAX_GROUPS = 8
"""That one figure compares: so many lines can still be told apart, and so many rows printed. Chosen."""

SEEDS = ("seed", "points_seed")
"""Settings that only draw other random numbers."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class GroupedRows:
    """The rows of a table that a figure compares.

    Attributes:
        rows: of runs that are done and of the groups, with the column ``group``.
        groups: those of ``rows``, from shallow to deep.
        notes: what was left out, for the figure to say.
    """

    rows: pd.DataFrame
    groups: list[str]
    notes: list[str]


def rows_by_group(
    runs: pd.DataFrame, frame: pd.DataFrame, name: str, max_groups: int = MAX_GROUPS
) -> GroupedRows:
    """Return the rows of a table by group: of runs that are done, and of one reading.

    Args:
        runs: runs.csv.
        frame: a table of runs, or some of its rows.
        name: of the table.
        max_groups: of more groups, some evenly from the first to the last are kept.
    """
    done = with_groups(runs[runs["status"] == "done"])
    read, notes = one_reading(frame, reading_columns(name, frame, runs))
    rows = read.merge(done[["run", LABEL]], on="run")
    present = set(rows[LABEL])
    groups = [group for group in group_order(done) if group in present]
    kept = choose(groups, max_groups)
    if len(kept) < len(groups):
        notes = [*notes, f"{len(kept)} of {len(groups)} groups of runs, evenly from the first to the last"]
    return GroupedRows(rows[rows[LABEL].isin(kept)], kept, [*notes, *notes_on_failures(runs)])


def notes_on_failures(runs: pd.DataFrame) -> list[str]:
    """Return the note on runs that failed, where there are some."""
    num_failed = int((runs["status"] != "done").sum())
    return [f"{num_failed} of {len(runs)} runs failed and are left out"] if num_failed else []


def with_groups(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs.csv with the column ``group``: the architecture, then what else varies but the seed."""
    parts = [runs["architecture"].astype(str)]
    parts += [runs[name].astype(str) for name in ("activation", "dataset") if runs[name].nunique() > 1]
    parts += [
        runs[name].map(lambda value, name=name: f"{name} {value}").astype(str) for name in _varying(runs)
    ]
    return runs.assign(**{LABEL: [" ".join(row) for row in zip(*parts, strict=True)]})


def group_order(runs: pd.DataFrame) -> list[str]:
    """Return the groups from shallow to deep, then from wide to narrow, then by what else is swept."""
    first = runs.drop_duplicates(LABEL)
    for name in reversed(_varying(runs)):
        first = first.sort_values(name, kind="stable")
    return [*first.sort_values(["depth", "width"], ascending=[True, False], kind="stable")[LABEL]]


def _varying(runs: pd.DataFrame) -> list[str]:
    """Return the swept settings that vary, except seeds."""
    names = [name for name in RUNS.settings(runs) if name not in SEEDS]
    return [name for name in names if runs[name].nunique(dropna=False) > 1]


def choose(items: Sequence[_T], most: int) -> list[_T]:
    """Return at most so many items, evenly spaced, the first and the last among them.

    >>> choose("abcdefg", 3)
    ['a', 'd', 'g']
    """
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def as_floats(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Return a table with columns of floats; one that is empty throughout is read as text otherwise."""
    return frame.astype(dict.fromkeys(columns, float))
