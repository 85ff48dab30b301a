"""A differentiable surrogate of space folding, which training can reward or penalise.

Our own: arXiv 2503.08502 outlines a regulariser that rewards folding early in training, and leaves open how
it is differentiated. Bits become soft, and paths are read at a few evenly spaced points; see
docs/definitions.md, "Soft folding".
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

SOFTNESS = 0.1
"""Chosen: τ, in root mean squares of a unit: at half of one a bit is within 0.01 of 0 or 1."""

NUM_INTERVALS = 16
"""Chosen: of a path. The step between two points is then mostly within the width of a soft bit."""


def soft_bits(
    pre_activations: Float[Tensor, "points paths units"], softness: float = SOFTNESS
) -> Float[Tensor, "points paths units"]:
    """Return σ(z / (τ · RMS(z))), in [0, 1], with the root mean square of each unit over all paths.

    Multiplying a unit's row and bias by c > 0 changes nothing, as it does not change hard bits: larger
    weights alone make no bit harder. A unit that is 0 everywhere has bits of 1/2.

    Args:
        pre_activations: of one layer, at the points of several paths.
        softness: τ, above 0; in its limit to 0 the bits are those of the sign.
    """
    mean_square = pre_activations.square().mean(dim=(0, 1))
    scale = torch.where(mean_square > 0, mean_square, 1).sqrt()  # √ has no slope at 0
    return torch.sigmoid(pre_activations / (softness * scale))


def soft_chi(bits: Float[Tensor, "points paths units"]) -> Float[Tensor, "paths"]:
    """Return 1 - reach / length of each path, in [0, 1); 0 where no bit changes.

    Length is the sum, over units and neighbouring points, of the changes of bits; reach is the largest sum,
    over units, of their differences from those at the start: for bits of 0 and 1, those of the sampled path.

    Args:
        bits: of all layers, in [0, 1], at two points of each path or more.
    """
    length = bits.diff(dim=0).abs().sum(dim=(0, 2))
    reach = (bits - bits[0]).abs().sum(dim=2).amax(dim=0)
    return (length - reach) / torch.where(length > 0, length, 1)  # both are 0 where nothing changes


def soft_folding(
    network: nn.Sequential,
    inputs: Float[Tensor, "inputs features"],
    *,
    softness: float = SOFTNESS,
    num_intervals: int = NUM_INTERVALS,
) -> Float[Tensor, ""]:
    """Return the mean `soft_chi` of the paths from each input of the first half to one of the second.

    Args:
        network: an MLP; see `check_layers`.
        inputs: an even number of them, at least 2; a path leads from input k to input k + half of them.
        softness: of `soft_bits`.
        num_intervals: between the points of a path, at least 1.
    """
    layers = _pre_activations(network, inputs, num_intervals)
    return soft_chi(torch.cat([soft_bits(layer, softness) for layer in layers], dim=2)).mean()


def folding_gradients(
    network: nn.Sequential, inputs: Float[Tensor, "inputs features"]
) -> Sequence[Tensor | None]:
    """Return the gradient of `soft_folding` by each parameter; None where it does not depend on one.

    Args:
        network: an MLP; see `check_layers`.
        inputs: a batch. Of an odd number the last one has no path, and a single one has no gradient.
    """
    parameters = [*network.parameters()]
    num_inputs = len(inputs) // 2 * 2
    if num_inputs == 0:
        return [None] * len(parameters)
    folding = soft_folding(network, inputs[:num_inputs])
    return torch.autograd.grad(folding, parameters, allow_unused=True)


def check_layers(network: nn.Module) -> nn.Sequential:
    """Return the network if it is one linear layer after the other with an activation between each two.

    Raises:
        ValueError: it is not.
    """
    layers = [*network] if isinstance(network, nn.Sequential) else []
    is_linear = [isinstance(layer, nn.Linear) for layer in layers]
    is_alternating = len(layers) >= 3 and is_linear == [number % 2 == 0 for number in range(len(layers))]
    is_normed = any(isinstance(layer, nn.BatchNorm1d) for layer in layers)
    if not (isinstance(network, nn.Sequential) and is_linear[-1:] == [True] and is_alternating) or is_normed:
        raise ValueError(
            "expected an MLP without BatchNorm, linear layers with an activation between each two, got "
            f"{type(network).__name__}: no other network has soft folding"
        )
    return network


def _pre_activations(network: nn.Sequential, inputs: Tensor, num_intervals: int) -> list[Tensor]:
    """Return the pre-activations of each hidden layer, of shape (points, paths, units)."""
    first, *others = network
    # The first layer, the widest matrix, is affine: on a path its outputs lie between those at the ends.
    starts, ends = first(inputs).chunk(2)
    weights = torch.linspace(0, 1, num_intervals + 1, dtype=inputs.dtype, device=inputs.device)
    values = torch.lerp(starts, ends, weights[:, None, None])
    layers = []
    for module in others[:-1]:
        if not isinstance(module, nn.Linear):
            layers.append(values)
        values = module(values)
    return layers
