"""Pre-activations and activations of every layer of a network at points, one layer at a time."""

from collections.abc import Callable
from contextlib import suppress

from torch import Tensor

from spaceprobe.folding.activations import Activation
from spaceprobe.folding.counted import BENDS
from spaceprobe.folding.prepared_module import OTHER_ACTIVATIONS, LastRelu, PreparedModule, units_met
from spaceprobe.folding.tracked import Tracked, tracking

LookAtLayer = Callable[[int, Tensor, Tensor], None]
"""Called with the number of a layer, from 0, and its pre-activations and activations, ``(points, units)``."""


def layer_widths(network: PreparedModule, inputs: Tensor) -> tuple[int, ...]:
    """Return the number of units of each layer, one for each activation that runs.

    Args:
        network: of any module with activations.
        inputs: of its body; one is enough.
    """
    return tuple(shape[1:].numel() for shape, _ in units_met(network.body, inputs[:1].clone(), BENDS))


def see_layers(
    network: PreparedModule, inputs: Tensor, num_layers: int, look: LookAtLayer, *, is_continuous: bool
) -> None:
    """Run a network on inputs of its body, and show the values of each layer.

    Args:
        network: of any module with activations.
        inputs: a batch; it is left as it is.
        num_layers: how many activations there are.
        look: what they are shown to; it may not keep or change the tensors.
        is_continuous: whether activations that jump are refused.

    Raises:
        ValueError: for a GLU, whose output has other units than its input; for an activation that jumps; if
            other activations run than on the first input.
    """
    num_met = 0

    def visit(z: Tensor, activation: Activation) -> None:
        nonlocal num_met
        if activation.function == "glu":
            raise ValueError("glu has half as many outputs as inputs: distances are of units that have both")
        if is_continuous and activation.pieces is not None:
            raise ValueError(
                f"{activation.function or 'an activation'} jumps, so its values between two points are not "
                'known from these; use method="sampled"'
            )
        look(num_met, z.flatten(1), activation.apply(z.clone()).flatten(1))
        num_met += 1
        if num_met == num_layers:
            raise LastRelu

    with suppress(LastRelu), tracking(visit):
        network.body(inputs.clone().as_subclass(Tracked))
    if num_met != num_layers:
        raise ValueError(OTHER_ACTIVATIONS)
