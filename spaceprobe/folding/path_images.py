"""The image of a path under a network: how long it is, and how many linear regions the path crosses.

A piecewise-linear network maps a straight path to a polygon, whose corners are at breakpoints. So its length
is a sum over linear regions, exact (docs/definitions.md, "Images of paths"). The length of the image of a
path is the measure of expressivity of Raghu et al. ("On the expressive power of deep neural networks", ICML
2017), regions per unit of length that of Hanin and Rolnick ("Complexity of linear regions in deep networks",
ICML 2019).
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


@dataclass(frozen=True)
class PathImages:
    """What a network makes of paths.

    Attributes:
        image_length: L2 length of the path's image in the space of outputs, Σ ‖f(x_{k+1}) - f(x_k)‖.
        num_regions: linear regions that the path crosses, at least 1; of sampled paths a lower bound, as the
            length is.
        distance: L2 distance of the ends in input space.
        num_violations: linear regions of each path that failed the region check (see `PathFolding`).
    """

    image_length: Float64[np.ndarray, " paths"]
    num_regions: Int64[np.ndarray, " paths"]
    distance: Float64[np.ndarray, " paths"]
    num_violations: Int64[np.ndarray, " paths"]

    @property
    def region_density(self) -> Float64[np.ndarray, " paths"]:
        """Linear regions per unit of L2 distance; NaN where the ends are one point."""
        span = np.where(self.distance > 0, self.distance, np.nan)
        density: np.ndarray = self.num_regions / span
        return density


@torch.no_grad()
def path_images(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    method: PointMethod = "exact",
    num_points: int = 100,
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
) -> PathImages:
    """Return length and number of linear pieces of the images of the straight paths from a to b; on the CPU.

    Args:
        network: see `walk_paths`; its output is one tensor.
        a: starts, of shape ``(num_paths, *input shape)``.
        b: ends, of the same shape.
        method: see `continuous_distances`.
        num_points: for ``sampled``, both ends included, at least 2.
        tolerance: see `walk_paths`.
        threads: of the walk; see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`; for an activation that jumps.
        TypeError: see `walk_paths`; the output is not one tensor.

    >>> seen = path_images(nn.ReLU(), [[-1.0, 2.0]], [[3.0, 2.0]])  # flat, then as steep as the path
    >>> seen.image_length.tolist(), seen.num_regions.tolist(), seen.region_density.tolist()
    ([3.0], [2], [0.5])
    """
    points = PathPoints(
        network, a, b, method=method, num_points=num_points, tolerance=tolerance, threads=threads
    )
    if points.is_exact:
        check_continuous(points.network, points.example)
    lengths, num_regions, violations = [], [], np.zeros(len(points.a), dtype=np.int64)
    for block in points.blocks():
        violations[block.paths] = block.num_violations
        length, num_changes = _along(points.network, block, is_exact=points.is_exact)
        lengths.append(length)
        num_regions.append(num_changes + 1)
    distance = torch.linalg.vector_norm((points.b.double() - points.a.double()).flatten(1), dim=1).numpy()
    return PathImages(np.concatenate(lengths), np.concatenate(num_regions), distance, violations)


def check_continuous(network: PreparedModule, inputs: Tensor) -> None:
    """Raise ValueError if an activation jumps: what is summed then has gaps."""
    see_layers(network, inputs, len(layer_widths(network, inputs)), lambda *_: None, is_continuous=True)


def _along(
    network: PreparedModule, paths: BlockOfPaths, *, is_exact: bool
) -> tuple[Float64[np.ndarray, " paths"], Int64[np.ndarray, " paths"]]:
    """Return length and number of changes of each path.

    The points are run in blocks, each with the point before it once more.
    """
    path, t, num_paths = paths.path, paths.t, len(paths.a.value)
    length, changes = torch.zeros(num_paths, dtype=torch.float64), torch.zeros(num_paths, dtype=torch.int64)
    size = max(1, MAX_NUMBERS // max(paths.a.value.shape[1:].numel(), sum(network.num_units)))
    for first in range(0, len(path), size):
        rows = slice(max(first - 1, 0), first + size)
        own, at = path[rows], t[rows]
        points = paths.at(own, at)
        output = network.body(points)
        if not isinstance(output, Tensor):
            raise TypeError(f"the network returns {type(output).__name__}: an image needs one tensor")
        is_step = own[1:] == own[:-1]
        steps = torch.linalg.vector_norm(output.flatten(1).diff(dim=0), dim=1) * is_step
        length.index_add_(0, own[1:], steps)
        if is_exact:  # every point between two others is a breakpoint
            is_change = is_step & (at[1:] < 1)
        else:
            patterns = network.patterns(points)
            is_change = is_step & (patterns[1:] != patterns[:-1]).any(1)
        changes.index_add_(0, own[1:], is_change.long())
    return length.numpy(), changes.numpy()
