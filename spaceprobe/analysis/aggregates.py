"""From class pairs to one row a network, and from networks to one row an architecture."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spaceprobe.analysis.aggregate_columns import (
    ACCURACY,
    FOLDINGS,
    NOT_OF_AGGREGATES,
    OF_ARCHITECTURE,
    OVER_SEEDS,
    aggregations,
)
from spaceprobe.analysis.association import is_constant
from spaceprobe.analysis.observations import one_per_network, settings_in
from spaceprobe.analysis.over_seeds import t_interval, why_no_interval
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, STATES, TRAINED, UNTRAINED, by_state
from spaceprobe.tables.table import Bounds


def aggregate_runs(frames: Frames) -> pd.DataFrame:
    """Return aggregates.csv: one row for each run that is done, each state, and each reading of paths.

    The trained state is the run's last epoch in folding.csv. The difference exists where both states do.
    ``test_accuracy`` is the network's own: an untrained one has that at epoch 0. The difference has the
    trained network's; ``accuracy_of`` says which.

    A pair without a value in a column (no folded path, so no quantile) is left out of that
    column's median; a column without any value is NaN. A run's aggregate is over its own pairs;
    where other runs have pairs that it lacks, ``note`` says so, since medians over different pairs
    do not compare.

    Args:
        frames: runs and folding (rows of runs that are not done are ignored), and training, without which
            untrained networks have no accuracy.

    Returns:
        The columns of runs.csv but `NOT_OF_AGGREGATES`; state; test_accuracy and accuracy_of; the columns
        that tell readings of paths apart; num_pairs, num_sources and num_targets (medians over pairs); then
        ``chi_`` and ``peak_`` followed by each of `aggregations`; note. Sorted as runs.csv, then by reading
        and state.
    """
    runs, readings = frames["runs"], frames.readings("folding")
    done = runs[runs["status"] == "done"].drop(columns=[*NOT_OF_AGGREGATES], errors="ignore")
    states = by_state(frames["folding"][frames["folding"]["run"].isin(done["run"])])
    folding = pd.concat([rows.assign(state=state) for state, rows in states.items()])
    measured = _aggregate(folding, readings, aggregations(frames.tables["folding"]))
    aggregates = pd.concat([measured, _differences(measured, readings)], ignore_index=True)
    aggregates = _with_accuracy(aggregates, frames)
    places = {
        "run": {run: place for place, run in enumerate(done["run"])},
        "state": {state: place for place, state in enumerate(STATES)},
        **{  # texts as they are swept
            name: {value: place for place, value in enumerate(frames["folding"][name].unique())}
            for name in readings
            if not pd.api.types.is_numeric_dtype(frames["folding"][name])
        },
    }
    aggregates = aggregates.sort_values(
        ["run", *readings, "state"],
        key=lambda column: column.map(places[column.name]) if column.name in places else column,
        kind="stable",
    )
    first = ["run", "state", ACCURACY, "accuracy_of"]
    aggregates = aggregates[[*first, *aggregates.columns.drop(first)]]
    return done.merge(aggregates, on="run", how="right", sort=False)


def aggregate_epochs(frames: Frames) -> pd.DataFrame:
    """Return the folding of each network at each epoch that was folded: medians over class pairs.

    Args:
        frames: folding, with rows.

    Returns:
        A row for each run, epoch and reading of paths: these, and the numbers that aggregates.csv has.
    """
    folding, readings = frames["folding"], frames.readings("folding")
    measured = _aggregate(
        folding.assign(state=folding["epoch"]), readings, aggregations(frames.tables["folding"])
    )
    return measured.rename(columns={"state": "epoch"})


def probe_readings(frames: Frames) -> list[str]:
    """Return the columns of aggregates.csv that tell the readings of one network's paths apart."""
    settings = frames.settings("runs")
    return [name for name in frames.readings("aggregates") if name not in settings]


