"""The tent map as a ReLU network: on the unit interval it has more linear regions than units."""

from torch import nn

from spaceprobe.networks.cantornet import linear

FIRST = ([[2.0], [4.0]], [0.0, -2.0])
FURTHER = ([[2.0, -2.0], [4.0, -4.0]], [0.0, -2.0])
READOUT = ([[1.0, -1.0]], [0.0])


def tent_map(num_layers: int) -> nn.Sequential:
    """Return so many tent maps x → max(2x, 0) - max(4x - 2, 0), one after the other, in float64.

    A layer has two units. From 0 to 1 there are 2^num_layers linear regions, with breakpoints at the
    multiples of 2^-num_layers (docs/definitions.md, "Known answers").

    Args:
        num_layers: how often the unit interval is folded; at least 1.

    Raises:
        ValueError: if num_layers is below 1.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers is {num_layers}: a tent map has at least 1")
    steps: list[nn.Module] = []
    for number in range(num_layers):
        steps += [linear(*(FURTHER if number else FIRST)), nn.ReLU()]
    return nn.Sequential(*steps, linear(*READOUT))
