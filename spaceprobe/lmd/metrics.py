"""Latent metrics: which geometry the two latent spaces of a layer are given.

The Layer Matrix Decomposition (arXiv 2309.05968) writes a weight matrix with distances on both sides
of its singular values. The paper does not fix them, and without them the factorisation is not
identifiable: any two symmetric positive definite matrices give five factors with the same product.
A result therefore names its metric.

A metric is a function of the leading singular triplets, since it may measure data in their basis. It
returns the Gram matrices G_in and G_out of the latent input and output space.
"""

from collections.abc import Callable

from jaxtyping import Float64
from torch import Tensor

Gram = Float64[Tensor, "size size"] | None
"""A symmetric positive definite matrix, as large as the rank; None for the identity."""

LatentMetric = Callable[
    [
        Float64[Tensor, "outputs rank"],
        Float64[Tensor, "rank"],
        Float64[Tensor, "rank inputs"],
    ],
    tuple[Gram, Gram],
]
"""Maps U, the leading singular values and Vh to G_in and G_out."""


def identity(
    U: Float64[Tensor, "outputs rank"],  # noqa: ARG001 - every metric is given these
    singular_values: Float64[Tensor, "rank"],  # noqa: ARG001 - every metric is given these
    Vh: Float64[Tensor, "rank inputs"],  # noqa: ARG001 - every metric is given these
) -> tuple[Gram, Gram]:
    """Returns Euclidean latent spaces: S' is Σ, and both distance matrices are the identity."""
    return None, None


METRICS: dict[str, LatentMetric] = {"identity": identity}
"""Metrics that need nothing but the weights, by name."""
