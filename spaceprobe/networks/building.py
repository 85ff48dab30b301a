"""Construct a network with initial weights of its own, without touching torch's global random numbers."""

from collections.abc import Callable

import torch
from torch import nn

from spaceprobe.networks.entry import NetworkOptions
from spaceprobe.networks.initialization import initialize


def build_initialized(
    construct: Callable[[], nn.Module], options: NetworkOptions, generator: torch.Generator
) -> nn.Module:
    """Return a network whose weights are drawn anew, as the settings ask.

    Args:
        construct: constructs the network; what torch draws meanwhile is overwritten.
        options: the section ``network``.
        generator: the only source of the initial weights.
    """
    with torch.random.fork_rng(devices=[]):
        network = construct()
    initialize(network, generator, options.initialization, options.initialization_scale)
    return network
