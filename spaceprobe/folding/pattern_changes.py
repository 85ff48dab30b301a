"""How far activation patterns at points differ between two states of a network, by layer."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding.counted import Counted, Threshold, Units
from spaceprobe.folding.guards import check_images
from spaceprobe.folding.options import Bits
from spaceprobe.folding.points import Points, read_points
from spaceprobe.folding.prepared_module import PreparedModule, count_bits, prepare
from spaceprobe.folding.relus import unit_columns
from spaceprobe.folding.sampled import points_per_block
from spaceprobe.machine.torch_threads import one_thread


@dataclass(frozen=True)
class PatternChanges:
    """What differs between two states of a network; 0 is all layers together, then each that has units.

    Attributes:
        num_bits: of the layer's pattern.
        bits: share of bits that differ, over all points, in [0, 1].
        points: share of points at which the layer's pattern differs, in [0, 1].
    """

    num_bits: Int64[np.ndarray, " layers"]
    bits: Float64[np.ndarray, " layers"]
    points: Float64[np.ndarray, " layers"]


@torch.no_grad()
def pattern_changes(
    before: nn.Module,
    after: nn.Module,
    points: Points,
    *,
    bits: Bits = "sign",
    units: Units = "activations",
    thresholds: tuple[Threshold, Threshold] = (0.0, 0.0),
) -> PatternChanges:
    """Return how far the activation patterns at points differ between two states of a network; on the CPU.

    Args:
        before: any module with activations.
        after: with the same units.
        points: of shape ``(num_points, *input shape)``; at least one.
        bits: see `walk_paths`.
        units: see `walk_paths`.
        thresholds: of both states; see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`; without points; the networks have other units.

    >>> flipped = pattern_changes(nn.Sequential(nn.ReLU()), nn.Hardtanh(0, 9), [[-1.0], [5.0], [10.0]])
    Traceback (most recent call last):
    ValueError: the networks have layers of 1 and 2 bits: expected two states of one network
    """
    points = read_points("points", points)
    check_images("points", points)
    if len(points) == 0:
        raise ValueError("points is empty: a share of patterns needs at least one point")
    device = torch.device("cpu")
    first, second = (
        prepare(network, points, device, count_bits, Counted(units, threshold, bits))
        for network, threshold in zip((before, after), thresholds, strict=True)
    )
    if first.num_units != second.num_units:
        widths = (", ".join(map(str, network.num_units)) for network in (first, second))
        raise ValueError(
            f"the networks have layers of {' and '.join(widths)} bits: expected two states of one network"
        )
    columns = unit_columns(first.num_units)
    num_bits = np.array([sum(first.num_units), *first.num_units])
    num_changed, num_points = np.zeros_like(num_bits), np.zeros_like(num_bits)
    with one_thread():
        for batch in points.split(points_per_block(first, points[0].numel())):
            differs = _patterns(first, batch) != _patterns(second, batch)
            by_layer = np.stack([differs[:, units].sum(1) for units in columns], axis=1)
            by_layer = np.concatenate([by_layer.sum(1, keepdims=True), by_layer], axis=1)
            num_changed += by_layer.sum(0)
            num_points += (by_layer > 0).sum(0)
    return PatternChanges(num_bits, num_changed / (num_bits * len(points)), num_points / len(points))


def _patterns(network: PreparedModule, points: Tensor) -> np.ndarray:
    patterns: np.ndarray = network.patterns(network.ends(points).value).numpy()
    return patterns
