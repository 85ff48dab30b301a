"""The MLP of a study, and the entry of any other: hidden layers with an activation, then a linear readout."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spaceprobe.networks.layers import LayerPass


def mlp_entry(hidden_widths: Callable[[NetworkOptions], Sequence[int]]) -> NetworkEntry:
    """Return the entry of an MLP, given a function that returns the units of each of its hidden layers."""

    def build(
        options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
    ) -> "nn.Sequential":
        from spaceprobe.networks.mlp import mlp

        widths = [math.prod(input_shape), *hidden_widths(options), num_outputs]
        return mlp(widths, generator, options.activation)

    return NetworkEntry(
        build=build,
        hidden_widths=hidden_widths,
        engines=_engines,
        weights=_weights,
        pass_through=_pass_through,
    )


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    return ("kernel", "jvp", "sampled") if options.activation == "relu" else ()


def _weights(network: "nn.Sequential") -> "list[torch.Tensor]":
    from spaceprobe.networks.layers import linear_weights

    return linear_weights(network)


def _pass_through(network: "nn.Sequential", inputs: "torch.Tensor") -> "list[LayerPass]":
    from spaceprobe.networks.layers import pass_through

    return pass_through(network, inputs)


ENTRY = replace(mlp_entry(lambda options: options.hidden_widths), label=lambda options: options.architecture)
