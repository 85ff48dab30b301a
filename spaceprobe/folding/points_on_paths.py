"""The points of straight paths at which something is summed: all breakpoints, or evenly spaced ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding import layerwise
from spaceprobe.folding.block_walker import blocks
from spaceprobe.folding.counted import BENDS, Counted
from spaceprobe.folding.guards import check_images, check_same_shape
from spaceprobe.folding.layerwise.knots import order_by
from spaceprobe.folding.layerwise.lines import line_flips
from spaceprobe.folding.options import check_options, check_walk
from spaceprobe.folding.points import Points, read_points
from spaceprobe.folding.prepared_module import EndValues, PreparedModule, count_bits, prepare
from spaceprobe.machine.torch_threads import one_thread

MAX_NUMBERS = 2**20
"""Chosen: numbers in the largest tensor of a block of points, 8 MiB."""

PointMethod = Literal["exact", "layerwise", "sampled"]
"""At which t values are taken; see `PathPoints`."""


@dataclass(frozen=True)
class BlockOfPaths:
    """Some paths and the points on them, in the order of paths and of t.

    Attributes:
        paths: which of all.
        a: their starts.
        b: their ends.
        path: of each point, the number of its path in the block.
        t: where on the path it is, in [0, 1]; the first of a path is 0, the last 1.
        num_violations: linear regions of each path that failed the region check.
    """

    paths: slice
    a: EndValues
    b: EndValues
    path: Int64[Tensor, " points"]
    t: Float64[Tensor, " points"]
    num_violations: Int64[Tensor, " paths"]

    def at(self, path: Int64[Tensor, " points"], t: Float64[Tensor, " points"]) -> Tensor:
        """Return points of the block's paths, at the entry of the network's body."""
        return torch.lerp(self.a.value[path], self.b.value[path], t.view(-1, *[1] * (self.a.value.ndim - 1)))


class PathPoints:
    """Straight paths through a network and the points on them, block by block; on the CPU.

    Attributes:
        network: ready to be run.
        a: the starts as they were given.
        b: the ends.
        is_exact: whether the points are the ends and every t at which an activation or a maximum bends.
    """

    def __init__(
        self,
        network: nn.Module,
        a: Points,
        b: Points,
        *,
        method: PointMethod,
        num_points: int,
        tolerance: float,
        threads: int | None,
    ) -> None:
        """Check the arguments, and prepare the network.

        Args:
            network: see `walk_paths`.
            a: starts, of shape ``(num_paths, *input shape)``.
            b: ends, of the same shape.
            method: ``exact``, also called ``layerwise``, for a network that is piecewise linear; ``sampled``
                takes evenly spaced points of any module.
            num_points: for ``sampled``, both ends included, at least 2.
            tolerance: see `walk_paths`.
            threads: of the walk; see `walk_paths`.

        Raises:
            ValueError: see `walk_paths`.
            TypeError: see `walk_paths`.
        """
        if method not in get_args(PointMethod):
            raise ValueError(
                f"method is {method!r}: distances are measured by one of {', '.join(get_args(PointMethod))}"
            )
        check_options(method, num_points, tolerance)
        check_walk(threads, "float64")
        self.a, self.b = read_points("a", a), read_points("b", b)
        check_images("a", self.a)
        check_images("b", self.b)
        check_same_shape(("a", "b"), self.a.shape, self.b.shape)
        self._example = self.a[:1] if len(self.a) else self.a.new_zeros((1, *self.a.shape[1:]))
        self.is_exact = method != "sampled"
        count, counted = (layerwise.count_bits, Counted("all")) if self.is_exact else (count_bits, BENDS)
        self.network: PreparedModule = prepare(network, self._example, torch.device("cpu"), count, counted)
        self._even = torch.arange(num_points, dtype=torch.float64) / (num_points - 1)
        self._tolerance, self._threads = tolerance, threads

    @property
    def example(self) -> Tensor:
        """One input of the network's body."""
        return self.network.ends(self._example).value

    @torch.no_grad()
    def blocks(self) -> Iterator[BlockOfPaths]:
        """Yield the paths block by block; what is done with each runs on one thread of torch."""
        starts, ends = self.network.ends(self.a), self.network.ends(self.b)
        crew = layerwise.Crew(self.network, self._threads)
        size = layerwise.paths_per_batch(self.network, starts.value.shape[1:].numel())
        if not self.is_exact:
            size = max(1, MAX_NUMBERS // len(self._even))
        for block in blocks(len(self.a), size):
            a, b = starts.take(block), ends.take(block)
            if self.is_exact:
                path, t, num_violations = breakpoints(crew, a, b, self._tolerance)
            else:
                num_paths = len(a.value)
                path = torch.arange(num_paths).repeat_interleave(len(self._even))
                t = self._even.repeat(num_paths)
                num_violations = torch.zeros(num_paths, dtype=torch.int64)
            with one_thread():
                yield BlockOfPaths(block, a, b, path, t, num_violations)


def breakpoints(
    crew: layerwise.Crew, a: EndValues, b: EndValues, tolerance: float
) -> tuple[Int64[Tensor, " points"], Float64[Tensor, " points"], Int64[Tensor, " paths"]]:
    """Return path and t of both ends of each path, and of each t between at which something bends.

    And for each path how many of its linear regions failed the region check.
    """
    flips, num_violations = line_flips(crew, a, b, tolerance)
    paths = torch.arange(len(a.value))
    path = torch.cat([paths, paths, flips.path])
    zeros = torch.zeros(len(paths), dtype=torch.float64)
    t = torch.cat([zeros, zeros + 1, flips.t])
    order = order_by(path, t)
    path, t = path[order], t[order]
    is_new = torch.ones_like(path, dtype=torch.bool)
    is_new[1:] = (path[1:] != path[:-1]) | (t[1:] != t[:-1])
    return path[is_new], t[is_new], num_violations
