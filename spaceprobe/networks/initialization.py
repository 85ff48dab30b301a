"""Initial weights: how they are drawn, and the variance that their entries then have."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from spaceprobe.networks.activations import seed_activations
from spaceprobe.networks.product_layers import ProductLinear

WeightLayer = nn.Linear | nn.Conv2d
"""A layer that has a weight matrix; that of a convolution is outputs × (inputs · height · width)."""

TORCH = "torch"
ORTHOGONAL = "orthogonal"

VARIANCES: Mapping[str, Callable[[int, int], float]] = {
    TORCH: lambda fan_in, _: 1 / (3 * fan_in),  # uniform in ±1/√fan_in: kaiming_uniform_ with a = √5
    "he": lambda fan_in, _: 2 / fan_in,  # He et al., arXiv 1502.01852, equation 10
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),  # Glorot and Bengio, AISTATS 2010, equation 12
}
"""The variance of an entry, of independent entries, by the name of the initialisation."""

INITIALIZATIONS = (*VARIANCES, ORTHOGONAL)
"""All initialisations by name; the entries of an orthogonal matrix (arXiv 1312.6120) are not independent."""


def fans(layer: WeightLayer) -> tuple[int, int]:
    """Return how many inputs an output is summed from, and how many outputs an input goes to.

    Of a convolution both count the entries of its kernel, as torch does.
    """
    num_outputs, num_inputs = layer.weight.shape[:2]
    kernel = layer.weight[0, 0].numel()
    return num_inputs * kernel, num_outputs * kernel


def entry_variance(layer: WeightLayer, initialization: str, scale: float) -> float | None:
    """Return the variance of the initial entries of a weight; None where they are not independent.

    Those of a product of factors are not.

    Args:
        layer: whose weight it is.
        initialization: a name of `INITIALIZATIONS`.
        scale: see `initialize`.
    """
    if initialization == ORTHOGONAL or isinstance(layer, ProductLinear):
        return None
    return scale**2 * VARIANCES[initialization](*fans(layer))


@torch.no_grad()
def initialize(
    network: nn.Module, generator: torch.Generator, initialization: str = TORCH, scale: float = 1.0
) -> None:
    """Draw the weights and biases of every linear layer and convolution anew, in their order in the network.

    Other parameters (of BatchNorm and LayerNorm, positions) stay as they are. Activations that are random in
    training get a seed.

    Args:
        network: changed in place.
        generator: the only source of random numbers.
        initialization: ``torch``: weights and biases uniform in ±1/√fan_in, which is torch's default.
            Otherwise biases are 0 and weights are, for ``he`` and ``xavier``, normal with the variances of
            `VARIANCES`; for ``orthogonal``, a matrix with orthonormal rows, or columns where it has fewer of
            these, uniformly distributed.
        scale: by which weights (not biases) are multiplied.

    Raises:
        ValueError: the initialisation is unknown.
    """
    if initialization not in INITIALIZATIONS:
        known = ", ".join(INITIALIZATIONS)
        raise ValueError(f"initialization {initialization!r} is unknown, known are {known}")
    for layer in network.modules():
        if isinstance(layer, WeightLayer):
            _draw(layer, generator, initialization)
            if scale != 1:
                layer.weight.mul_(scale)
    seed_activations(network, generator)  # last: weights do not depend on the activation


def _draw(layer: WeightLayer, generator: torch.Generator, initialization: str) -> None:
    weight: Tensor = layer.weight
    if initialization == TORCH:
        bound = fans(layer)[0] ** -0.5
        weight.uniform_(-bound, bound, generator=generator)
        if layer.bias is not None:
            layer.bias.uniform_(-bound, bound, generator=generator)
        return
    if initialization == ORTHOGONAL:
        nn.init.orthogonal_(weight, generator=generator)
    else:
        weight.normal_(0, VARIANCES[initialization](*fans(layer)) ** 0.5, generator=generator)
    if layer.bias is not None:
        layer.bias.zero_()
