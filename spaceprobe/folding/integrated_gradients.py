"""Integrated gradients along straight paths, exactly.

Integrated gradients (Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017) say
how much each input adds to the change of an output on the way from a to b: (b - a)_i ∫ ∂f/∂x_i dt. In a
piecewise-linear network the gradient is constant in each linear region, so the integral is a sum over the
regions that the path crosses: the gradient in the middle of each, times how long the path is in it. Sampled
at even points, regions are missed (docs/definitions.md, "Integrated gradients").
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding.options import DEFAULT_TOLERANCE
from spaceprobe.folding.path_images import check_continuous
from spaceprobe.folding.points import Points
from spaceprobe.folding.points_on_paths import MAX_NUMBERS, BlockOfPaths, PathPoints, PointMethod


@dataclass(frozen=True)
class IntegratedGradients:
    """What each input adds to the change of an output along paths.

    Attributes:
        attributions: of each path, of the input's shape.
        change: f(b) - f(a) of the output, of each path; the attributions of a path add up to it.
        num_violations: linear regions of each path that failed the region check (see `PathFolding`).
    """

    attributions: Float64[np.ndarray, "paths *input"]
    change: Float64[np.ndarray, " paths"]
    num_violations: Int64[np.ndarray, " paths"]

    @property
    def remainder(self) -> Float64[np.ndarray, " paths"]:
        """The change minus the sum of the attributions: rounding, or what samples miss."""
        remainder: np.ndarray = self.change - _total(self.attributions)
        return remainder


def integrated_gradients(
    network: nn.Module,
    a: Points,
    b: Points,
    output: int,
    *,
    method: PointMethod = "exact",
    num_points: int = 100,
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
) -> IntegratedGradients:
    """Return the integrated gradients of an output along the straight paths from a to b; on the CPU.

    Args:
        network: see `walk_paths`; its output is one tensor.
        a: starts (the baseline), of shape ``(num_paths, *input shape)``.
        b: ends, of the same shape.
        output: which entry of the output of one input, flat: from 0, or from -1 backwards.
        method: ``exact``, also called ``layerwise``, sums over the linear regions of a network that is
            piecewise linear and does not jump; ``sampled`` takes the gradient in the middle between evenly
            spaced points of any module.
        num_points: for ``sampled``, both ends included, at least 2.
        tolerance: see `walk_paths`.
        threads: of the walk; see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`; for an activation that jumps, an output that there is not, or a gradient
            that is not that of the function, as a straight-through estimator gives.
        TypeError: see `walk_paths`; the output is not one tensor.

    >>> seen = integrated_gradients(nn.ReLU(), [[-1.0]], [[3.0]], 0)  # flat for a quarter of the way
    >>> seen.attributions.tolist(), seen.change.tolist()
    ([[3.0]], [3.0])
    """
    points = PathPoints(
        network, a, b, method=method, num_points=num_points, tolerance=tolerance, threads=threads
    )
    if points.is_exact:
        check_continuous(points.network, points.example)
    number = _number_of(points, output)
    shape = points.a.shape
    attributions = np.zeros((len(points.a), *shape[1:]))
    change, violations = np.zeros(len(points.a)), np.zeros(len(points.a), dtype=np.int64)
    for block in points.blocks():
        violations[block.paths] = block.num_violations
        own = points.a[block.paths].double(), points.b[block.paths].double()
        mean = _mean_gradient(points, block, *own, number)
        attributions[block.paths] = ((own[1] - own[0]) * mean).numpy()
        with torch.no_grad():
            change[block.paths] = (_output(points, own[1], number) - _output(points, own[0], number)).numpy()
    found = IntegratedGradients(attributions, change, violations)
    if points.is_exact:
        _check_complete(found)
    return found


def _number_of(points: PathPoints, output: int) -> int:
    """Return the number of an output from 0.

    Raises:
        ValueError: there is no such output.
        TypeError: the output is not one tensor.
    """
    with torch.no_grad():
        value = points.network.body(points.example.clone())
    if not isinstance(value, Tensor):
        raise TypeError(f"the network returns {type(value).__name__}: a gradient needs one tensor")
    num_outputs = value[0].numel()
    if not -num_outputs <= output < num_outputs:
        raise ValueError(f"output is {output}: the network has {num_outputs:,} outputs, from 0")
    return output % num_outputs


def _output(points: PathPoints, inputs: Tensor, number: int) -> Tensor:
    """Return an output of each input; the inputs are left as they are."""
    value: Tensor = points.network.body(points.network.head(inputs.clone()))
    return value.flatten(1)[:, number]


def _mean_gradient(
    points: PathPoints, paths: BlockOfPaths, a: Tensor, b: Tensor, number: int
) -> Float64[Tensor, "paths *input"]:
    """Return the mean over each path of the gradient, from that in the middle between neighbouring points."""
    is_step = paths.path[1:] == paths.path[:-1]
    path = paths.path[1:][is_step]
    share = paths.t.diff()[is_step]
    middle = (paths.t[1:] + paths.t[:-1])[is_step] / 2
    mean = torch.zeros_like(a)
    size = max(1, MAX_NUMBERS // max(a.shape[1:].numel(), sum(points.network.num_units)))
    for first in range(0, len(path), size):
        rows = slice(first, first + size)
        weight = middle[rows].view(-1, *[1] * (a.ndim - 1))
        at = torch.lerp(a[path[rows]], b[path[rows]], weight).requires_grad_()
        with torch.enable_grad():
            total = _output(points, at, number).sum()
            gradient = torch.autograd.grad(total, at, materialize_grads=True)[0]
        mean.index_add_(0, path[rows], gradient * share[rows].view_as(weight))
    return mean


COMPLETE_TO = 1e-8
"""Of the sum of absolute attributions: beyond it, the gradients are not those of the function. Chosen:
rounding is some 1e-13 of it."""


def _check_complete(found: IntegratedGradients) -> None:
    """Raise ValueError if attributions do not add up to the change, where every region was certified."""
    size = _total(np.abs(found.attributions)) + np.abs(found.change)
    is_wrong = (np.abs(found.remainder) > COMPLETE_TO * size) & (found.num_violations == 0)
    if is_wrong.any():
        first = int(is_wrong.argmax())
        change, total = found.change[first], found.change[first] - found.remainder[first]
        raise ValueError(
            f"path {first}: the attributions add up to {total:.6g}, the output changes by {change:.6g}: the "
            "network's gradient is not that of its function, as with a straight-through estimator; "
            'method="sampled" takes it as it is'
        )


def _total(attributions: Float64[np.ndarray, "paths *input"]) -> Float64[np.ndarray, " paths"]:
    total: np.ndarray = attributions.sum(axis=tuple(range(1, attributions.ndim)))
    return total
