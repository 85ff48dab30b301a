"""The flips of paths one by one: which unit flips in which step, beside what a walk counts of them.

The layerwise walk, the sampled and the adaptive one list the flips that they count. The kernel and the jvp
walk keep length and distances alone: of their paths the layerwise walk lists the flips, and the two have to
agree on the length of every path.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import nn

from spaceprobe.errors import SpaceprobeError
from spaceprobe.folding.block_walker import blocks, join, make_walker
from spaceprobe.folding.choice import engine_for
from spaceprobe.folding.counted import Counted, Threshold, Units
from spaceprobe.folding.counts import PathFolding
from spaceprobe.folding.engine import walk_batch
from spaceprobe.folding.guards import check_images, check_same_shape
from spaceprobe.folding.layerwise.steps import Flips, net_flips
from spaceprobe.folding.options import (
    DEFAULT_TOLERANCE,
    LISTING,
    Bits,
    Method,
    Precision,
    check_options,
    check_walk,
)
from spaceprobe.folding.points import Points, read_points


class UnequalLengthsError(SpaceprobeError):
    """Two walks of a path do not agree on its length."""


@dataclass(frozen=True)
class PathFlips:
    """The flips of a batch of paths, ordered by path, step and unit; arrays have shape ``(num_flips,)``.

    Attributes:
        path: of which path.
        step: the number of its step on that path, from 0; what flips at one t is one step.
        unit: the number of the unit, among all of the network.
        before: the unit's symbol before: 0 or 1 for a bit.
        after: its symbol after.
        num_paths: also those without a flip.
    """

    path: Int64[np.ndarray, " flips"]
    step: Int64[np.ndarray, " flips"]
    unit: Int64[np.ndarray, " flips"]
    before: Int64[np.ndarray, " flips"]
    after: Int64[np.ndarray, " flips"]
    num_paths: int

    @property
    def length(self) -> Int64[np.ndarray, " paths"]:
        """The number of flips of each path."""
        return np.bincount(self.path, minlength=self.num_paths)

    @property
    def num_steps(self) -> Int64[np.ndarray, " paths"]:
        """The number of steps of each path in which something flips."""
        num_steps = np.zeros(self.num_paths, dtype=np.int64)
        np.maximum.at(num_steps, self.path, self.step + 1)
        return num_steps

    def reversed(self) -> "PathFlips":
        """Return the flips of the same paths walked from their ends to their starts."""
        step = self.num_steps[self.path] - 1 - self.step
        order = np.lexsort((self.unit, step, self.path))
        return PathFlips(
            self.path[order],
            step[order],
            self.unit[order],
            self.after[order],
            self.before[order],
            self.num_paths,
        )


def walk_with_flips(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    method: Method = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
    precision: Precision = "float64",
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
) -> tuple[PathFolding, PathFlips]:
    """Return the folding of the straight paths from a to b, and their flips.

    The arguments are those of `walk_paths`. The flips of a sampled path are what differs from each point to
    the next, those of an adaptive one what differs between the ends of its intervals.

    Raises:
        ValueError: see `walk_paths`.
        TypeError: see `walk_paths`.
        UnequalLengthsError: see `check_lengths`.
    """
    a, b = read_points("a", a), read_points("b", b)
    check_options(method, num_points, tolerance, bits)
    check_walk(threads, precision)
    check_images("a", a)
    check_images("b", b)
    check_same_shape(("a", "b"), a.shape, b.shape)
    counted = Counted(units, threshold, bits)
    choice = {"method": method, "device": device, "precision": precision}
    engine = engine_for(network, a, **choice, units=units, threshold=threshold)  # type: ignore[arg-type]
    walked = None
    if engine not in LISTING or len(a) == 0:
        walked = walk_batch(
            network,
            a,
            b,
            **choice,  # type: ignore[arg-type]
            num_points=num_points,
            tolerance=tolerance,
            threads=threads,
            bits=bits,
            units=units,
            threshold=threshold,
        )
    lister = engine if engine in LISTING else "layerwise"
    walker = make_walker(network, a, lister, num_points, device, tolerance, counted, threads, precision)
    foldings, listed, first = [], [], 0
    for block in blocks(len(a), walker.block_size):
        flips: list[Flips] = []
        ends = (walker.network.ends(images[block]) for images in (a, b))
        foldings.append(walker.fold(*ends, flips=flips))
        listed.append(_of_block(flips, first))
        first = block.stop
    folding = walked or join(foldings)
    path, step, unit, before, after = (np.concatenate(columns) for columns in zip(*listed, strict=True))
    found = PathFlips(path, step, unit, before, after, num_paths=len(a))
    check_lengths(folding, found, engine, lister)
    return folding, found


def check_lengths(folding: PathFolding, flips: PathFlips, engine: str, lister: str) -> None:
    """Check that every path has as many flips as its length.

    Raises:
        UnequalLengthsError: one has not, which is an error of a walk.
    """
    is_other = flips.length != folding.length
    if is_other.any():
        path = int(is_other.argmax())
        raise UnequalLengthsError(
            f"path {path} of {len(is_other)}: the {engine} walk counts {folding.length[path]} flips and the "
            f"{lister} walk lists {flips.length[path]}, so one of them is wrong; the method layerwise "
            "counts what it lists"
        )


def _of_block(flips: list[Flips], first: int) -> tuple[np.ndarray, ...]:
    """Return path, step, unit, before and after of the flips of a block of paths, numbered from the first."""
    flips = [some for some in flips if len(some.path)]
    if not flips:
        return tuple(np.zeros(0, dtype=np.int64) for _ in range(5))
    net, step = net_flips(Flips.join(flips))
    columns = net.path, step, net.unit, net.before, net.after
    path, number, unit, before, after = (column.cpu().numpy().astype(np.int64) for column in columns)
    # Steps are numbered over the whole block, and some are left without a flip: from 0 on each path.
    number = np.cumsum(np.diff(number, prepend=-1) != 0) - 1
    is_first = np.diff(path, prepend=-1) != 0
    of_path = number - np.maximum.accumulate(np.where(is_first, number, 0))
    return path + first, of_path, unit, before, after
