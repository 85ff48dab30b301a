"""Which networks answer a question about folding, and what a reader has to know about that choice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Shaped

from spaceprobe.analysis.aggregate_columns import ACCURACY, OF_NETWORK
from spaceprobe.analysis.observations import NETWORK, networks_of, one_per_network, settings_in
from spaceprobe.analysis.predictors import predictors
from spaceprobe.tables.frames import Frames

FOLDING_RESPONSES = tuple(
    f"{measure}_{column}"
    for measure in ("chi", "peak")
    for column in ("row_max_median", "max", "folded", "folded_mean", "mean")
)

NOTHING_ELSE, POOLED = "none", "pooled"
"""In the column ``at``: nothing else is swept, and all values of what else is swept together."""

MAX_VALUES_NAMED = 3
"""Of the predictor, where networks were left out. Chosen."""


@dataclass(frozen=True)
class Sample:
    """Networks of one state that may be correlated, and those that belong to them but cannot.

    Attributes:
        at: the values of the other swept settings; `POOLED`, or `NOTHING_ELSE`.
        columns: predictors, responses and test accuracy.
        seed: the seed of each network.
        seeds: all seeds of the study, also those without a network here.
        absent: the networks without a measurement: seed, predictors and ``reason``.
        notes: what a reader has to know about this choice of networks.
        row_max_notes: the same for row maxima only.
    """

    at: str
    columns: dict[str, Float64[np.ndarray, "networks"]]
    seed: Shaped[np.ndarray, "networks"]
    seeds: list[Any]
    absent: pd.DataFrame
    notes: list[str]
    row_max_notes: list[str]

    def notes_on(self, response: str) -> list[str]:
        """Return the notes that concern a response."""
        return self.notes + (self.row_max_notes if "row_max" in response else [])

    def left_out(
        self, predictor: str, is_unknown: Bool[np.ndarray, "networks"], seed: object = None
    ) -> Iterator[str]:
        """Yield what is left out and where on the predictor it is.

        Args:
            predictor: what folding is set against.
            is_unknown: whether a network of the sample lacks a value.
            seed: of the networks; None for all seeds.
        """
        if len(self.absent):
            reasons, places = self.absent["reason"].to_numpy(), self.absent[predictor].to_numpy(float)
            is_of_seed = (
                np.ones(len(reasons), bool) if seed is None else self.absent["seed"].to_numpy() == seed
            )
            for reason in sorted({*reasons[is_of_seed]}):
                yield _left_out(reason, predictor, places[is_of_seed & (reasons == reason)])
        is_asked = is_unknown & (True if seed is None else self.seed == seed)
        if is_asked.any():
            yield _left_out("{count} {runs} without a value", predictor, self.columns[predictor][is_asked])


def _left_out(reason: str, predictor: str, places: Float64[np.ndarray, "networks"]) -> str:
    """Return the note on networks that are left out, as in "2 runs without a value left out (depth 1)"."""
    reason = reason.format(count=len(places), runs="run" if len(places) == 1 else "runs")
    values = [f"{value:g}" for value in np.unique(places[np.isfinite(places)])]
    if len(values) > MAX_VALUES_NAMED:
        values = [f"{values[0]} to {values[-1]}"]
    where = f" ({predictor} {', '.join(values)})" if values else ""
    return f"{reason} left out{where}"


def predictors_in(frames: Frames, state: str) -> list[str]:
    """Return depth, width and the numbers that vary among the networks of a state; see `predictors`."""
    return predictors(frames["runs"], settings_in(frames, state))


def take_samples(
    aggregates: pd.DataFrame,
    frames: Frames,
    readings: Sequence[str],
    state: str,
    predictor: str,
    responses: Sequence[str] = FOLDING_RESPONSES,
) -> Iterator[Sample]:
    """Yield the networks of a state for each combination of what else is swept, then all of them pooled.

    What else is swept is the activation, the dataset and the swept settings that the state depends on; and
    the architecture, where the predictor is not depth or width.

    Args:
        aggregates: aggregates.csv, of one reading of paths.
        frames: runs.
        readings: the columns that tell readings of one network apart.
        state: untrained, trained or difference.
        predictor: one of `predictors_in`.
        responses: the columns of aggregates.csv that are asked about.
    """
    rows = one_per_network(aggregates[aggregates["state"] == state], frames, state, readings)
    networks = _networks(frames, rows, aggregates, state)
    others = [*OF_NETWORK, *settings_in(frames, state)]
    if predictor not in ("depth", "width"):
        others.insert(0, "architecture")
    others = [name for name in others if name != predictor and networks[name].nunique(dropna=False) > 1]
    seeds = sorted(aggregates["seed"].unique())
    if not others:
        yield _sample(NOTHING_ELSE, rows, networks, frames, seeds, responses)
        return
    in_order = networks
    for name in reversed(others):
        in_order = in_order.sort_values(name, kind="stable", key=_sweep_order)
    for values, of_values in in_order.groupby(others, dropna=False, sort=False):
        at = ", ".join(_setting_text(name, value) for name, value in zip(others, values, strict=True))
        is_here = rows[NETWORK].isin(of_values[NETWORK])
        yield _sample(at, rows[is_here], of_values, frames, seeds, responses)
    pooled = _sample(POOLED, rows, networks, frames, seeds, responses)
    pooled.notes.insert(0, f"pooled over {', '.join(others)}")
    yield pooled


def _sweep_order(values: "pd.Series") -> "pd.Series":
    """Return what puts numbers into their order, and texts into that in which they are swept."""
    if pd.api.types.is_numeric_dtype(values):
        return values
    return pd.Series(pd.factorize(values)[0], index=values.index)


def accurate(sample: Sample, min_accuracy: float) -> Sample:
    """Return the networks of a sample with at least a test accuracy; 0 for all, also those without one."""
    if min_accuracy <= 0:
        return sample
    is_kept = sample.columns[ACCURACY] >= min_accuracy
    others = {name: values[~is_kept] for name, values in sample.columns.items() if name in sample.absent}
    below = pd.DataFrame({**others, "seed": sample.seed[~is_kept]})
    below = below.assign(reason=f"{{count}} {{runs}} with a test accuracy below {min_accuracy:g}")
    return Sample(
        at=sample.at,
        columns={name: values[is_kept] for name, values in sample.columns.items()},
        seed=sample.seed[is_kept],
        seeds=sample.seeds,
        absent=pd.concat([frame for frame in (sample.absent, below) if len(frame)] or [sample.absent]),
        notes=sample.notes,
        row_max_notes=sample.row_max_notes,
    )


def _networks(frames: Frames, rows: pd.DataFrame, aggregates: pd.DataFrame, state: str) -> pd.DataFrame:
    """Return runs.csv with one row for each network of a state, and ``reason``: why it has no measurement."""
    runs = frames["runs"].assign(**{NETWORK: frames["runs"]["run"].map(networks_of(frames, state))})
    is_failed = runs["status"] != "done"
    is_measured = runs[NETWORK].isin(rows[NETWORK])
    is_unfolded = ~runs["run"].isin(aggregates["run"])
    reason = np.where(is_failed, "{count} failed {runs}", "{count} {runs} without folding")
    other = f"{{count}} {{runs}} not measured {state}"
    runs["reason"] = np.where(is_measured, "", np.where(is_failed | is_unfolded, reason, other))
    # Of the runs with one untrained network, one that is done says why it is not measured.
    order = runs.assign(is_failed=is_failed).sort_values("is_failed", kind="stable").index
    first = runs.loc[order].drop_duplicates(NETWORK).index.sort_values()
    return runs.loc[first]


def _sample(
    at: str,
    rows: pd.DataFrame,
    networks: pd.DataFrame,
    frames: Frames,
    seeds: list[Any],
    responses: Sequence[str],
) -> Sample:
    """Return some networks, all of one state, as a sample."""
    places = predictors(frames["runs"], frames.settings("runs"))
    absent = networks.loc[networks["reason"] != "", [*places, "seed", "reason"]]
    is_uneven = rows["num_targets"].nunique() > 1
    return Sample(
        at=at,
        columns={
            name: rows[name].astype(float).to_numpy(dtype=np.float64)
            for name in (*places, *responses, ACCURACY)
        },
        seed=rows["seed"].to_numpy(),
        seeds=seeds,
        absent=absent,
        notes=["class pairs differ between runs"] if (rows["note"] != "").any() else [],
        row_max_notes=["num_targets differs between runs"] if is_uneven else [],
    )


def _setting_text(name: str, value: object) -> str:
    """Return a setting and its value, such as ``learning_rate 0.001``; of an architecture the value alone."""
    text = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return text if name in ("architecture", *OF_NETWORK) else f"{name} {text}"
