"""Norms of an MLP's weights: over its paths from inputs to outputs, and products over its layers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn


@dataclass(frozen=True)
class AffineMap:
    """What an MLP does between two activations: x → weight · x + bias.

    Attributes:
        weight: the matrix; that of a BatchNorm behind it included.
        bias: what is added; zeros where there is none.
    """

    weight: Float64[Tensor, "outputs inputs"]
    bias: Float64[Tensor, "outputs"]


def affine_maps(network: nn.Module) -> list[AffineMap] | None:
    """Return the affine maps of an MLP, first to last, in float64; None for any other network.

    A BatchNorm is the affine map of its running statistics, and part of the layer that it follows.
    Activations are passed over, those with slopes of their own (PReLU) as well.

    Args:
        network: an MLP is an `nn.Sequential` of linear layers, BatchNorms and modules without parameters.
    """
    if not isinstance(network, nn.Sequential):
        return None
    maps: list[AffineMap] = []
    is_behind_layer = False
    for module in network:
        if isinstance(module, nn.Linear):
            weight = module.weight.detach().double()
            bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach().double()
            maps.append(AffineMap(weight, bias))
        elif isinstance(module, nn.BatchNorm1d) and module.running_var is not None:
            scale, shift = _scale_and_shift(module)
            if is_behind_layer:
                layer = maps.pop()
                maps.append(AffineMap(scale[:, None] * layer.weight, scale * layer.bias + shift))
            else:
                maps.append(AffineMap(torch.diag(scale), shift))
        elif not isinstance(module, nn.PReLU) and any(True for _ in module.parameters()):
            return None
        is_behind_layer = isinstance(module, nn.Linear)
    return maps or None


def _scale_and_shift(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return the affine map of a BatchNorm in evaluation mode."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError(f"{norm}: has no running statistics; expected a BatchNorm that keeps them")
    scale = (variance.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.detach().double()


def path_norm(maps: Sequence[AffineMap]) -> float:
    """Return √(Σ over paths of Π w²), the path norm; infinite where a square overflows.

    A path leads from an input, or from a bias, through one unit of each layer to an output. The sum over all
    of them is that of the outputs for an input of ones, once every weight and bias is squared and activations
    are left out (Neyshabur, Salakhutdinov and Srebro, "Path-SGD", NeurIPS 2015; as a forward pass in Jiang et
    al., "Fantastic generalization measures and where to find them", ICLR 2020). Multiplying a unit's row and
    bias by c > 0 and dividing the next layer's column by c does not change it.

    Args:
        maps: those of an MLP, one or more.
    """
    total = maps[0].weight.new_ones(maps[0].weight.shape[1])
    for layer in maps:
        total = layer.weight.square() @ total + layer.bias.square()
    return float(total.sum().sqrt())


def spectral_product(maps: Sequence[AffineMap]) -> float:
    """Return Π ‖W‖₂, an upper bound of the Lipschitz constant where activations have slopes of 1 at most."""
    return _product([float(torch.linalg.matrix_norm(layer.weight, 2)) for layer in maps])


def frobenius_product(maps: Sequence[AffineMap]) -> float:
    """Return Π ‖W‖_F."""
    return _product([float(torch.linalg.matrix_norm(layer.weight)) for layer in maps])


def _product(factors: Sequence[float]) -> float:
    product = 1.0
    for factor in factors:
        product *= factor
    return product
