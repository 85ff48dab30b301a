"""Groups of runs that figures compare: architectures, and every other setting that a sweep varies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from spaceprobe.analysis.observations import networks_of
from spaceprobe.results.readings import one_reading, reading_columns
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.study.config import Study
from spaceprobe.study.grid import expand, label_of
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.seeds import SEEDS
from spaceprobe.tables.states import UNTRAINED
from spaceprobe.tables.telling_apart import telling_apart

LABEL = "group"

MAX_GROUPS = 8
"""That one figure compares: so many lines can still be told apart, and so many rows printed. Chosen."""

_SPEAK_FOR_THEMSELVES = ("architecture", "activation", "dataset", "model", "optimizer")
"""Columns of runs.csv whose values say which setting they are of."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class GroupedRows:
    """The rows of a table that a figure compares.

    Attributes:
        rows: of runs that are done and of the groups, with the column ``group``.
        groups: those of ``rows``, in the order of the runs.
        notes: what was left out, for the figure to say.
        fixed: the settings that were fixed at one value since there are more groups than fit, and their
            values, as labels show them.
    """

    rows: pd.DataFrame
    groups: list[str]
    notes: list[str]
    fixed: tuple[str, ...] = ()


def rows_by_group(
    runs: pd.DataFrame, frame: pd.DataFrame, name: str, max_groups: int = MAX_GROUPS
) -> GroupedRows:
    """Return the rows of a table by group: of runs that are done, and of one reading.

    Where there are more groups than a figure can compare, settings are fixed at their first value, the last
    one first, until they fit. If that is not enough, values of the setting that remains are kept evenly from
    the first to the last. So no two groups that are kept differ in a way that the figure does not show whole.

    Args:
        runs: runs.csv, in the order of the sweep.
        frame: a table of runs, or some of its rows.
        name: of the table.
        max_groups: the most groups that are kept.
    """
    done = with_groups(runs[runs["status"] == "done"])
    read, notes = one_reading(frame, reading_columns(name, frame, runs))
    rows = read.merge(done[["run", LABEL]], on="run")
    measured = done[done["run"].isin(rows["run"])]
    kept, fixed = _that_fit(measured, max_groups)
    groups = group_order(kept)
    thinned = choose(groups, max_groups)
    kept = kept[kept[LABEL].isin(thinned)]
    num_groups = measured[LABEL].nunique()
    if len(thinned) < num_groups:
        what = f"{len(thinned)} of {num_groups} groups of runs, {len(kept)} of {len(measured)} networks"
        how = [f"at {', '.join(fixed)}"] if fixed else []
        how += ["evenly from the first to the last"] if len(thinned) < len(groups) else []
        notes = [*notes, "; ".join([what, *how])]
    rows = rows[rows["run"].isin(kept["run"])]
    return GroupedRows(rows, thinned, [*notes, *notes_on_failures(runs)], fixed)


def _that_fit(runs: pd.DataFrame, max_groups: int) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the runs at the first values of as many settings as make their groups fit, and those values.

    One setting, the architecture where it varies, always stays.
    """
    fixed: list[str] = []
    axes = [name for name in ("architecture", *_others(runs)) if runs[name].nunique(dropna=False) > 1]
    for name in reversed(axes[1:]):
        if runs[LABEL].nunique() <= max_groups:
            break
        value = runs[name].iloc[0]
        runs = runs[runs[name].isna() if pd.isna(value) else runs[name] == value]
        fixed.insert(0, value_label(name, value))
    return runs, tuple(fixed)


def in_sweep_order(runs: pd.DataFrame, study: Study | None) -> pd.DataFrame:
    """Return runs.csv in the order of the runs of the study; rows keep their index.

    Args:
        runs: runs.csv, whose rows are in the order of their names where an earlier version wrote it.
        study: the study; None leaves the rows as they are.
    """
    if study is None:
        return runs
    places = {run.name: place for place, run in enumerate(expand(study))}
    return runs.sort_values("run", key=lambda names: names.map(places), kind="stable")


def notes_on_failures(runs: pd.DataFrame) -> list[str]:
    """Return the note on runs that failed, where there are some."""
    num_failed = int((runs["status"] != "done").sum())
    return [f"{num_failed} of {len(runs)} runs failed and are left out"] if num_failed else []


def with_groups(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs.csv with the column ``group``, such as ``2x30 · lr 0.003``: what varies but the seed.

    A setting that has one value wherever those before it are the same, as zipped ones often have, is left
    out. The kind of network, where it varies, goes before the architecture: it says what that means. Networks
    that are not of our own kinds have one name for both, which is written once.
    """
    others = _others(runs)
    names = ["model", "architecture"] if "model" in others else ["architecture"]
    every = [*names, *(other for other in others if other not in names)]
    cells = {name: [str(value_label(name, value)) for value in runs[name]] for name in every}
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    kept = telling_apart(rows, every, always=names)
    return runs.assign(**{LABEL: [" · ".join(_written_once(row, kept)) for row in rows]})


def _written_once(row: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Return the values of a label, without an architecture that is called what the kind of network is."""
    has_one_name = "model" in names and row["architecture"] == row["model"]
    return [row[name] for name in names if not (has_one_name and name == "architecture")]


def value_label(name: str, value: object) -> str:
    """Return the value of a column of runs.csv as the labels of runs show it.

    >>> value_label("learning_rate", 0.003), value_label("activation", "relu"), value_label("seed", 4)
    ('lr 0.003', 'relu', 'seed 4')
    """
    return str(value) if name in _SPEAK_FOR_THEMSELVES else label_of({name: value})


def seed_label(group: str, seed: object) -> str:
    """Return what a network of a group is called, such as ``2x30 · lr 0.003 · seed 0``."""
    return f"{group} · {value_label('seed', seed)}"


def group_order(runs: pd.DataFrame) -> list[str]:
    """Return the groups of runs.csv with that column, in the order of the runs."""
    return [*runs[LABEL].drop_duplicates()]


def _others(runs: pd.DataFrame) -> list[str]:
    """Return the settings beside the architecture that vary, except seeds."""
    names = [name for name in RUNS.settings(runs) if name not in (*SEEDS, LABEL)]
    return [name for name in ("activation", "dataset", *names) if runs[name].nunique(dropna=False) > 1]


def untrained_networks(runs: pd.DataFrame, measured: "pd.Series[str]") -> pd.DataFrame:
    """Return runs.csv with one run for each untrained network, without the settings that only training has.

    A study that sweeps the learning rate has an untrained network once for each rate: the same weights, for
    which the first run stands. Runs that failed stay.

    Args:
        runs: runs.csv; one of an earlier version, without digests of weights, is returned as it is.
        measured: the names of the runs whose untrained networks were measured.
    """
    if "initial_digest" not in runs:
        return runs
    networks = networks_of(Frames({"runs": runs}, [RUNS]), UNTRAINED)
    is_done = runs["status"] == "done"
    candidates = runs.loc[is_done & runs["run"].isin(measured), "run"]
    first = candidates[~candidates.map(networks).duplicated()]
    names = [name for name in RUNS.settings(runs) if name in RUNS.training_only]
    return runs[runs["run"].isin(first) | ~is_done].drop(columns=names)


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
