"""Multilayer perceptrons: hidden layers with an activation, then a linear readout."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import nn

from spaceprobe.networks.activations import ACTIVATIONS
from spaceprobe.networks.initialization import TORCH, initialize
from spaceprobe.networks.sign import Sign


def mlp(
    widths: Sequence[int],
    generator: torch.Generator,
    activation: str = "relu",
    *,
    batch_norm: bool = False,
    initialization: str = TORCH,
    scale: float = 1.0,
) -> nn.Sequential:
    """Return an MLP with float32 weights, by default as torch initialises them, drawn from ``generator``.

    Torch's global random numbers are not touched.

    Args:
        widths: number of inputs, units of each hidden layer, number of outputs; at least two.
        generator: source of the initial weights.
        activation: of every hidden layer, a name in `spaceprobe.networks.activations.ACTIVATIONS`.
        batch_norm: whether a BatchNorm stands before each activation.
        initialization: see `spaceprobe.networks.initialization.initialize`.
        scale: of the initial weights; see there.

    Raises:
        ValueError: there are fewer than two widths, one is not positive, or the activation or initialisation
            is unknown.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is unknown, known are {', '.join(ACTIVATIONS)}")
    network = _layers(widths, ACTIVATIONS[activation], batch_norm=batch_norm)
    initialize(network, generator, initialization, scale)
    return network


def binary_mlp(
    widths: Sequence[int],
    generator: torch.Generator,
    *,
    batch_norm: bool = False,
    initialization: str = TORCH,
    scale: float = 1.0,
) -> nn.Sequential:
    """Return an MLP whose hidden units are -1 or 1 (see `Sign`); arguments and errors as for `mlp`."""
    network = _layers(widths, Sign, batch_norm=batch_norm)
    initialize(network, generator, initialization, scale)
    return network


def _layers(widths: Sequence[int], activation: Callable[[], nn.Module], *, batch_norm: bool) -> nn.Sequential:
    """Return the layers with weights that are not drawn yet."""
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths {list(widths)}: give inputs, hidden units and outputs, all positive")
    network = nn.Sequential()
    for fan_in, fan_out in itertools.pairwise(widths):
        if len(network):
            if batch_norm:
                network.append(nn.BatchNorm1d(fan_in))
            network.append(activation())
        with torch.random.fork_rng(devices=[]):  # `nn.utils.skip_init` imports sympy, for seconds
            network.append(nn.Linear(fan_in, fan_out))
    return network


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights and biases, without those of directions that were dropped."""
    idle = sum(getattr(module, "num_idle_parameters", 0) for module in network.modules())
    return sum(parameter.numel() for parameter in network.parameters()) - idle
