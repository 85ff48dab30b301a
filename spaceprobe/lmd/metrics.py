"""Latent metrics: which geometry the two latent spaces of a layer are given.

The Layer Matrix Decomposition (arXiv 2309.05968) writes a weight matrix with distances on both sides
of its singular values. The paper does not fix them, and without them the factorisation is not
identifiable: any two symmetric positive definite matrices give five factors with the same product.
A result therefore names its metric.

A metric is a function of the leading singular triplets, since it may measure data in their basis. It
returns the Gram matrices G_in and G_out of the latent input and output space. Three have names
(docs/definitions.md, "Latent metrics"): `identity`, `data_metric` and `laplacian_metric`. The latter two
are made from a layer's activations. With Z the inputs H_in · V_r and Y the pre-activations H_out · U_r,
both centred:

    data        G_in = C^-1,  C = ZᵀZ / points                                G_out = 1
    laplacian   G_in = E^-1,  E = ZᵀLZ / total weight, on the graph of H_in   G_out from Y and H_out's graph

C and E are mixed with a share ρ of the mean of their diagonal, the ridge, as (1-ρ)E + ρ(tr E / r)·1.

Dead ends, for the author of another metric (ρ = 0 in the first two):

- The covariance on both sides. H_out = H_in Wᵀ + b has the covariance ΣCΣ in the basis U, so with
  G_in = C^-1 and G_out = (ΣCΣ)^-1 every S' is 1, whatever the layer does.
- One graph on both sides. As before: YᵀLY = Σ(ZᵀLZ)Σ, and every S' is 1. The two sides of `laplacian`
  differ because each has the graph of its own points.
- The Gram matrix that fits geodesic distances along the graph by least squares. It need not be positive
  definite, and then it is not a metric.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.arrays import require_finite
from spaceprobe.lmd.graph import ROUNDING, ConstantPointsError, NeighbourGraph

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
    """Return Euclidean latent spaces: S' is Σ, and both distance matrices are the identity."""
    return None, None


METRICS: dict[str, LatentMetric] = {"identity": identity}
"""Metrics that need nothing but the weights, by name."""


def data_metric(inputs: Float64[Tensor, "points inputs"], ridge: float = 1e-9) -> LatentMetric:
    """Return the metric in which a layer's inputs have unit covariance, for its weight.

    With r the rank of the cut that the metric is called for, at ridge 0 and with a covariance of full rank,
    S'² are the eigenvalues of the covariance of W_r x. Setting the trailing S' to 0 turns W_r into W_s and
    costs the square root of the sum of their squares: that is the root mean square change of the outputs of
    W_r (of W only where r is full), with the bias corrected to b + (W_r - W_s) · mean of the inputs. What
    the cut from W to W_r has cost is not in it. The covariance is divided by the number of points, not by
    one less, so that this holds exactly. With a ridge it holds only about.

    The condition number of G_in is that of the covariance, at most rank / ridge (1e10 after dead ReLUs),
    and the rounding of the five factors is about its square root times 1e-16.

    Args:
        inputs: what enters the layer, one point a row.
        ridge: ρ, from 0 to 1. At 1 S' is proportional to Σ. The default is that of
            docs/definitions.md, "Latent metrics": the covariance of a layer with dead inputs is singular.

    Returns:
        A metric; rank 0 gives (None, None). Called with the singular triplets it raises
        `ConstantPointsError` if the inputs do not vary in the kept directions, and ValueError if the
        inputs have another number of features than the weight, or the covariance is singular at ridge 0.

    Raises:
        ValueError: there are no inputs, one is NaN or infinite, or the ridge is out of range.
    """
    centred, rounding = _centred(inputs, "inputs")
    _check_ridge(ridge)

    def metric(
        U: Float64[Tensor, "outputs rank"],  # noqa: ARG001 - every metric is given these
        singular_values: Float64[Tensor, "rank"],
        Vh: Float64[Tensor, "rank inputs"],
    ) -> tuple[Gram, Gram]:
        _check_features(centred, Vh.shape[1], "inputs")
        if not len(singular_values):
            return None, None
        Z = centred @ Vh.T
        return _inverse(Z.T @ Z / len(Z), ridge, rounding, "inputs"), None

    return metric


