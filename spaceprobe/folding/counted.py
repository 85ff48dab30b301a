"""Which units of a network count, and which value of the pre-activation flips a unit's bit."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

import torch
from torch import Tensor

from spaceprobe.folding.activations import Activation, Constant
from spaceprobe.folding.options import Bits

Units = Literal["activations", "all"]
"""What counts: activations, or windows as well, of which the index of the winner is the symbol."""

Threshold = float | Sequence[float | Tensor]
"""What z of a ReLU has to exceed for its bit to be on: one for all, or one for each ReLU that runs."""


@dataclass(frozen=True)
class Counted:
    """What counts as a unit, and where its bit flips.

    Attributes:
        units: `activations`, or `all` for max-pooling, maxima of two tensors and of dimensions as well.
        threshold: see `spaceprobe.folding.walk_paths`.
        bits: of smooth activations, where they are sampled; see there as well.

    Raises:
        ValueError: for other units, and thresholds that are not finite.
        TypeError: for a threshold that is neither a number nor a list or tuple.
    """

    units: Units = "activations"
    threshold: Threshold = 0.0
    bits: Bits = "sign"

    def __post_init__(self) -> None:
        """Check the values."""
        if self.units not in get_args(Units):
            raise ValueError(f"units is {self.units!r}: choose one of {', '.join(get_args(Units))}")
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float | list | tuple):
            raise TypeError(
                f"threshold is a {type(self.threshold).__name__}: expected a number, or a list with a number "
                "or a tensor for each ReLU that the network runs"
            )
        for threshold in self.thresholds:
            if not bool(
                torch.isfinite(threshold).all() if isinstance(threshold, Tensor) else isfinite(threshold)
            ):
                raise ValueError(f"threshold is {threshold}: expected finite numbers")

    @property
    def thresholds(self) -> Sequence[float | Tensor]:
        """The thresholds, one for each ReLU or the one for all."""
        return (self.threshold,) if isinstance(self.threshold, int | float) else self.threshold

    @property
    def has_windows(self) -> bool:
        """Whether windows are units."""
        return self.units == "all"

    @property
    def is_at_kinks(self) -> bool:
        """Whether bits flip where activations bend."""
        return isinstance(self.threshold, int | float) and self.threshold == 0

    def flips_at(self, activation: Activation, number: int) -> tuple[Constant, ...]:
        """Return the values of z at which the bits of a unit flip.

        Args:
            activation: of the unit.
            number: how many activations have run before it.
        """
        if self.is_at_kinks:
            return activation.kinks
        return (self.threshold,) if isinstance(self.threshold, int | float) else (self.threshold[number],)

    def check_threshold(self, met: Sequence[tuple[torch.Size, Activation]]) -> None:
        """Check that a threshold fits the activations of a network.

        Args:
            met: the shape of what each activation is given, with the batch, in the order in which they run.

        Raises:
            ValueError: if one is not a ReLU, or their number or shapes do not fit.
        """
        if self.is_at_kinks:
            return
        for number, (_, activation) in enumerate(met):
            if not activation.is_flat_below:
                raise ValueError(
                    f"activation {number} of the network is not a ReLU, and a threshold is for networks of "
                    "ReLUs alone: leave threshold at 0"
                )
        if isinstance(self.threshold, int | float):
            return
        if len(self.threshold) != len(met):
            raise ValueError(
                f"threshold has {len(self.threshold)} entries: expected one for each of the {len(met)} ReLUs "
                "that the network runs, in that order"
            )
        for number, (threshold, (shape, _)) in enumerate(zip(self.threshold, met, strict=True)):
            if isinstance(threshold, Tensor) and threshold.shape not in ((), shape[1:]):
                raise ValueError(
                    f"threshold {number} has shape {tuple(threshold.shape)}: expected a number, or "
                    f"{tuple(shape[1:])}, the shape of the units of that ReLU"
                )


BENDS = Counted()
"""Activations alone, each bit where its activation bends or jumps."""
