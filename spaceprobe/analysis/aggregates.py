"""From class pairs to one row a network, and from networks to one row an architecture.

The aggregate of a network is the median over its class pairs of a column of folding.csv, for
``folded`` the mean as well (design.md, section 2; arXiv 2502.09954 reports such medians).
"""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from spaceprobe.analysis.association import Interval
from spaceprobe.analysis.over_seeds import t_interval
from spaceprobe.analysis.statistics import STATISTIC_COLUMNS

STATES = ("initial", "trained", "difference")
"""Epoch 0, the last epoch, and trained minus initial."""

MEASURES = ("chi", "peak")
SIZE_COLUMNS = ("num_paths", "num_sources", "num_targets")
AGGREGATED_COLUMNS = tuple(c for c in STATISTIC_COLUMNS if c not in SIZE_COLUMNS)

RUN_COLUMNS = (
    "run",
    "architecture",
    "depth",
    "width",
    "activation",
    "dataset",
    "seed",
    "num_parameters",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "status",
    "error",
)
"""The columns that runs.csv always has; every other one is a swept setting."""

TABLE_COLUMNS = ("chi_folded_mean", "chi_max", "chi_row_max_median")
"""Aggregates given per architecture, beside the test accuracy."""


def swept_settings(runs: pd.DataFrame) -> list[str]:
    """Return the columns of runs.csv beyond the fixed ones, in their order."""
    return [column for column in runs.columns if column not in RUN_COLUMNS]


def probe_keys(folding: pd.DataFrame) -> list[str]:
    """Return the columns of folding.csv that say how paths were read, as method and num_points."""
    others = {"run", "epoch", "source_class", "target_class", "measure", *STATISTIC_COLUMNS}
    return [column for column in folding.columns if column not in others]


