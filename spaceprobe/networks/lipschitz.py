"""A bound of an MLP's Lipschitz constant from norms: how far outputs move at most for a step of length 1."""

import math
from collections.abc import Callable, Mapping

from torch import nn

from spaceprobe.networks.activations import Absolute
from spaceprobe.networks.path_norm import affine_maps, spectral_product
from spaceprobe.networks.sign import Sign

STEEPEST: Mapping[type[nn.Module], Callable[..., float]] = {
    nn.ReLU: lambda _: 1.0,
    nn.LeakyReLU: lambda module: max(1.0, abs(module.negative_slope)),
    nn.PReLU: lambda module: max(1.0, float(module.weight.detach().abs().max())),
    nn.RReLU: lambda module: max(1.0, abs(module.lower), abs(module.upper)),
    nn.ReLU6: lambda _: 1.0,
    nn.Hardtanh: lambda _: 1.0,
    nn.Hardsigmoid: lambda _: 1 / 6,
    nn.Softshrink: lambda _: 1.0,
    Absolute: lambda _: 1.0,
    nn.Sigmoid: lambda _: 1 / 4,
    nn.Tanh: lambda _: 1.0,
    nn.ELU: lambda module: max(1.0, abs(module.alpha)),
    nn.CELU: lambda _: 1.0,
    nn.Softplus: lambda _: 1.0,
    nn.Softsign: lambda _: 1.0,
    nn.Tanhshrink: lambda _: 1.0,
    nn.LogSigmoid: lambda _: 1.0,
}
"""The largest slope of an activation, by its module: the supremum of its absolute derivative."""

JUMPS = (Sign, nn.Hardshrink, nn.Threshold)
"""Activations that are not continuous: no bound holds of them."""


def lipschitz_bound(network: nn.Module) -> float | str:
    """Return a bound of the Lipschitz constant in L2, ≥ 0; or in words why there is none.

    The product of the spectral norms of the layers, each with the BatchNorm behind it, and of the largest
    slopes of the activations between them (Szegedy et al., "Intriguing properties of neural networks", ICLR
    2014, section 4.3). It holds on the whole input space, and is mostly far above the constant itself.

    Args:
        network: in evaluation mode; an MLP, see `affine_maps`.

    >>> lipschitz_bound(nn.Sequential(nn.Linear(2, 2), Sign()))
    'Sign jumps: no slope bounds the outputs'
    """
    maps = affine_maps(network)
    if maps is None or not isinstance(network, nn.Sequential):
        return "norms bound the outputs of MLPs only"
    bound = spectral_product(maps)
    for module in network:
        if isinstance(module, JUMPS):
            return f"{type(module).__name__} jumps: no slope bounds the outputs"
        if isinstance(module, nn.Linear | nn.BatchNorm1d):
            continue
        if type(module) not in STEEPEST:
            return f"no bound of the slope of {type(module).__name__} is known here"
        bound *= STEEPEST[type(module)](module)
    return bound if math.isfinite(bound) else "the product of norms is too large for a number"
