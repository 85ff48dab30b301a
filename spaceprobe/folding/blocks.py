"""An engine on a prepared network, and the blocks of paths that it walks at a time."""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from spaceprobe.folding.counts import PathFolding
from spaceprobe.folding.guards import check_device
from spaceprobe.folding.jvp_walk import TooManyRegions, paths_per_batch, walk_regions
from spaceprobe.folding.measure import History, fold_history
from spaceprobe.folding.modules import Ends, Network, prepare
from spaceprobe.folding.sampled import points_per_block, sample_paths

Method = Literal["exact", "sampled", "jvp", "kernel"]
Precision = Literal["float64", "float32"]

DEFAULT_TOLERANCE = 1e-12
"""A unit is at its boundary where |z| ≤ tolerance·scale.

Far above rounding, which is some 1e-16 of the scale, and far below what tells two units apart. Any value
from 1e-15 to 1e-12 gives the same on all 621 degenerate networks of the tests, and any from 1e-15 to 1e-11
on 44,000 paths between MNIST test images in trained 2x30, 6x10, 2x300 and 10x60.
"""

MAX_TOLERANCE = 1e-6
"""Chosen: beyond it, units that differ would be taken for tied."""


@dataclass(frozen=True)
class Engine:
    """A prepared network and how its paths are walked.

    Attributes:
        network: the module in float64.
        walk: from starts and ends to what was seen on the way.
        block_size: how many paths are walked at a time.
    """

    network: Network
    walk: Callable[[Ends, Ends], History]
    block_size: int

    def fold(self, a: Ends, b: Ends) -> PathFolding:
        """Return the folding of a block of paths; of its halves where it is too long for one.

        Raises:
            RuntimeError: if even a single path crosses too many linear regions.
        """
        num_paths = len(a.value)
        if num_paths == 0:
            return PathFolding(*np.zeros((len(fields(PathFolding)), 0), dtype=np.int64))
        try:
            return fold_history(self.walk(a, b))
        except TooManyRegions as error:
            if num_paths == 1:
                raise RuntimeError(
                    "a single path crosses more linear regions than can be remembered; walk it in "
                    'parts, or use method="sampled"'
                ) from error
        half = num_paths // 2
        first, second = slice(None, half), slice(half, None)
        return join([self.fold(a.take(part), b.take(part)) for part in (first, second)])


def check_options(method: Method, num_points: int, tolerance: float) -> None:
    """Raise ValueError for a method that there is not, and for numbers out of range."""
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}: choose one of {', '.join(get_args(Method))}")
    if num_points < 2:
        raise ValueError(f"num_points is {num_points}: a path has at least its 2 ends")
    if not 0 < tolerance <= MAX_TOLERANCE:
        raise ValueError(f"tolerance is {tolerance}: it must be above 0 and at most {MAX_TOLERANCE}")


def make_engine(
    module: nn.Module,
    example: Tensor,
    method: Method,
    num_points: int,
    device: str | torch.device,
    tolerance: float,
) -> Engine:
    """Return the engine of a method for a module and images such as the example."""
    device = check_device(device)
    # without images there is still a shape
    example = example[:1] if len(example) else example.new_zeros((1, *example.shape[1:]))
    network = prepare(module, example, device)
    num_features = network.ends(example).value[0].numel()
    if method == "sampled":
        block_size = max(1, points_per_block(network, num_features) // num_points)
        return Engine(network, partial(sample_paths, network, num_points=num_points), block_size)
    block_size = paths_per_batch(network, num_features)
    return Engine(network, partial(walk_regions, network, tolerance=tolerance), block_size)


def blocks(num_items: int, block_size: int) -> Iterator[slice]:
    """Yield slices that cut items into blocks, at least one, the last one perhaps smaller."""
    for start in range(0, max(num_items, 1), block_size):
        yield slice(start, min(start + block_size, num_items))


def join(foldings: list[PathFolding]) -> PathFolding:
    """Return the folding of all paths of several blocks."""
    return PathFolding(*(np.concatenate(columns) for columns in zip(*map(astuple, foldings), strict=True)))
