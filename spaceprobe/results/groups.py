"""What a study's figures compare: architectures, and every other setting that its sweep varies."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from spaceprobe.stages.train.tables import RUNS

LABEL = "group"

MAX_GROUPS = 8
"""That one figure compares: so many lines can still be told apart, and so many rows printed. Chosen."""

SEEDS = ("seed", "points_seed")
"""Settings that draw anew what is otherwise the same."""

_WAY = ("method", "num_points")
"""How paths were read."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Comparison:
    """The rows of a table that a figure compares.

    Attributes:
        rows: of runs that are done and groups that are shown, with the column ``group``.
        groups: those of ``rows``, from shallow to deep.
        notes: what was left out, for the figure to say.
    """

    rows: pd.DataFrame
    groups: list[str]
    notes: list[str]


def compare(runs: pd.DataFrame, table: pd.DataFrame, most: int = MAX_GROUPS) -> Comparison:
    """Return the rows of a table by group: of runs that are done, read in one way, of a number of groups.

    Args:
        runs: runs.csv.
        table: a table with a column ``run``.
        most: groups to show; of more, some evenly from the first to the last.
    """
    done = with_groups(runs[runs["status"] == "done"])
    table, notes = one_reading(table)
    rows = table.merge(done[["run", LABEL]], on="run")
    present = set(rows[LABEL])
    groups = [group for group in group_order(done) if group in present]
    shown = choose(groups, most)
    if len(shown) < len(groups):
        notes = [*notes, f"{len(shown)} of {len(groups)} groups of runs, evenly from the first to the last"]
    return Comparison(rows[rows[LABEL].isin(shown)], shown, [*notes, *not_done(runs)])


def not_done(runs: pd.DataFrame) -> list[str]:
    """Return the note on runs that failed, where there are some."""
    num_failed = int((runs["status"] != "done").sum())
    return [f"{num_failed} of {len(runs)} runs failed and are left out"] if num_failed else []


def with_groups(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs.csv with the column ``group``: the architecture, then what else varies but the seed."""
    words = [runs["architecture"].astype(str)]
    words += [runs[name].astype(str) for name in ("activation", "dataset") if runs[name].nunique() > 1]
    words += [
        runs[name].map(lambda value, name=name: f"{name} {value}").astype(str) for name in _varying(runs)
    ]
    return runs.assign(**{LABEL: [" ".join(row) for row in zip(*words, strict=True)]})


def group_order(runs: pd.DataFrame) -> list[str]:
    """Return the groups from shallow to deep, then from wide to narrow, then by what else is swept."""
    first = runs.drop_duplicates(LABEL)
    for name in reversed(_varying(runs)):
        first = first.sort_values(name, kind="stable")
    return [*first.sort_values(["depth", "width"], ascending=[True, False], kind="stable")[LABEL]]


def _varying(runs: pd.DataFrame) -> list[str]:
    """Return the swept settings that vary, but for seeds."""
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


def jitter(count: int, width: float) -> np.ndarray:
    """Return evenly spaced shifts, so that points of equal place do not hide one another."""
    return np.linspace(-width, width, count) if count > 1 else np.zeros(count)


def last_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each run's last epoch."""
    return table[table["epoch"] == table.groupby("run")["epoch"].transform("max")]


def by_state(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of epoch 0 as untrained, and those of each run's last later epoch as trained."""
    last = last_epochs(table)
    return {"untrained": table[table["epoch"] == 0], "trained": last[last["epoch"] > 0]}


def reading_keys(table: pd.DataFrame) -> list[str]:
    """Return the columns that tell the readings of one network apart.

    They are the swept settings of a probe, which stand between run and epoch, and how paths were read.
    """
    names = [*table.columns]
    settings = names[names.index("run") + 1 : names.index("epoch")]
    return [*settings, *(name for name in _WAY if name in names)]


def one_reading(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of one way of reading networks, and a note on it where there were others.

    The exact way goes first, then that with the most points, then that with the most images of a class, then
    that which stands first in the table.
    """
    keys = reading_keys(table)
    ways = table[keys].drop_duplicates()
    if not keys or len(ways) < 2:
        return table, []
    if "method" in keys:
        points = -pd.to_numeric(ways["num_points"]).fillna(0)
        ways = ways.assign(order=ways["method"] != "exact", points=points)
        ways = ways.sort_values(["order", "points"], kind="stable")
    if "per_class" in keys:
        images = -pd.to_numeric(ways["per_class"], errors="coerce").fillna(np.inf)  # «all» is no number
        ways = ways.assign(images=images).sort_values(
            [*(name for name in ("order", "points") if name in ways), "images"], kind="stable"
        )
    best = ways.iloc[:1][keys]
    varying = [key for key in keys if ways[key].nunique(dropna=False) > 1]
    words = [f"{key} {best[key].iloc[0]}" for key in varying if not best[key].isna().iloc[0]]
    return matching(table, best), [f"of {len(ways)} ways of reading them: {', '.join(words)}"]


def matching(table: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that agree with a single row of keys in every column that both have."""
    agree = pd.Series(data=True, index=table.index)
    for name in keys.columns.intersection(table.columns):
        value = keys[name].iloc[0]
        agree &= table[name].isna() if pd.isna(value) else table[name] == value
    return table[agree]


def numbers(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Return the table with columns of floats; one that is empty throughout is read as text otherwise."""
    return table.astype(dict.fromkeys(columns, float))
