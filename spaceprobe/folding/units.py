"""Which unit a bit or symbol of an activation pattern belongs to: its module, and its index in the output."""

from dataclasses import dataclass
from itertools import accumulate
from math import nan

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from spaceprobe.folding.activations import Activation, Constant
from spaceprobe.folding.prepared_module import OTHER_ACTIVATIONS, PreparedModule
from spaceprobe.folding.tracked import Tracked, tracking


@dataclass(frozen=True)
class CountedActivation:
    """One call of an activation, whose units count.

    Attributes:
        module: in whose forward method it is called, as `nn.Module.named_modules` has it, such as an
            `nn.ReLU` itself; empty for the network's own.
        function: the name of the function of torch, such as ``relu``.
        call: how many calls of this function in this module came before, in one run of the network.
        shape: of its units, without the batch.
        kinks: where its bits flip; a unit has one for each.
        is_window: whether it chooses among entries, as max-pooling does: a unit has one symbol, the winner.
    """

    module: str
    function: str
    call: int
    shape: tuple[int, ...]
    kinks: tuple[Constant, ...]
    is_window: bool = False

    @property
    def num_units(self) -> int:
        """The number of its units."""
        return torch.Size(self.shape).numel()

    @property
    def num_bits(self) -> int:
        """The number of bits of its units, or of symbols."""
        return self.num_units * (1 if self.is_window else len(self.kinks))

    def kink(self, number: int, index: tuple[int, ...]) -> float:
        """Return where a bit of a unit flips; NaN of a window.

        Args:
            number: of the kink, from 0.
            index: of the unit.
        """
        if self.is_window:
            return nan
        kink = self.kinks[number]
        if not isinstance(kink, Tensor):
            return float(kink)
        if kink.ndim > len(self.shape):
            kink = kink[0]
        return float(kink.expand(self.shape)[index])


@dataclass(frozen=True)
class Bit:
    """A bit of an activation pattern: whether the pre-activation of a unit is above a kink; or a symbol.

    Attributes:
        activation: the call that the unit belongs to.
        index: of the unit among the activation's outputs.
        kink: where the bit flips; 0 for a ReLU, NaN for a window.
    """

    activation: CountedActivation
    index: tuple[int, ...]
    kink: float


@dataclass(frozen=True)
class Units:
    """The units of a network, in the order of the bits of its activation patterns.

    Attributes:
        activations: in the order in which they run.
    """

    activations: tuple[CountedActivation, ...]

    @property
    def num_bits(self) -> int:
        """The number of bits of a pattern."""
        return sum(activation.num_bits for activation in self.activations)

    def bits(self, numbers: Int64[np.ndarray, " bits"]) -> list[Bit]:
        """Return bits by their numbers in a pattern, which has all units at one kink, then at the next."""
        starts = [0, *accumulate(activation.num_bits for activation in self.activations)]
        bits = []
        for number, which in zip(numbers, np.searchsorted(starts, numbers, side="right") - 1, strict=True):
            activation = self.activations[which]
            kink, unit = divmod(int(number) - starts[which], activation.num_units)
            index = tuple(int(place) for place in np.unravel_index(unit, activation.shape))
            bits.append(Bit(activation, index, activation.kink(kink, index)))
        return bits


@torch.no_grad()
def name_units(network: PreparedModule, inputs: Tensor) -> Units:
    """Return the units of a network that count.

    Args:
        network: prepared so that all activations count, and windows where these are asked for.
        inputs: at the entry of its body; one point is enough.

    Raises:
        ValueError: it runs other activations than when it was prepared.
    """
    met: list[CountedActivation] = []
    counted = network.counted

    def add(function: str, shape: tuple[int, ...], kinks: tuple[Constant, ...], *, is_window: bool) -> None:
        place = (network.place.module, function)
        call = sum((other.module, other.function) == place for other in met)
        met.append(CountedActivation(*place, call, shape, kinks, is_window))

    def visit(z: Tensor, activation: Activation) -> None:
        number = sum(not other.is_window for other in met)
        kinks = counted.flips_at(activation, number)
        add(activation.function, tuple(z.shape[1:]), kinks, is_window=False)

    def choose(_winner: Tensor, function: str, shape: tuple[int, ...]) -> None:
        add(function, shape, (), is_window=True)

    choose_too = choose if counted.has_windows else None
    with tracking(visit, choose=choose_too, bits=counted.bits):
        network.body(inputs[:1].clone().as_subclass(Tracked))
    if tuple(activation.num_bits for activation in met) != network.num_units:
        raise ValueError(OTHER_ACTIVATIONS)
    return Units(tuple(met))