def laplacian_metric(
    inputs: Float64[Tensor, "points inputs"],
    outputs: Float64[Tensor, "points outputs"],
    graph_in: NeighbourGraph,
    graph_out: NeighbourGraph,
    ridge: float = 0.01,
) -> LatentMetric:
    """Return the metric that measures both sides of a layer by the neighbour graph of its points.

    S' above 1 is a direction in which the layer stretches its inputs, seen against the distances between
    neighbours before and after it. Rotating the inputs (with W) and scaling the weights (with the outputs)
    leave S' as it is; c times an orthogonal matrix has every S' = 1.

    Args:
        inputs: what enters the layer, one point a row.
        outputs: its pre-activations of the same points, with or without the bias.
        graph_in: `neighbour_graph` of the inputs.
        graph_out: `neighbour_graph` of the outputs. With the same graph on both sides every S' is 1 up to
            the ridge.
        ridge: ρ, from 0 to 1. At 1 S' is proportional to Σ. The default is that of
            docs/definitions.md, "Latent metrics": dead ReLUs before the layer make E singular.

    Returns:
        A metric; rank 0 gives (None, None). Called with the singular triplets it raises
        `ConstantPointsError` if the inputs or outputs do not vary along the edges in the kept directions
        (`neighbour_graph` raises it for a constant layer), and ValueError if the activations have other
        numbers of features than the weight, or E is singular at ridge 0.

    Raises:
        ValueError: there are no points, an entry is NaN or infinite, the numbers of points differ, or the
            ridge is out of range.
    """
    centred_in, rounding_in = _centred(inputs, "inputs")
    centred_out, rounding_out = _centred(outputs, "outputs")
    sizes = (len(inputs), len(outputs), graph_in.num_points, graph_out.num_points)
    if len(set(sizes)) > 1:
        raise ValueError(
            "inputs, outputs, graph_in, graph_out: of {}, {}, {} and {} points; give the same points to "
            "each".format(*sizes)
        )
    _check_ridge(ridge)

    def metric(
        U: Float64[Tensor, "outputs rank"],
        singular_values: Float64[Tensor, "rank"],
        Vh: Float64[Tensor, "rank inputs"],
    ) -> tuple[Gram, Gram]:
        _check_features(centred_in, Vh.shape[1], "inputs")
        _check_features(centred_out, U.shape[0], "outputs")
        if not len(singular_values):
            return None, None
        energy_in = dirichlet_energy(centred_in @ Vh.T, graph_in)
        energy_out = dirichlet_energy(centred_out @ U, graph_out)
        return (
            _inverse(energy_in, ridge, rounding_in, "inputs"),
            _inverse(energy_out, ridge, rounding_out, "outputs"),
        )

    return metric


def dirichlet_energy(
    points: Float64[Tensor, "points rank"], graph: NeighbourGraph
) -> Float64[Tensor, "rank rank"]:
    """Return E = ZᵀLZ / total weight: the mean of (z_i - z_j)(z_i - z_j)ᵀ over the edges, by weight.

    Args:
        points: Z, one a row; centred ones lose no digits to their mean, which the graph does not see.
        graph: of as many points.
    """
    moved = torch.from_numpy(graph.laplacian @ points.numpy())
    energy = points.T @ moved / graph.total_weight
    return (energy + energy.T) / 2


def _centred(
    points: Float64[Tensor, "points features"], name: str
) -> tuple[Float64[Tensor, "points features"], float]:
    """Return points less their mean, and the length up to which what is left is rounding."""
    if not points.numel():
        raise ValueError(f"{name}: of shape {tuple(points.shape)}, at least one point is needed")
    require_finite(name, points)
    points = points.detach().cpu()
    largest = float(torch.linalg.vector_norm(points, dim=1).max())
    return points - points.mean(dim=0), ROUNDING * largest


def _check_ridge(ridge: float) -> None:
    if not 0 <= ridge <= 1:
        raise ValueError(f"ridge: {ridge} is out of range, 0 to 1")


def _check_features(points: Float64[Tensor, "points features"], size: int, name: str) -> None:
    if points.shape[1] != size:
        raise ValueError(
            f"{name}: of {points.shape[1]} features, the weight has {size} {name}; "
            "give the activations of this layer"
        )


def _inverse(
    spread: Float64[Tensor, "rank rank"], ridge: float, rounding: float, name: str
) -> Float64[Tensor, "rank rank"]:
    """Return the inverse of (1-ρ)·spread + ρ·(mean of its diagonal)·1."""
    size = len(spread)
    level = float(spread.trace()) / size
    if level * size <= rounding**2:
        raise ConstantPointsError(
            f"{name}: constant layer, its {name} do not vary in the {size} kept directions"
        )
    mixed = (1 - ridge) * spread + ridge * level * torch.eye(size, dtype=torch.float64)
    eigenvalues, vectors = torch.linalg.eigh((mixed + mixed.T) / 2)
    smallest = size * torch.finfo(torch.float64).eps * float(eigenvalues[-1])
    num_flat = int((eigenvalues <= smallest).sum())
    if num_flat:
        raise ValueError(
            f"ridge: {ridge} is too small, the {name} do not vary in {num_flat} of the {size} kept "
            "directions; give a larger ridge or a smaller rank"
        )
    inverse: Tensor = (vectors / eigenvalues) @ vectors.T
    return (inverse + inverse.T) / 2
