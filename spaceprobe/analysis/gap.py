"""Which measures go with the gap between training and test: Kendall's τ within groups of alike networks.

A group has the networks that differ in one setting alone and share the seed. The mean of τ over the groups of
a setting, and then over settings, is the granulated coefficient of Jiang et al. ("Fantastic generalization
measures and where to find them", ICLR 2020): a measure that only tells which learning rate was chosen has a
large τ over all networks and a small one here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float64

from spaceprobe.analysis.aggregate_columns import MAIN_AGGREGATES, OF_ARCHITECTURE
from spaceprobe.analysis.aggregates import aggregate_epochs
from spaceprobe.analysis.kendall import grouped_tau, pairs_within
from spaceprobe.analysis.over_seeds import t_interval, why_no_interval
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.seeds import SEEDS
from spaceprobe.tables.table import Bounds, Table

FOLDING_MEASURES = (*MAIN_AGGREGATES, "chi_mean")
"""The aggregates of folding that are related to the gap."""

IMAGE_MEASURES = ("region_density", "image_length")
"""The columns of path_images.csv whose means over paths are related to the gap
(docs/definitions.md, "Images of paths")."""

BASELINE = "train_loss"
"""What every training knows without a probe: a measure that adds nothing to it says nothing new."""

RESPONSES = ("accuracy_gap", "loss_gap")
"""Training minus test accuracy, and test minus training loss, after the last epoch.

Both grow with overfitting."""

FITTED = 0.99
"""Chosen: the training accuracy from which a network counts as fitted, as all of Jiang et al. are."""

EVERY, MEAN = "all", "mean"
"""In the column ``axis``: all networks of a seed are compared, and the mean over settings."""

_CORRELATION = Bounds(-1, 1)


def gap_ranks(frames: Frames, table: Table) -> pd.DataFrame:
    """Return gap_ranks.csv: how each measure goes with the gap, by epoch, response and setting.

    Args:
        frames: runs, training, folding and complexity; the last two may be empty. Of path_images, where the
            study has it, too.
        table: the declaration of gap_ranks.csv.
    """
    networks = _Networks(frames)
    rows = [row for measured in _measured(frames, networks.last) for row in networks.rank(measured)]
    return pd.DataFrame(rows, columns=[*table.names]).astype(
        {column.name: _DTYPES[column.dtype] for column in table.columns}
    )


_DTYPES: Mapping[str, str] = {"text": "object", "number": "float64", "integer": "Int64", "boolean": "bool"}


@dataclass(frozen=True)
class _Measured:
    """One measure of some networks at one epoch.

    Attributes:
        epoch: passes over the training points; None where the networks' last epochs differ.
        is_last: whether it is each network's last.
        reading: how it was measured, where there are several ways; else empty.
        measure: its name.
        values: by run.
    """

    epoch: int | None
    is_last: bool
    reading: str
    measure: str
    values: "pd.Series[float]"


def _measured(frames: Frames, last: "pd.Series[int]") -> Iterator[_Measured]:
    """Yield every measure at every epoch, the earliest epoch first, each network's last at the end."""
    of_training = frames["training"][["run", "epoch", BASELINE]]
    complexity = frames["complexity"]
    names = [name for name in frames.tables["complexity"].names if name not in ("epoch", "note")]
    settings = [name for name in frames.settings("complexity") if name not in frames.settings("runs")]
    sources: list[tuple[pd.DataFrame, Sequence[str], Sequence[str]]] = [
        (of_training, (), (BASELINE,)),
        (complexity, settings, names),
    ]
    if not frames["folding"].empty:
        folded = aggregate_epochs(frames)
        of_paths = [name for name in frames.readings("folding") if name not in frames.settings("runs")]
        sources.append((folded, of_paths, FOLDING_MEASURES))
    if "path_images" in frames and not frames["path_images"].empty:
        by = frames.readings("path_images")
        of_network = frames["path_images"].groupby(["run", "epoch", *by], dropna=False, sort=False)
        means = of_network[[*IMAGE_MEASURES]].mean()
        ways = [name for name in by if name not in frames.settings("runs")]
        sources.append((means.reset_index(), ways, IMAGE_MEASURES))
    epochs = sorted({int(epoch) for frame, *_ in sources[1:] for epoch in frame["epoch"]})
    for epoch, is_last in [*((epoch, False) for epoch in epochs), (None, True)]:
        for frame, readings, measures in sources:
            at_last = frame["epoch"] == frame["run"].map(last)
            rows = frame[at_last if is_last else (frame["epoch"] == epoch) & ~at_last]
            numbers = {*last[last.index.isin(rows["run"])]}
            named = numbers.pop() if is_last and len(numbers) == 1 else epoch
            for reading, of_reading in _by_reading(rows, frame, readings):
                by_run = of_reading.set_index("run")
                for name in measures:
                    if by_run[name].notna().any():
                        yield _Measured(named, is_last, reading, name, by_run[name].astype(float))


