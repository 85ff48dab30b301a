"""Space folding in continuous distances: of pre-activations and activations, by layer, exact.

Along a path every pre-activation z and every activation h of a piecewise-linear network is piecewise affine
in t, and bends at breakpoints only. So the total variation in a norm is a sum over the breakpoints, and
since ‖h(t) - h(0)‖ is convex between two of them, it is largest at one (docs/definitions.md, "Continuous
distances"). Their values there are those of a forward pass.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding.layer_values import layer_widths, see_layers
from spaceprobe.folding.options import DEFAULT_TOLERANCE
from spaceprobe.folding.points import Points
from spaceprobe.folding.points_on_paths import MAX_NUMBERS, BlockOfPaths, PathPoints, PointMethod
from spaceprobe.folding.prepared_module import PreparedModule
from spaceprobe.folding.spread import UnitSpread

QUANTITIES = ("pre-activation", "activation")
NORMS = ("L1", "L2")
SCALINGS = ("raw", "standardised")

ROUNDING = 1e-12
"""Chosen: what is at most this share is rounding, which is some 1e-15 of what is added up. A length is
compared with the largest norm on the path, and is then 0; the difference of length and reach with the length.
So what does not change has no length, and a path without a bend has χ = 0."""


@dataclass(frozen=True)
class PathDistances:
    """Length, reach and folding of paths in continuous distances.

    Axes: paths; layers, 0 for all together, then one for each activation; `QUANTITIES`; `NORMS`; `SCALINGS`,
    the second only where units were standardised.

    Attributes:
        length: total variation, Σ ‖h(t_{k+1}) - h(t_k)‖.
        reach: the largest distance from the start, max_k ‖h(t_k) - h(0)‖.
        num_units: how many units the norm is of; those that are constant are left out where standardised.
            Without the axes of paths and norms.
        num_violations: linear regions of each path that failed the region check (see `PathFolding`): there
            breakpoints may be missing.
    """

    length: Float64[np.ndarray, "paths layers 2 2 scalings"]
    reach: Float64[np.ndarray, "paths layers 2 2 scalings"]
    num_units: Int64[np.ndarray, "layers 2 scalings"]
    num_violations: Int64[np.ndarray, " paths"]

    @property
    def chi(self) -> Float64[np.ndarray, "paths layers 2 2 scalings"]:
        """χ = 1 - reach / length, in [0, 1); 0 for length 0."""
        return continuous_folding(self.length, self.reach)


def continuous_folding(
    length: Float64[np.ndarray, "*shape"], reach: Float64[np.ndarray, "*shape"]
) -> Float64[np.ndarray, "*shape"]:
    """Return χ = (length - reach) / length, in [0, 1); 0 for length 0, and for a difference that is rounding.

    >>> continuous_folding(np.array([4.0, 0.0]), np.array([1.0, 0.0]))
    array([0.75, 0.  ])
    """
    is_folded = length - reach > ROUNDING * length
    return np.where(is_folded, (length - reach) / np.where(is_folded, length, 1), 0.0)


@torch.no_grad()
def continuous_distances(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    spread: UnitSpread | None = None,
    method: PointMethod = "exact",
    num_points: int = 100,
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
) -> PathDistances:
    """Return length and reach of the straight paths from a to b in L1 and L2, by layer; on the CPU.

    Args:
        network: see `walk_paths`.
        a: starts, of shape ``(num_paths, *input shape)``.
        b: ends, of the same shape.
        spread: of each unit, for standardised distances beside the raw ones (`unit_spread`); a unit whose
            spread is 0 is left out of these.
        method: ``exact``, also called ``layerwise``, takes values at the ends and at every t at which an
            activation or a maximum bends, of a network that is piecewise linear and does not jump.
            ``sampled`` takes them at evenly spaced points of any module: length and reach are then lower
            bounds.
        num_points: for ``sampled``, both ends included, at least 2.
        tolerance: see `walk_paths`.
        threads: of the walk; see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`; for an activation that jumps, or a spread of another network.
        TypeError: see `walk_paths`.
    """
    points = PathPoints(
        network, a, b, method=method, num_points=num_points, tolerance=tolerance, threads=threads
    )
    scales = _scales(layer_widths(points.network, points.example), spread)
    lengths, reaches, violations = [], [], np.zeros(len(points.a), dtype=np.int64)
    for block in points.blocks():
        violations[block.paths] = block.num_violations
        length, reach = _along(points.network, block, scales, is_continuous=points.is_exact)
        lengths.append(length)
        reaches.append(reach)
    return PathDistances(np.concatenate(lengths), np.concatenate(reaches), _num_units(scales), violations)


def _scales(
    widths: tuple[int, ...], spread: UnitSpread | None
) -> list[Float64[Tensor, "quantities scalings units"]]:
    """Return what the values of each layer are multiplied by: 1, and 1 / spread or 0.

    Raises:
        ValueError: the spread is that of another network.
    """
    num_scalings = 1 if spread is None else 2
    scales = [torch.ones(2, num_scalings, width, dtype=torch.float64) for width in widths]
    if spread is None:
        return scales
    for quantity, layers in enumerate((spread.z, spread.h)):
        if tuple(len(layer) for layer in layers) != widths:
            raise ValueError(
                f"spread has layers of {', '.join(str(len(layer)) for layer in layers) or 'no'} units, the "
                f"network of {', '.join(map(str, widths))}: expected that of the same network"
            )
        for scale, layer in zip(scales, layers, strict=True):
            scale[quantity, 1] = torch.where(layer > 0, 1 / layer, 0.0)
    return scales


def _num_units(scales: list[Tensor]) -> Int64[np.ndarray, "layers 2 scalings"]:
    """Return how many units each norm is of, all layers together first."""
    by_layer = torch.stack([(scale > 0).sum(2) for scale in scales])
    return torch.cat([by_layer.sum(0, keepdim=True), by_layer]).numpy()


def _along(
    network: PreparedModule, paths: BlockOfPaths, scales: list[Tensor], *, is_continuous: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return length and reach of each path.

    The points are run in blocks, and paths may be longer than one: each block has the point before it once
    more, and the start of each of its paths.
    """
    path, t = paths.path, paths.t
    num_paths, num_scalings = len(paths.a.value), scales[0].shape[1]
    shape = (num_paths, len(scales) + 1, 2, 2, num_scalings)
    length, reach, size_on_path = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))
    largest = max(*(scale.shape[2] for scale in scales), paths.a.value.shape[1:].numel())
    size = max(1, MAX_NUMBERS // largest)
    for first in range(0, len(path), size):
        own = path[first : first + size]
        before = slice(max(first - 1, 0), max(first - 1, 0) + 1)
        met, start = own.unique_consecutive(return_inverse=True)
        # starts of the paths, the point before the block, the block
        of_point = torch.cat([met, path[before], own])
        at = torch.cat([torch.zeros(len(met), dtype=torch.float64), t[before], t[first : first + size]])
        points = paths.at(of_point, at)
        block = _Block(start, len(met), own == torch.cat([path[before], own[:-1]]), scales)
        see_layers(network, points, len(scales), block.look, is_continuous=is_continuous)
        steps, distances, sizes = block.norms()
        length.index_add_(0, own, steps)
        for most, norms in ((reach, distances), (size_on_path, sizes)):
            most.scatter_reduce_(0, own.view(-1, 1, 1, 1, 1).expand_as(norms), norms, "amax")
    is_constant = length <= ROUNDING * size_on_path
    return length.masked_fill(is_constant, 0).numpy(), reach.masked_fill(is_constant, 0).numpy()


class _Block:
    """The norms of a block of points, by layer: of each, of the step to it, and of the way from the start."""

    def __init__(self, start: Tensor, num_starts: int, is_step: Tensor, scales: list[Tensor]) -> None:
        """Take what the rows are.

        Args:
            start: of each point of the block, the row of the start of its path.
            num_starts: rows before the one before the block.
            is_step: whether the point before each point is of the same path.
            scales: of the units of each layer.
        """
        self._start, self._first, self._is_step, self._scales = start, num_starts + 1, is_step, scales
        shape = (len(start), len(scales), 2, 2, scales[0].shape[1])
        self._steps, self._distances, self._sizes = (
            torch.zeros(shape, dtype=torch.float64) for _ in range(3)
        )

    def look(self, layer: int, z: Tensor, h: Tensor) -> None:
        """Add the layer's part: its L1 norms, and the squares of its L2 norms."""
        for quantity, values in enumerate((z, h)):
            own = values[self._first :]
            step = (own - values[self._first - 1 : -1]) * self._is_step[:, None]
            distance = own - values[self._start]
            for scaling, scale in enumerate(self._scales[layer][quantity]):
                each = ((step, self._steps), (distance, self._distances), (own, self._sizes))
                for numbers, norms in each:
                    scaled = numbers * scale
                    norms[:, layer, quantity, 0, scaling] = scaled.abs().sum(1)
                    norms[:, layer, quantity, 1, scaling] = (scaled**2).sum(1)

    def norms(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the norms of steps, distances and values, all layers together first."""
        return (
            _with_all_layers(self._steps),
            _with_all_layers(self._distances),
            _with_all_layers(self._sizes),
        )


def _with_all_layers(by_layer: Tensor) -> Float64[Tensor, "points layers 2 2 scalings"]:
    norms = torch.cat([by_layer.sum(1, keepdim=True), by_layer], dim=1)
    norms[:, :, :, 1] = norms[:, :, :, 1].sqrt()
    return norms
