"""A run of a network at single points, by the same rules as on polylines."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spaceprobe.folding.activations import Activation
from spaceprobe.folding.counted import BENDS, Counted
from spaceprobe.folding.layerwise.knots import Knots, Refinement
from spaceprobe.folding.layerwise.maxima import Windows
from spaceprobe.folding.layerwise.outputs import output_sizes
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.visit import LastActivation, Visit
from spaceprobe.folding.options import DEFAULT_TOLERANCE
from spaceprobe.folding.prepared_module import OTHER_ACTIVATIONS, units_met
from spaceprobe.folding.rounding import rounding_share

MANY_UNITS = 16
"""Chosen: of fewer units some may be close to a kink by themselves."""

MANY = 0.25
"""Chosen: where a larger share of an activation's units is too close to tell, scales have outgrown values."""


@dataclass
class Probe(Visit):
    """A run of a network at single points, through its activations as they are.

    Attributes:
        is_lost: of each point, whether many units of an activation are too close to a kink to tell and still
            not at it. That happens where sums cancel layer after layer: scales outgrow values by 10^12.
    """

    is_at_points: bool = True
    is_lost: Tensor | None = None

    def bend(self, line: Polyline, activation: Activation) -> Polyline:
        """Return the output of an activation.

        Raises:
            LastActivation: if no other follows.
        """
        rows = line.rows
        self.bits.append((rows.shape[1:], len(activation.kinks)))
        resolved = rounding_share(self.tolerance, torch.finfo(rows.dtype).eps)
        for kink in activation.kinks:
            near = (rows - kink).abs() / (self.tolerance * line.sizes)
            share = ((near <= 1) & (near > resolved)).flatten(1).double().mean(1)
            lost = (share > MANY) & (rows[0].numel() >= MANY_UNITS)
            self.is_lost = lost if self.is_lost is None else self.is_lost | lost
        if len(self.bits) == self.num_activations:
            self.last = (rows.flatten(1), line.sizes, line.knots)
            raise LastActivation
        output = activation.apply(rows.clone())
        for kink, value in zip(activation.kinks, activation.at_kinks, strict=False):
            # where a function jumps, rounding must not choose the side
            output[(rows - kink).abs() <= self.tolerance * line.sizes] = value
        sizes = output_sizes(activation, line.sizes)
        return Polyline.of(output, sizes, line.knots, self)

    def choose(
        self, line: Polyline, windows: Windows, _slack: Tensor, _refinement: Refinement, _width: Tensor
    ) -> None:
        """Note that the windows of a maximum were met.

        Raises:
            LastActivation: if nothing else that counts follows.
        """
        self.bits.append((torch.Size([len(windows.members)]), 1))
        if len(self.bits) == self.num_activations:
            self.last = (line.rows.flatten(1), line.sizes, line.knots)
            raise LastActivation


def count_bits(body: nn.Module, inputs: Tensor, counted: Counted = BENDS) -> tuple[int, ...]:
    """Return the number of bits of each activation that a network runs, and of windows where these count.

    Args:
        body: the network.
        inputs: a batch that it takes.
        counted: what counts.

    Raises:
        ValueError: if it runs none; see `Counted.check_threshold`.
        NotPiecewiseLinear: if it runs a function that no polyline goes through before its last activation.
    """
    point = inputs[:1]
    probe = Probe(DEFAULT_TOLERANCE, len(units_met(body, inputs, counted)), counted=counted)
    try:
        body(Polyline.of(point, point.abs(), Knots.of_points(1, point.device), probe))
    except LastActivation:
        return tuple(shape.numel() * num_kinks for shape, num_kinks in probe.bits)
    raise ValueError(OTHER_ACTIVATIONS)
