"""The linear regions of a plane through the input space, seen on an even grid of points."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor, nn

from spaceprobe.folding.guards import check_device, check_images, check_same_shape
from spaceprobe.folding.prepared_module import PreparedModule, count_bits, prepare
from spaceprobe.folding.sampled import points_per_block


@dataclass(frozen=True)
class PlaneRegions:
    """What a grid of points on a plane meets; row 0 of an array is the lowest ``up``.

    Attributes:
        distance: Hamming distance of each point's activation pattern from that at the corner.
        pattern: a number for each activation pattern, from 0: points of one linear region share it.
    """

    distance: Int64[np.ndarray, "rows columns"]
    pattern: Int64[np.ndarray, "rows columns"]

    @property
    def num_patterns(self) -> int:
        """How many patterns were met: a lower bound on the regions there."""
        return int(self.pattern.max()) + 1


@torch.no_grad()
def see_plane(
    network: nn.Module,
    corner: Tensor,
    right: Tensor,
    up: Tensor,
    *,
    horizontal: Float64[np.ndarray, " columns"],
    vertical: Float64[np.ndarray, " rows"],
    device: str | torch.device = "cpu",
) -> PlaneRegions:
    """Return the linear regions on the points corner + h (right - corner) + v (up - corner).

    Args:
        network: any module with activations, as `walk_paths` samples it.
        corner: the point at (0, 0), of the input's shape.
        right: the point at (1, 0).
        up: the point at (0, 1).
        horizontal: the values of h, ascending.
        vertical: the values of v, ascending.
        device: where it is computed.

    Raises:
        ValueError: the points are not inputs of the network, have several shapes or are not finite; the grid
            is empty; the network has no activation, or is random.
    """
    check_same_shape(("corner", "right"), corner.shape, right.shape)
    check_same_shape(("corner", "up"), corner.shape, up.shape)
    corners = torch.stack([corner, right, up])
    check_images("corner, right, up", corners)
    if horizontal.size == 0 or vertical.size == 0:
        raise ValueError(
            f"the grid has {horizontal.size} columns and {vertical.size} rows: expected at least one of each"
        )
    prepared = prepare(network, corners, check_device(device), count_bits)
    origin, *others = prepared.ends(corners).value
    spans = torch.stack([other - origin for other in others]).flatten(1)
    grid = np.stack(np.meshgrid(horizontal, vertical), axis=-1).reshape(-1, 2)
    blocks = torch.from_numpy(grid).to(prepared.device).split(points_per_block(prepared, origin.numel()))
    patterns = np.concatenate([_patterns(prepared, origin, spans, block) for block in blocks])
    start = _patterns(prepared, origin, spans, torch.zeros(1, 2, dtype=torch.float64, device=prepared.device))
    shape = len(vertical), len(horizontal)
    distance = np.bitwise_count(patterns ^ start).sum(axis=1, dtype=np.int64)
    pattern = np.unique(patterns, axis=0, return_inverse=True)[1]
    return PlaneRegions(distance.reshape(shape), pattern.reshape(shape))


def _patterns(
    network: PreparedModule, origin: Tensor, spans: Tensor, places: Float64[Tensor, "points 2"]
) -> UInt8[np.ndarray, "points bytes"]:
    """Return the patterns at points of the plane, packed into bytes."""
    points = origin + (places @ spans).reshape(-1, *origin.shape)
    return np.packbits(network.patterns(points).cpu().numpy(), axis=1)
