"""Fold paths through a network that stands by itself: a row a path, and what it costs is told before."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from spaceprobe.folding import (
    AdaptiveFolding,
    PlacedEngine,
    engine_for,
    null_folding,
    passed_over,
    space_folding,
)
from spaceprobe.folding.choice import engine_beside_kernel
from spaceprobe.folding.counted import Counted
from spaceprobe.folding.engine_check import check_engine
from spaceprobe.folding.null_model import compile_shuffles
from spaceprobe.folding.options import SAMPLING
from spaceprobe.machine.cuda_errors import CudaError, told_plainly
from spaceprobe.model_sources.construction import seeded
from spaceprobe.model_sources.source import ModelSourceError
from spaceprobe.stages.fold.detail import measure_paths, walk_ends
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.model_ends import ChosenPaths
from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.path_measures.entry import PathMeasure
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.fold.tables import CLASS_PAIRS, METHOD, NUM_POINTS
from spaceprobe.tables.table import Column, Table

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

Walked = TypeVar("Walked")

CHECKED_POINTS = 4
"""Chosen: random inputs at which an engine is compared with the network."""

QUICK_S = 0.05
"""Chosen: a path that takes less is timed again, together with others, as most are walked."""

TIMED_PATHS = 32
"""Chosen: how many are timed together then."""

BLOCK_S = 5.0
"""Chosen: seconds between two reports of progress."""

MAX_BLOCK = 4096
"""Chosen: the most paths that are walked between two of them."""

MODEL_PATHS = Table(
    "model_paths",
    key=("step", "path"),
    columns=(
        Column(
            "step",
            "integer",
            "number in the name of the checkpoint; only where --weights is a folder of some",
        ),
        Column("path", "integer", "number of the path among all that there were to choose from, from 0"),
        *ENDPOINTS[CLASS_PAIRS].key_columns,
        Column("source", "integer", "number of the test image, or of the point in --from, where it starts"),
        Column("target", "integer", "number of the test image, or of the point in --to, where it ends"),
        METHOD,
        NUM_POINTS,
        Column("distance", "number", "L2 distance of the ends in input space"),
        *(column for measure in PATH_MEASURES.values() for column in measure.columns),
        Column("reach_back", "integer", "the same from the target: reach of the path read from there"),
        Column("chi_back", "number", "1 - reach_back / length, in [0, 1); 0 for length 0"),
        Column("peak_back", "number", "largest chi of the paths from the target to a point of this path"),
        Column("null_chi_back", "number", "null_chi of the path read from the target"),
        Column("num_violations", "integer", "linear regions that failed the region check"),
        Column("unresolved", "integer", "of an adaptive walk: intervals in which several units flip"),
        Column("engine", "text", "what walked it: kernel, cuda-kernel, layerwise, jvp, sampled or adaptive"),
        Column("not_counted", "text", "functions that are neither affine nor counted; empty for none"),
    ),
    meaning="a path that `spaceprobe fold --model` walked, read from both ends",
)
"""Not a table of a study: what ``--out`` of the command gets. The classes are those of data sets only."""


@dataclass(frozen=True)
class Prepared:
    """A network whose paths can be walked: checked, and its engine chosen.

    Attributes:
        network: in float64.
        engine: what walks it.
        way: how, as `spaceprobe.folding.walk_batch` takes it.
        not_counted: functions that are neither affine nor counted.
        check: what the comparison of the engine with the network gave, as a sentence.
        is_auto: whether nobody asked for the GPU by name, so that the CPU will do.
        measures: of each path.
    """

    network: nn.Module
    engine: PlacedEngine
    way: dict[str, Any]
    not_counted: tuple[str, ...]
    check: str
    is_auto: bool = False
    measures: tuple[PathMeasure, ...] = ()

    def run(self, walk: Callable[[], Walked]) -> Walked:
        """Return what a walk returns that reads ``way``; on the CPU where ``auto`` meets a failing GPU.

        Raises:
            CudaError: the GPU failed, and it was asked for by name.
        """
        if self.way["device"] == "cpu":
            return walk()
        try:
            with told_plainly(self.way["device"]):
                return walk()
        except CudaError as error:
            if not self.is_auto:
                raise
            logger.warning("%s; device is auto, so the CPU walks the paths from here on", error)
        self.way["device"] = "cpu"
        return walk()


@dataclass(frozen=True)
class Cost:
    """What paths are expected to take.

    Attributes:
        path_s: seconds a path.
        num_left: paths that are not walked yet.
    """

    path_s: float
    num_left: int

    @property
    def left_s(self) -> float:
        """Seconds that the others are expected to take."""
        return self.path_s * self.num_left


def prepare_network(
    network: nn.Module,
    example: Tensor,
    settings: FoldingSettings,
    where: str,
    *,
    is_traced: bool = False,
) -> Prepared:
    """Return a network ready to be walked, after its engine was compared with it at random inputs.

    Args:
        network: in evaluation mode.
        example: ends of paths, of shape ``(points, *input shape)``; the random inputs lie in their range.
        settings: how paths are walked.
        where: what names the network, to begin a message with.
        is_traced: whether its paths are traced step by step, which the kernel does not do.

    Raises:
        ModelSourceError: it cannot be walked in this way; or the engine computes other numbers than it.
    """
    if isinstance(settings.threshold, str):
        raise ModelSourceError(
            f"folding.threshold: {settings.threshold} is taken over the training images of a study; give a "
            "number"
        )
    counted = Counted(settings.units, settings.threshold, settings.bits)
    choice: dict[str, Any] = {
        **{"method": settings.method, "device": settings.device, "precision": settings.precision},
        **{"units": counted.units, "threshold": counted.threshold},
    }
    with walking(where):
        network = network.double()
        if settings.device == "auto":
            on_cpu = engine_for(network, example, **{**choice, "device": "cpu"})
            # of MLPs on the CPU: a GPU pays for more paths than are listed one by one
            is_gpu = torch.cuda.is_available() and on_cpu != "kernel"
            choice["device"] = "cuda" if is_gpu else "cpu"
        engine = engine_for(network, example, **choice)
        if is_traced:
            engine = engine_beside_kernel(network, example, settings.method, counted)
        not_counted = passed_over(network, example, units=settings.units, bits=settings.bits)
        low, high = float(example.min()), float(example.max())
        with seeded(0):
            # of the range of the ends; a single grey has none
            points = low + (high - low or 1.0) * torch.rand(
                CHECKED_POINTS, *example.shape[1:], dtype=torch.float64
            )
        check = check_engine(network, points, engine, counted)
    if check is None:
        sentence = "the sampled walk runs the network itself: no engine to compare with it"
    elif not check.agrees:
        raise ModelSourceError(
            f"{where}: the engine {engine} computes other numbers than the network itself at random inputs "
            f"(relative difference {check.difference:.1e}), so its walk is not one of this network; use "
            "--method sampled"
        )
    else:
        what = "outputs" if check.has_outputs else "inputs of all activations"
        sentence = (
            f"compared with the network itself at {check.num_points} random inputs: the engine's {what} "
            + (f"differ by {check.difference:.0e} of their scale" if check.difference else "are the same")
        )
    way = {
        **choice,
        **{"num_points": settings.num_points, "threads": settings.threads, "bits": settings.bits},
    }
    is_auto = settings.device == "auto"
    return Prepared(network, engine, way, not_counted, sentence, is_auto, settings.path_measures)


@contextmanager
def walking(where: str) -> Iterator[None]:
    """Turn what a walk raises into an error that a user sees, with the flag in place of the argument.

    Raises:
        ModelSourceError: the network cannot be walked.
    """
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).replace('use method="sampled"', "use --method sampled")
        raise ModelSourceError(f"{where}: {reason}") from error


def walk_chosen(
    prepared: Prepared,
    paths: ChosenPaths,
    where: str,
    *,
    tell: Callable[[Cost], None],
    advance: Callable[[int], None],
) -> "pd.DataFrame":
    """Return a row a path, as `MODEL_PATHS` declares; without classes where there are none.

    Args:
        prepared: the network.
        paths: at least one.
        where: what names the network, to begin a message with.
        tell: called once, as soon as a path has been timed, with what the others are expected to take.
        advance: called with how many more paths are done.

    Raises:
        ModelSourceError: a path cannot be walked.
    """
    batches: list[Mapping[str, np.ndarray]] = []
    done = 0

    def walk(num_paths: int) -> float:
        """Walk the next paths, and return the seconds that each took."""
        nonlocal done
        block = slice(done, min(done + num_paths, len(paths)))
        a, b = paths.block(block)
        start = time.perf_counter()
        with walking(where):
            batches.append(prepared.run(lambda: _measure(prepared, a, b)))
        done = block.stop
        advance(len(a))
        return (time.perf_counter() - start) / len(a)

    a, _ = paths.block(slice(0, 1))
    with walking(where):
        compile_shuffles()
        # compiles the kernel, and is not timed
        prepared.run(lambda: _measure(prepared, a, a))
    path_s = walk(1)
    if path_s < QUICK_S and done < len(paths):
        path_s = walk(TIMED_PATHS)
    tell(Cost(path_s, len(paths) - done))
    while done < len(paths):
        path_s = walk(int(np.clip(BLOCK_S / max(path_s, 1e-9), 1, MAX_BLOCK)))
    return _frame(prepared, paths, {name: np.concatenate([b[name] for b in batches]) for name in batches[0]})


def join_frames(frames: "Mapping[int | None, pd.DataFrame]") -> "pd.DataFrame":
    """Return the rows of all checkpoints, with their steps where there are any."""
    import pandas as pd

    with_steps = [
        frame if step is None else pd.concat([pd.Series(step, frame.index, name="step"), frame], axis=1)
        for step, frame in frames.items()
    ]
    return pd.concat(with_steps, ignore_index=True) if len(with_steps) > 1 else with_steps[0]


def _measure(prepared: Prepared, a: Tensor, b: Tensor) -> Mapping[str, np.ndarray]:
    """Return the measures of a batch of paths, from both ends."""
    walked = walk_ends(prepared.network, a, b, prepared.way)
    folding = walked.folding
    return {
        **measure_paths(walked, prepared.measures),
        "reach_back": folding.reach_from_b,
        "chi_back": space_folding(folding.length, folding.reach_from_b),
        "peak_back": space_folding(folding.peak_length_from_b, folding.peak_reach_from_b),
        "null_chi_back": null_folding(walked.flips.reversed()).mean,
        "num_violations": folding.num_violations,
        **({"unresolved": folding.num_unresolved} if isinstance(folding, AdaptiveFolding) else {}),
    }


def _frame(prepared: Prepared, paths: ChosenPaths, measured: Mapping[str, np.ndarray]) -> "pd.DataFrame":
    import pandas as pd

    method = prepared.way["method"]
    columns: dict[str, Any] = {
        "path": paths.number,
        **paths.columns,
        "source": paths.source,
        "target": paths.target,
        "method": method,
        "num_points": prepared.way["num_points"] if method in SAMPLING else None,
        "unresolved": None,
        **measured,
        "engine": prepared.engine,
        "not_counted": "; ".join(prepared.not_counted) or None,
    }
    return pd.DataFrame({name: columns[name] for name in MODEL_PATHS.names if name in columns})
