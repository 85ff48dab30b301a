"""The MLP of a study: hidden layers with an activation, then a linear readout."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spaceprobe.networks.layers import LayerPass


def _build(
    options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
) -> "nn.Sequential":
    from spaceprobe.networks.mlp import mlp

    widths = [math.prod(input_shape), *options.hidden_widths, num_outputs]
    return mlp(widths, generator, options.activation)


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    return ("kernel", "jvp", "sampled") if options.activation == "relu" else ()


def _weights(network: "nn.Sequential") -> "list[torch.Tensor]":
    from spaceprobe.networks.layers import linear_weights

    return linear_weights(network)


def _pass_through(network: "nn.Sequential", inputs: "torch.Tensor") -> "list[LayerPass]":
    from spaceprobe.networks.layers import pass_through

    return pass_through(network, inputs)


ENTRY = NetworkEntry(
    name="mlp",
    summary="linear layers with an activation after each hidden one, and a linear readout",
    module=__name__,
    build=_build,
    label=lambda options: options.architecture,
    hidden_widths=lambda options: options.hidden_widths,
    engines=_engines,
    weights=_weights,
    pass_through=_pass_through,
)
