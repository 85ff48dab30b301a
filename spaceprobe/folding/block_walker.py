"""A prepared network whose paths are walked in torch, and the blocks of paths walked at a time."""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from spaceprobe.folding import layerwise
from spaceprobe.folding.adaptive import sample_adaptively
from spaceprobe.folding.counted import BENDS, Counted
from spaceprobe.folding.counts import AdaptiveFolding, PathFolding
from spaceprobe.folding.guards import check_device
from spaceprobe.folding.jvp_walk import TooManyRegions, paths_per_batch, walk_regions
from spaceprobe.folding.layerwise.steps import Flips
from spaceprobe.folding.measure import History, fold_history
from spaceprobe.folding.options import SAMPLING, Engine, Precision
from spaceprobe.folding.prepared_module import (
    CountUnits,
    EndValues,
    PreparedModule,
    count_bits,
    count_relu_units,
    prepare,
)
from spaceprobe.folding.sampled import points_per_block, sample_paths


@dataclass(frozen=True)
class BlockWalker:
    """A prepared network and how its paths are walked.

    Attributes:
        network: the module in float64.
        walk: takes starts and ends, returns what was seen on the way; of the engines that are `LISTING` also
            ``flips``, a list that gets the flips of these paths.
        block_size: how many paths are walked at a time.
        kind: of the result.
    """

    network: PreparedModule
    walk: Callable[..., History]
    block_size: int
    kind: type[PathFolding] = PathFolding

    def fold(self, a: EndValues, b: EndValues, *, flips: list[Flips] | None = None) -> PathFolding:
        """Return the folding of a block of paths; of its halves where it is too much for one.

        Args:
            a: starts.
            b: ends, as many.
            flips: a list that gets the flips of these paths; only of engines that are `LISTING`.

        Raises:
            RuntimeError: if even a single path crosses too many linear regions, or is too much for a GPU.
        """
        num_paths = len(a.value)
        if num_paths == 0:
            return self.kind(*np.zeros((len(fields(self.kind)), 0), dtype=np.int64))
        if flips is not None:
            return fold_history(self.walk(a, b, flips=flips))
        try:
            return fold_history(self.walk(a, b))
        except TooManyRegions as error:
            if num_paths == 1:
                raise RuntimeError(
                    "a single path crosses more linear regions than can be remembered; walk it in "
                    'parts, or use method="sampled"'
                ) from error
        except torch.OutOfMemoryError:
            if num_paths == 1:
                raise
        # Here the tensors of the attempt are gone, which the error kept.
        if self.network.device.type == "cuda":
            torch.cuda.empty_cache()
        half = num_paths // 2
        first, second = slice(None, half), slice(half, None)
        return join([self.fold(a.take(part), b.take(part)) for part in (first, second)])


COUNTS: dict[Engine, CountUnits] = {"layerwise": layerwise.count_bits}
"""Which units an exact engine counts, where they are not those of ReLUs."""


def make_walker(
    module: nn.Module,
    example: Tensor,
    engine: Engine,
    num_points: int,
    device: str | torch.device,
    tolerance: float,
    counted: Counted = BENDS,
    threads: int | None = None,
    precision: Precision = "float64",
) -> BlockWalker:
    """Return the walker of a module by an engine other than the kernel, for images such as the example.

    Threads and precision are those of the layerwise walk (`spaceprobe.folding.layerwise.crew`).
    """
    device = check_device(device)
    # Without images there is still a shape.
    example = example[:1] if len(example) else example.new_zeros((1, *example.shape[1:]))
    is_sampled = engine in SAMPLING
    count = count_bits if is_sampled else COUNTS.get(engine, count_relu_units)
    network = prepare(module, example, device, count, counted)
    num_features = network.ends(example).value[0].numel()
    if engine == "layerwise":
        block_size = layerwise.paths_per_batch(network, num_features)
        crew = layerwise.Crew(network, threads, precision)
        return BlockWalker(network, partial(layerwise.walk_layers, crew, tolerance=tolerance), block_size)
    if is_sampled:
        block_size = max(1, points_per_block(network, num_features) // num_points)
        if engine == "adaptive":
            walk = partial(sample_adaptively, network, num_points=num_points)
            return BlockWalker(network, walk, block_size, AdaptiveFolding)
        return BlockWalker(network, partial(sample_paths, network, num_points=num_points), block_size)
    block_size = paths_per_batch(network, num_features)
    return BlockWalker(network, partial(walk_regions, network, tolerance=tolerance), block_size)


def blocks(num_items: int, block_size: int) -> Iterator[slice]:
    """Yield slices that cut items into blocks, at least one, the last one perhaps smaller."""
    for start in range(0, max(num_items, 1), block_size):
        yield slice(start, min(start + block_size, num_items))


def join(foldings: list[PathFolding]) -> PathFolding:
    """Return the folding of all paths of several blocks."""
    kind = type(foldings[0])
    return kind(*(np.concatenate(columns) for columns in zip(*map(astuple, foldings), strict=True)))
