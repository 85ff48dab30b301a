"""Measure a network once: the paths that a recorder walks, and the decomposition of its matrices."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from spaceprobe.recording.ends import RecordedPaths
from spaceprobe.recording.isolation import not_finite
from spaceprobe.stages.fold.model_paths import Cost, prepare_network, walk_chosen
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.lmd.tables import OF_STEPS, tabulate_records
from spaceprobe.stages.lmd.weight_file import open_network
from spaceprobe.tables.frames import build_frame

if TYPE_CHECKING:
    import pandas as pd

    from spaceprobe.stages.fold.model_ends import ChosenPaths

NUM_LOOKED_AT = 16
"""Chosen, as by `fold --model`: paths whose ends say in which range random inputs lie."""

LONG_S = 10.0
"""Chosen: a measurement that is expected to take longer is predicted from some paths, and may be told."""

LONG_PATH_S = 1.0
"""Chosen: where a path takes less, its time is mostly what every walk takes, however many paths."""

NUM_SOME = 8
"""Chosen: how many paths are timed together then."""

MEANS = ("chi", "chi_back", "null_chi", "peak", "length", "reach")
"""Columns of paths whose means stand in recording.csv."""

SHOWN_OF_A_MATRIX = ("rank", "stable_rank", "spectral_norm")
"""Columns of lmd_layers.csv that a tracker gets of every matrix."""


@dataclass(frozen=True)
class MeasurementCost:
    """What one measurement is expected to take on this machine.

    Attributes:
        fold_s: seconds of the paths.
        lmd_s: seconds of the decompositions; 0 without them.
    """

    fold_s: float
    lmd_s: float

    @property
    def seconds(self) -> float:
        """Seconds of both."""
        return self.fold_s + self.lmd_s


def walk_recorded(
    network: nn.Module,
    paths: RecordedPaths,
    settings: FoldingSettings,
    where: str,
    tell: Callable[[Cost], None],
) -> "tuple[dict[str, Any], pd.DataFrame]":
    """Return the row of recording.csv and the rows of model_paths.csv, both without the step.

    Args:
        network: a copy in evaluation mode, which is changed.
        paths: that are walked.
        settings: how.
        where: what messages begin with.
        tell: see `walk_chosen`.

    Raises:
        ModelSourceError: the network cannot be walked.
    """
    frame = _walked(network, paths.chosen, settings, where, tell)
    for end in ("source", "target"):
        frame[end] = paths.numbers[frame[end]]
    row = {
        "num_paths": len(frame),
        **{name: float(frame[name].mean()) for name in MEANS},
        "folded": float((frame["chi"] > 0).mean()),
        "num_violations": int(frame["num_violations"].sum()),
    }
    return row, frame


def why_not_walked(network: nn.Module) -> str | None:
    """Return why a network that trains has no paths now; None where it has."""
    name = not_finite(network)
    return None if name is None else f"{name} has values that are not finite"


def decompose_network(
    network: nn.Module, name: str, run: str, step: int, leading: int | None
) -> "tuple[dict[str, pd.DataFrame], int]":
    """Return the tables of the decomposition of every matrix at a step, and how many were decomposed.

    Args:
        network: a copy in evaluation mode.
        name: what messages call it.
        run: what the tables call it.
        step: the step.
        leading: only so many leading values of larger matrices; None for all.

    Raises:
        SpaceprobeError: the network has no matrix.
    """
    matrices = open_network(network, name, "", {"heads": None, "leading": leading})
    records = [matrices.compute(part).record for part in matrices.parts]
    rows = tabulate_records(records, OF_STEPS)
    tables = {
        table.name: build_frame(table, [{"run": run, "step": step, **row} for row in rows[table.name]])
        for table in OF_STEPS
    }
    return tables, int(tables["lmd_layers"]["valid"].astype(bool).sum())


def warm_up(network: nn.Module, paths: RecordedPaths, settings: FoldingSettings, where: str) -> None:
    """Walk a path, which compiles what the others find ready.

    Raises:
        ModelSourceError: the network cannot be walked.
    """
    _walked(network, paths.first(1), settings, where)


def predicted_seconds(
    network: nn.Module, paths: RecordedPaths, settings: FoldingSettings, where: str
) -> float:
    """Return the seconds that the paths are expected to take, from some of them where all take long.

    Raises:
        ModelSourceError: the network cannot be walked.
    """

    def seconds_of(num_paths: int) -> float:
        return timed(lambda: _walked(network, paths.first(num_paths), settings, where))[1]

    num_paths = len(paths.chosen)
    seconds_of(1)  # compiles
    one_s = seconds_of(1)
    if one_s * num_paths < LONG_S or num_paths <= NUM_SOME:
        return seconds_of(num_paths)
    if one_s > LONG_PATH_S:
        return one_s * num_paths
    some_s = seconds_of(NUM_SOME)  # what every walk takes, however many paths, counts once
    return one_s + max(0.0, some_s - one_s) / (NUM_SOME - 1) * (num_paths - 1)


def structure_of(network: nn.Module) -> str:
    """Return the SHA-256 of the names and shapes of a network's weights and buffers."""
    lines = [f"{name} {tuple(tensor.shape)}\n" for name, tensor in sorted(network.state_dict().items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def values_of_matrices(layers: "pd.DataFrame") -> dict[str, float | int]:
    """Return numbers of each matrix as trackers take them, as ``lmd/0.weight/rank``.

    Args:
        layers: the rows of lmd_layers.csv of one step; those that were not decomposed have no numbers.
    """
    return {
        f"lmd/{row['name']}/{column}": _plain(row[column])
        for _, row in layers[layers["valid"].astype(bool)].iterrows()
        for column in SHOWN_OF_A_MATRIX
    }


def values_of_row(row: Mapping[str, Any]) -> dict[str, float | int]:
    """Return the numbers of a row of recording.csv; none where a cell is empty."""
    return {
        name: _plain(value)
        for name, value in row.items()
        if value is not None and not isinstance(value, str) and name != "step"
    }


def _plain(value: Any) -> float | int:
    """Return a number as Python's own."""
    return value if type(value) in (int, float) else value.item()  # type: ignore[no-any-return]  # numpy's


def _walked(
    network: nn.Module,
    paths: "ChosenPaths",
    settings: FoldingSettings,
    where: str,
    tell: Callable[[Cost], None] = lambda _cost: None,
) -> "pd.DataFrame":
    ends = torch.cat(paths.block(slice(0, NUM_LOOKED_AT)))
    prepared = prepare_network(network, ends, settings, where)
    return walk_chosen(prepared, paths, where, tell=tell, advance=lambda _num_paths: None)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and the seconds that it took."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start