def _by_reading(
    rows: pd.DataFrame, every: pd.DataFrame, readings: Sequence[str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each way of measuring, with its name where there are several."""
    varying = [name for name in readings if every[name].nunique(dropna=False) > 1]
    if not varying:
        yield "", rows
        return
    for key, group in rows.groupby(varying, dropna=False, sort=False):
        named = zip(varying, cast("tuple[Any, ...]", key), strict=True)
        yield ", ".join(f"{name} {value}" for name, value in named if not pd.isna(value)), group


class _Networks:
    """The networks of a study that were trained to the end, and the groups in which they are compared.

    Attributes:
        last: the last epoch of each, by run.
    """

    def __init__(self, frames: Frames) -> None:
        runs = frames["runs"]
        self._num_failed = int((runs["status"] != "done").sum())
        self._runs = runs[runs["status"] == "done"].reset_index(drop=True)
        training = frames["training"][frames["training"]["run"].isin(self._runs["run"])]
        self.last = training.groupby("run")["epoch"].max()
        given = self._runs.loc[~self._runs["run"].isin(self.last.index), "run"]
        if len(given):  # given weights have no training; what was measured of them stands at its only epoch
            measured = pd.concat([frames[name][["run", "epoch"]] for name in ("complexity", "folding")])
            of_given = measured[measured["run"].isin(given)].groupby("run")["epoch"].max()
            self.last = pd.concat([self.last, of_given])
        names = ["architecture", *(name for name in OF_ARCHITECTURE if name in ("activation", "dataset"))]
        settings = [*dict.fromkeys([*names, *frames.settings("runs")])]
        varying = [name for name in settings if self._runs[name].nunique(dropna=False) > 1]
        self._seeds = [name for name in ["seed", *varying] if name in SEEDS]
        self._settings = [name for name in varying if name not in SEEDS]
        self._gaps = {
            "accuracy_gap": self._runs["train_accuracy"] - self._runs["test_accuracy"],
            "loss_gap": self._runs["test_loss"] - self._runs["train_loss"],
        }
        axes = {axis: [name for name in self._settings if name != axis] for axis in self._settings}
        self._compared = {  # for each setting the networks that differ in it alone, then all of a seed
            axis: pairs_within(self._keys([*self._seeds, *others]))
            for axis, others in {**axes, EVERY: []}.items()
        }

    def rank(self, measured: _Measured) -> Iterator[dict[str, Any]]:
        """Yield the rows of one measure at one epoch."""
        x = self._runs["run"].map(measured.values).to_numpy(float)
        for response in RESPONSES:
            y = self._gaps[response].to_numpy(float)
            if not np.isfinite(y).any():  # the accuracy of a regression
                continue
            for least in (0.0, FITTED):
                is_in = (self._runs["train_accuracy"].to_numpy(float) >= least) | (least == 0)
                of_these = np.where(is_in, x, np.nan)
                for row in self._by_axis(of_these, y):
                    yield {
                        "epoch": measured.epoch, "is_last": measured.is_last, "reading": measured.reading,
                        "measure": measured.measure, "response": response, "min_train_accuracy": least, **row,
                    }  # fmt: skip

    def _by_axis(
        self, x: Float64[np.ndarray, "runs"], y: Float64[np.ndarray, "runs"]
    ) -> Iterator[dict[str, Any]]:
        """Yield τ within the groups of each setting, its mean over settings, and τ over all networks."""
        shared = {"num_runs": int((np.isfinite(x) & np.isfinite(y)).sum())}
        notes = [f"{self._num_failed} of {self._num_failed + len(self._runs)} runs failed"] * bool(
            self._num_failed
        )
        by_setting: list[Mapping[Any, float]] = []
        of_mean = {"num_groups": 0, "num_pairs": 0}
        for axis, pairs in self._compared.items():
            found = grouped_tau(pairs, x, y)
            has_tau = np.isfinite(found.tau)
            counts = {"num_groups": int(has_tau.sum()), "num_pairs": int(found.num_pairs[has_tau].sum())}
            own = [*notes, *_left_out(found.num_pairs, has_tau)]
            by_seed: dict[Any, list[float]] = {}
            for group, tau in zip(pairs.groups, found.tau, strict=True):
                if tau == tau:
                    by_seed.setdefault(self._seed_of(group), []).append(float(tau))
            means = {seed: math.fsum(values) / len(values) for seed, values in by_seed.items()}
            if axis != EVERY:
                by_setting.append(means)
                of_mean = {name: of_mean[name] + counts[name] for name in of_mean}
            yield {"axis": axis, **shared, **counts, **_over_seeds([*means.values()], own)}
        if not self._settings:
            return
        seeds = dict.fromkeys(seed for means in by_setting for seed in means)
        of_seed = [[means[seed] for means in by_setting if seed in means] for seed in seeds]
        lacking = sum(not means for means in by_setting)
        own = [*notes, *([f"{lacking} of {len(by_setting)} settings have no group"] * bool(lacking))]
        means_of_seeds = [math.fsum(values) / len(values) for values in of_seed]
        yield {"axis": MEAN, **shared, **of_mean, **_over_seeds(means_of_seeds, own)}

    def _seed_of(self, group: Any) -> Any:
        return group[: len(self._seeds)]

    def _keys(self, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the values of columns of each network; empty cells are equal."""
        columns = (self._runs[name].astype(object).where(self._runs[name].notna(), None) for name in names)
        return [*zip(*columns, strict=True)]


def _left_out(num_pairs: np.ndarray, has_tau: np.ndarray) -> Iterator[str]:
    """Yield why a setting has no group, or fewer than there are."""
    num_measured = int((num_pairs > 0).sum())
    if not num_measured:
        yield "no two networks differ in it alone"
    elif num_measured > has_tau.sum():
        yield f"{num_measured - int(has_tau.sum())} of {num_measured} groups are all ties and left out"


def _over_seeds(values: Sequence[float], notes: Sequence[str]) -> dict[str, Any]:
    """Return the mean over seeds with its interval, and what a reader has to know of both."""
    array = np.array(values, dtype=float)
    reason = why_no_interval(array)
    low, high = t_interval(array, _CORRELATION) or (math.nan, math.nan)
    return {
        "num_seeds": len(values),
        "tau": math.fsum(values) / len(values) if values else math.nan,
        "tau_low": low,
        "tau_high": high,
        "note": "; ".join([*notes, *([reason] if reason else [])]),
    }
