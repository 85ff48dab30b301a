"""Multilayer perceptrons: hidden layers with an activation, then a linear readout."""

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from spaceprobe.networks.activations import ACTIVATIONS


def mlp(widths: Sequence[int], generator: torch.Generator, activation: str = "relu") -> nn.Sequential:
    """Return an MLP with float32 weights as torch initialises them, drawn from ``generator``.

    Weights and biases are uniform in ±1/√(number of inputs of the layer), which is what `nn.Linear`
    does by itself, here without touching torch's global random numbers.

    Args:
        widths: number of inputs, units of each hidden layer, number of outputs; at least two.
        generator: source of the initial weights.
        activation: of every hidden layer, a name in `spaceprobe.networks.activations.ACTIVATIONS`.

    Raises:
        ValueError: there are fewer than two widths, one is not positive, or the activation is unknown.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is unknown, known are {', '.join(ACTIVATIONS)}")
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths {list(widths)}: give inputs, hidden units and outputs, all positive")
    network = nn.Sequential()
    for fan_in, fan_out in itertools.pairwise(widths):
        if len(network):
            network.append(ACTIVATIONS[activation]())
        with torch.random.fork_rng(devices=[]):  # `nn.utils.skip_init` imports sympy, for seconds
            layer = nn.Linear(fan_in, fan_out)
        bound = fan_in**-0.5
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        network.append(layer)
    return network


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights and biases."""
    return sum(parameter.numel() for parameter in network.parameters())