def architecture_table(frames: Frames, state: str = TRAINED) -> pd.DataFrame:
    """Return mean, standard deviation and interval of the mean over seeds for each architecture.

    The number to print after ± is the standard deviation (n - 1) over seeds: how far one training
    differs from another. It is not an interval of the mean; that is the t interval (95 %) on the scale of the
    quantity (`spaceprobe.analysis.over_seeds`), NaN where ``note`` says why.

    Untrained networks do not depend on the settings that only training has, so those columns are empty in
    their rows, and each network counts once (`spaceprobe.analysis.observations`).

    Args:
        frames: aggregates, and runs.
        state: untrained, trained or difference.

    Returns:
        One row per architecture, swept setting and reading of paths, in the order of runs.csv: those
        columns, num_seeds, accuracy_of, ``<column>_mean``, ``_sd``, ``_low`` and ``_high`` for each of
        `OVER_SEEDS`, and note.
    """
    aggregates, declared = frames["aggregates"], frames.tables["aggregates"]
    rows = aggregates[aggregates["state"] == state]
    rows = one_per_network(rows, frames, state, probe_readings(frames))
    rows = _in_order_of_runs(rows, frames["runs"], [*OF_ARCHITECTURE, *settings_in(frames, state)])
    keys = [*OF_ARCHITECTURE, *frames.readings("aggregates")]
    named = [f"{name}_{of}" for name in OVER_SEEDS for of in ("mean", "sd", "low", "high")]
    groups: list[dict[str, Any]] = []
    for key, group in rows.groupby(keys, dropna=False, sort=False):
        cells: dict[str, Any] = {"num_seeds": group["seed"].nunique(), "accuracy_of": accuracy_of(state)}
        notes: dict[str, list[str]] = {}
        for name in OVER_SEEDS:
            bounds = declared.column(name).bounds
            is_difference = state == DIFFERENCE and name != ACCURACY
            bounds = bounds.of_difference() if is_difference else bounds
            values = group[name].to_numpy(float)
            cells |= {f"{name}_{of}": value for of, value in _spread(values, bounds).items()}
            for note in _notes_on(values):
                notes.setdefault(note, []).append(name)
        groups.append({**dict(zip(keys, key, strict=True)), **cells, "note": _sum_up(notes)})
    table = pd.DataFrame(groups, columns=[*keys, "num_seeds", "accuracy_of", *named, "note"])
    return table.astype(rows[keys].dtypes.to_dict() | dict.fromkeys(named, float) | {"num_seeds": int})


def _in_order_of_runs(rows: pd.DataFrame, runs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return rows in the order in which runs.csv has the groups of their runs, with or without rows."""
    groups = runs.groupby([*columns], dropna=False, sort=False).ngroup().set_axis(runs["run"])
    return rows.loc[rows["run"].map(groups).sort_values(kind="stable").index]


def pairs_without_folding(folding: pd.DataFrame) -> tuple[int, int]:
    """Return how many class pairs have no folded path, and how many there are, each network's on its own.

    Such a pair counts as 0 in the median of ``max`` and has no ``row_max_median``, so that the median of that
    may be the larger of the two. Where it cannot, because no network has pairs of both kinds, the first
    number is 0.

    Args:
        folding: folding.csv.
    """
    chi = folding[folding["measure"] == "chi"]
    has_value = chi["row_max_median"].notna()
    groups = [name for name in ("run", "epoch", "method", "num_points") if name in chi]
    is_mixed = has_value.groupby([chi[name] for name in groups], dropna=False).nunique() > 1
    num_without = int(((chi["folded"] == 0) & ~has_value).sum()) if is_mixed.any() else 0
    return num_without, len(chi)


def accuracy_of(state: str) -> str:
    """Return the state whose test accuracy a row of a state has: its own, but trained for the difference."""
    return UNTRAINED if state == UNTRAINED else TRAINED


def _spread(values: np.ndarray, bounds: Bounds) -> dict[str, float]:
    """Return mean, deviation and interval of the finite values, one a seed; NaN where there is none."""
    there = values[np.isfinite(values)]
    mean = math.fsum(there) / len(there) if len(there) else math.nan
    deviation = math.nan
    if len(there) > 1:
        deviation = 0.0 if is_constant(there) else float(np.std(there, ddof=1))
    low, high = t_interval(there, bounds) or (math.nan, math.nan)
    return {"mean": mean, "sd": deviation, "low": low, "high": high}


def _notes_on(values: np.ndarray) -> Iterator[str]:
    """Yield what a reader of the mean of a column has to know."""
    there = values[np.isfinite(values)]
    reason = why_no_interval(there)
    if reason:
        yield reason
    if 0 < len(there) < len(values):
        yield f"{len(values) - len(there)} of {len(values)} seeds without a value left out"


def _sum_up(notes: dict[str, list[str]]) -> str:
    """Return the notes with the columns that they are about, which are left out where these are all."""
    return "; ".join(
        note if len(columns) == len(OVER_SEEDS) else f"{', '.join(columns)}: {note}"
        for note, columns in notes.items()
    )


def _with_accuracy(aggregates: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """Add test_accuracy and accuracy_of: that of epoch 0 for untrained networks, else the trained ones'."""
    training = frames.get("training")
    by_run = {TRAINED: frames["runs"].set_index("run")[ACCURACY]}
    if training is not None:
        by_run[UNTRAINED] = training[training["epoch"] == 0].set_index("run")[ACCURACY]
    owners = [accuracy_of(state) for state in aggregates["state"]]
    accuracies = [
        by_run[owner].get(run, math.nan) if owner in by_run else math.nan
        for run, owner in zip(aggregates["run"], owners, strict=True)
    ]
    aggregates = aggregates.assign(accuracy_of=owners)
    aggregates[ACCURACY] = np.array(accuracies, dtype=np.float64)
    return aggregates


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
