"""From class pairs to one row a network, and from networks to one row an architecture."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from spaceprobe.analysis.aggregate_columns import (
    FOLDINGS,
    NOT_OF_AGGREGATES,
    OF_ARCHITECTURE,
    OVER_SEEDS,
    aggregations,
)
from spaceprobe.analysis.association import Interval
from spaceprobe.analysis.over_seeds import t_interval
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, STATES, TRAINED, UNTRAINED, by_state


def aggregate_runs(frames: Frames) -> pd.DataFrame:
    """Return aggregates.csv: one row for each run that is done, each state, and each reading of paths.

    The trained state is the run's last epoch in folding.csv. The difference exists where both states do.
    ``test_accuracy`` is the trained network's in every state.

    A pair without a value in a column (no folded path, so no quantile) is left out of that
    column's median; a column without any value is NaN. A run's aggregate is over its own pairs;
    where other runs have pairs that it lacks, ``note`` says so, since medians over different pairs
    do not compare.

    Args:
        frames: runs and folding (rows of runs that are not done are ignored).

    Returns:
        The columns of runs.csv but `NOT_OF_AGGREGATES`; state; the columns that tell readings of paths
        apart; num_pairs, num_sources and num_targets (medians over pairs); then ``chi_`` and ``peak_``
        followed by each of `aggregations`; note. Sorted as runs.csv, then by reading and state.
    """
    runs, readings = frames["runs"], frames.readings("folding")
    done = runs[runs["status"] == "done"].drop(columns=[*NOT_OF_AGGREGATES])
    states = by_state(frames["folding"][frames["folding"]["run"].isin(done["run"])])
    folding = pd.concat([rows.assign(state=state) for state, rows in states.items()])
    measured = _aggregate(folding, readings, aggregations(frames.tables["folding"]))
    aggregates = pd.concat([measured, _differences(measured, readings)], ignore_index=True)
    places = {
        "run": {run: place for place, run in enumerate(done["run"])},
        "state": {state: place for place, state in enumerate(STATES)},
    }
    aggregates = aggregates.sort_values(
        ["run", *readings, "state"],
        key=lambda column: column.map(places[column.name]) if column.name in places else column,
        kind="stable",
    )
    return done.merge(aggregates, on="run", how="right", sort=False)


def probe_readings(frames: Frames) -> list[str]:
    """Return the columns of aggregates.csv that tell the readings of one network's paths apart."""
    settings = frames.settings("runs")
    return [name for name in frames.readings("aggregates") if name not in settings]


def architecture_table(frames: Frames, state: str = TRAINED) -> pd.DataFrame:
    """Return mean, standard deviation and interval of the mean over seeds for each architecture.

    The number to print after ± is the standard deviation (n - 1) over seeds: how far one training
    differs from another. It is not an interval of the mean; that is the t interval (95 %). Both are NaN for
    a single seed.

    Args:
        frames: aggregates.
        state: untrained, trained or difference.

    Returns:
        One row per architecture, swept setting and reading of paths, sorted by depth, then descending
        width: those columns, num_seeds, and ``<column>_mean``, ``_sd``, ``_low`` and ``_high`` for each
        of `OVER_SEEDS`.
    """
    aggregates = frames["aggregates"]
    rows = aggregates[aggregates["state"] == state]
    spreads = {"mean": "mean", "sd": "std", "low": _low, "high": _high}
    named: dict[str, Any] = {"num_seeds": ("seed", "nunique")}
    named |= {f"{value}_{name}": (value, taken) for value in OVER_SEEDS for name, taken in spreads.items()}
    keys = [*OF_ARCHITECTURE, *frames.readings("aggregates")]
    table: pd.DataFrame = rows.groupby(keys, dropna=False, sort=False).agg(**named).reset_index()
    return table.sort_values(["depth", "width"], ascending=[True, False], kind="stable", ignore_index=True)


def _low(values: pd.Series) -> float:
    return _interval(values)[0]


def _high(values: pd.Series) -> float:
    return _interval(values)[1]


def _interval(values: pd.Series) -> Interval:
    """Return the t interval of the mean of the values that are there; NaN where there is none."""
    return t_interval(values.dropna().to_numpy(float)) or (math.nan, math.nan)


def _aggregate(
    folding: pd.DataFrame, readings: Sequence[str], aggregated: dict[str, tuple[str, str]]
) -> pd.DataFrame:
    """Return one row for each run, state and reading of paths: its measures side by side."""
    index = ["run", "state", *readings]
    # In this order the last bit of a mean does not depend on how the table was put together.
    folding = folding.sort_values(["source_class", "target_class"], kind="stable")
    folding = folding.astype({column: float for column, _ in aggregated.values()})
    folding["pair"] = folding.groupby(["source_class", "target_class"]).ngroup()
    rows = folding.groupby(index, dropna=False)
    table = rows["pair"].nunique().rename("num_pairs").to_frame()
    table[["num_sources", "num_targets"]] = rows[["num_sources", "num_targets"]].median()
    table = table.reset_index()
    for measure in FOLDINGS:
        groups = folding[folding["measure"] == measure].groupby(index, dropna=False)
        columns = groups.agg(**aggregated).add_prefix(f"{measure}_").reset_index()
        table = table.merge(columns, on=index, how="left")
    num_all = folding.groupby([*readings], dropna=False)["pair"].nunique().rename("num_all").reset_index()
    table = table.merge(num_all, on=[*readings], how="left")
    table["note"] = [
        "" if num_pairs == num_all else f"{num_pairs} of {num_all} class pairs"
        for num_pairs, num_all in zip(table["num_pairs"], table.pop("num_all"), strict=True)
    ]
    return table


def _differences(measured: pd.DataFrame, readings: Sequence[str]) -> pd.DataFrame:
    """Return trained minus untrained for every run and reading of paths that has both."""
    untrained, trained = (measured[measured["state"] == state] for state in (UNTRAINED, TRAINED))
    both = trained.merge(untrained, on=["run", *readings], suffixes=("", "_untrained"))
    difference = both[measured.columns].assign(state=DIFFERENCE)
    for column in measured.columns:
        if column.partition("_")[0] in FOLDINGS:
            difference[column] = both[column] - both[f"{column}_untrained"]
    difference["note"] = _join_notes(both["note_untrained"], both["note"])
    return difference


def _join_notes(*notes: Iterable[str]) -> list[str]:
    """Return the different notes of each row, separated by semicolons."""
    return ["; ".join(dict.fromkeys(filter(None, row))) for row in zip(*notes, strict=True)]