def aggregate_runs(runs: pd.DataFrame, folding: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each run that is done, each state, and each way of reading paths.

    The trained state is the run's largest epoch in ``folding``. The difference exists where both
    states do. ``test_accuracy`` is the trained network's in every state.

    A pair without a value in a column (no folded path, so no quantile) is left out of that
    column's median; a column without any value is NaN. A run's aggregate is over its own pairs;
    where other runs have pairs that it lacks, ``note`` says so, since medians over different pairs
    do not compare.

    Args:
        runs: runs.csv.
        folding: folding.csv of these runs (rows of runs that are not done are ignored).

    Returns:
        Columns: run, architecture, depth, width, activation, dataset, seed, the swept settings,
        num_parameters, test_accuracy; state; the probe keys; num_pairs, num_sources and num_targets
        (medians over pairs); then ``chi_`` and ``peak_`` followed by each of `AGGREGATED_COLUMNS`
        and ``folded_mean``; note. Sorted as ``runs``, then by probe keys and state.
    """
    keys = probe_keys(folding)
    names = [
        *(c for c in RUN_COLUMNS[:7] if c in runs.columns),
        *swept_settings(runs),
        "num_parameters",
        "test_accuracy",
    ]
    done = runs.loc[runs["status"] == "done", names]
    folding = folding[folding["run"].isin(done["run"])]
    folding = folding.assign(state=_states(folding)).dropna(subset="state")
    by_state = _aggregate(folding, keys)
    aggregates = pd.concat([by_state, _differences(by_state, keys)], ignore_index=True)

    order = {name: place for place, name in enumerate(done["run"])}
    aggregates["order"] = aggregates["run"].map(order)
    aggregates["state"] = pd.Categorical(aggregates["state"], STATES, ordered=True)
    aggregates = aggregates.sort_values(["order", *keys, "state"], kind="stable").drop(columns="order")
    aggregates["state"] = aggregates["state"].astype(str)
    table = done.merge(aggregates, on="run", how="right", sort=False)
    leading = [*names, "state", *keys]
    return table[[*leading, *(c for c in table.columns if c not in leading)]]


def architecture_table(aggregates: pd.DataFrame, state: str = "trained") -> pd.DataFrame:
    """Return mean, standard deviation and interval of the mean over seeds for each architecture.

    The number to print after ± is the standard deviation (n - 1) over seeds: how far one training
    differs from another. It is no interval of the mean; that is the t interval (95 %). Both are NaN for a
    single seed.

    Args:
        aggregates: the result of `aggregate_runs`.
        state: initial, trained or difference.

    Returns:
        One row per architecture, swept setting and probe key, sorted by depth, then descending
        width: those columns, num_seeds, and ``<column>_mean``, ``_sd``, ``_low`` and ``_high`` for
        test_accuracy and each of `TABLE_COLUMNS`.
    """
    rows = aggregates[aggregates["state"] == state]
    measured = {"run", "seed", "state", "num_parameters", "test_accuracy"}
    keys = [c for c in rows.columns[: rows.columns.get_loc("num_pairs")] if c not in measured]
    named: dict[str, Any] = {"num_seeds": ("seed", "nunique")}
    for value in ("test_accuracy", *TABLE_COLUMNS):
        named |= {f"{value}_mean": (value, "mean"), f"{value}_sd": (value, "std")}
        named |= {f"{value}_low": (value, _low), f"{value}_high": (value, _high)}
    table: pd.DataFrame = rows.groupby(keys, dropna=False, sort=False).agg(**named).reset_index()
    return table.sort_values(["depth", "width"], ascending=[True, False], kind="stable", ignore_index=True)


def _low(values: pd.Series) -> float:
    return _interval(values)[0]


def _high(values: pd.Series) -> float:
    return _interval(values)[1]


def _interval(values: pd.Series) -> Interval:
    """Return the t interval of the mean of the values that are there; NaN where there is none."""
    return t_interval(values.dropna().to_numpy(float)) or (math.nan, math.nan)


def _states(folding: pd.DataFrame) -> pd.Series:
    """Return initial for epoch 0, trained for the run's last epoch, and nothing between them."""
    last = folding.groupby("run")["epoch"].transform("max")
    state = pd.Series(None, index=folding.index, dtype=object)
    state[folding["epoch"] == last] = "trained"
    state[folding["epoch"] == 0] = "initial"
    return state


def _aggregate(folding: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return one row for each run, way of reading paths and state: its measures side by side."""
    index = ["run", *keys, "state"]
    # In this order the last bit of a mean does not depend on how the table was put together.
    folding = folding.sort_values(["source_class", "target_class"], kind="stable")
    folding = folding.astype(dict.fromkeys(AGGREGATED_COLUMNS, float))
    folding["pair"] = folding.groupby(["source_class", "target_class"]).ngroup()
    rows = folding.groupby(index, dropna=False)
    table = rows["pair"].nunique().rename("num_pairs").to_frame()
    table[["num_sources", "num_targets"]] = rows[["num_sources", "num_targets"]].median()
    table = table.reset_index()
    for measure in MEASURES:
        groups = folding[folding["measure"] == measure].groupby(index, dropna=False)
        columns = groups[[*AGGREGATED_COLUMNS]].median()
        columns.insert(2, "folded_mean", groups["folded"].mean())
        columns = columns.add_prefix(f"{measure}_").reset_index()
        table = table.merge(columns, on=index, how="left")
    num_all = folding.groupby(keys, dropna=False)["pair"].nunique().rename("num_all").reset_index()
    table = table.merge(num_all, on=keys, how="left")
    table["note"] = [
        "" if num_pairs == num_all else f"{num_pairs} of {num_all} class pairs"
        for num_pairs, num_all in zip(table["num_pairs"], table.pop("num_all"), strict=True)
    ]
    return table


def _differences(by_state: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return trained minus initial for every run and way of reading paths that has both."""
    initial, trained = (by_state[by_state["state"] == state] for state in ("initial", "trained"))
    both = trained.merge(initial, on=["run", *keys], suffixes=("", "_initial"))
    difference = both[by_state.columns].assign(state="difference")
    for column in by_state.columns:
        if column.startswith(("chi_", "peak_")):
            difference[column] = both[column] - both[f"{column}_initial"]
    difference["note"] = _join_notes(both["note_initial"], both["note"])
    return difference


def _join_notes(*notes: Iterable[str]) -> list[str]:
    """Return the different notes of each row, separated by semicolons."""
    return ["; ".join(dict.fromkeys(filter(None, row))) for row in zip(*notes, strict=True)]
