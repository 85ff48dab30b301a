"""The five factors of a weight matrix.

Layer Matrix Decomposition, arXiv 2309.05968, as made precise in docs/definitions.md, "The five factors".
With the singular value decomposition W = U Σ Vᵀ cut to rank r, symmetric positive definite G_in and
G_out, and the singular value decomposition G_out^½ Σ_r G_in^-½ = P S' Qᵀ,

    W_r = U · O_dist · diag(S') · I_dist · Vᵀ,    O_dist = G_out^-½ P,    I_dist = Qᵀ G_in^½.

So I_distᵀ I_dist = G_in, and S'² are the eigenvalues of the pencil (Σ_r G_out Σ_r, G_in).

Everything is computed by LAPACK in float64 on the CPU. Results are the same bytes on the same machine
with one thread, which the caller sets (`torch.set_num_threads(1)`); more threads change last bits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix
from spaceprobe.lmd.metrics import METRICS, Gram, LatentMetric

SYMMETRY_TOLERANCE = 1e-12
"""Chosen: a Gram matrix from a float64 product is symmetric to some 1e-15 of its largest entry."""


@dataclass(frozen=True, repr=False)
class Factors:
    """The Layer Matrix Decomposition of an m × n matrix, cut to rank r.

    Attributes:
        U: left singular vectors, the columns orthonormal.
        O_dist: output distance, G_out^-½ P.
        S_prime: separation S', descending, ≥ 0.
        I_dist: input distance, Qᵀ G_in^½.
        Vh: right singular vectors, the rows orthonormal; the entry of largest magnitude of each row
            (the first of several) is positive.
        singular_values: all min(m, n) singular values of the matrix, descending.
    """

    U: Float64[Tensor, "outputs rank"]
    O_dist: Float64[Tensor, "rank rank"]
    S_prime: Float64[Tensor, "rank"]
    I_dist: Float64[Tensor, "rank rank"]
    Vh: Float64[Tensor, "rank inputs"]
    singular_values: Float64[Tensor, "values"]

    def __repr__(self) -> str:
        sides = f"{len(self.U)} × {self.Vh.shape[1]}"
        separation = f", S' from {self.S_prime[0]:.4g} to {self.S_prime[-1]:.4g}" if self.rank else ""
        return f"Factors of a {sides} matrix: rank {self.rank} of {len(self.singular_values)}{separation}"

    @property
    def rank(self) -> int:
        """The number r of kept components."""
        return len(self.S_prime)

    def product(self) -> Float64[Tensor, "outputs inputs"]:
        """Return W_r, the product of the five factors."""
        return self.U @ (self.O_dist * self.S_prime) @ self.I_dist @ self.Vh


def decompose(weight: Any, rank: int | None = None, metric: str | LatentMetric = "identity") -> Factors:
    """Return the five factors of a weight matrix.

    Args:
        weight: a torch tensor or an array of shape (outputs, inputs), as in `torch.nn.Linear`.
        rank: how many components to keep, from 0 to min(outputs, inputs); None keeps all. With equal
            singular values across the cut, which of their directions stay is arbitrary.
        metric: the latent metric, a name in `spaceprobe.lmd.metrics.METRICS` or a function; without
            naming one the factorisation is not identifiable.

    Returns:
        The factors, float64 tensors on the CPU. A zero matrix has S' = 0 and arbitrary orthonormal U
        and V. One row or one column: one component.

    Raises:
        ValueError: if the weight is not a finite real matrix with at least one entry, the rank is out of
            range, the metric's name unknown, or a Gram matrix is not symmetric positive definite.
    """
    W = as_matrix(weight)
    _check_rank(rank, W.shape[0], W.shape[1])
    U, values, Vh = _signed_svd(W)
    one = torch.eye(len(values), dtype=torch.float64)
    return cut(Factors(U, one, values, one, Vh, values), rank, metric)


def cut(whole: Factors, rank: int | None = None, metric: str | LatentMetric = "identity") -> Factors:
    """Return the factors of a matrix at another rank and metric, without decomposing it again.

    Args:
        whole: all components of the matrix, with the metric identity, as `decompose` returns them.
        rank: as for `decompose`.
        metric: as for `decompose`.

    Raises:
        ValueError: as `decompose` about rank and metric; or if components were cut off already.
    """
    values = whole.singular_values
    if whole.rank < len(values):
        raise ValueError(f"whole: holds {whole.rank} of {len(values)} components, all are needed")
    rank = _check_rank(rank, len(whole.U), whole.Vh.shape[1])
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(f"metric: {metric!r} is unknown, known are {', '.join(METRICS)}")
        metric = METRICS[metric]
    U, kept, Vh = whole.U[:, :rank].contiguous(), values[:rank], whole.Vh[:rank]
    gram_in, gram_out = metric(U, kept, Vh)
    O_dist, S_prime, I_dist = latent_factors(kept, gram_in, gram_out)
    return Factors(U, O_dist, S_prime, I_dist, Vh, values)


def _check_rank(rank: int | None, num_outputs: int, num_inputs: int) -> int:
    """Return the rank, all components for None, after a check that it is in range."""
    max_rank = min(num_outputs, num_inputs)
    if rank is None:
        return max_rank
    if not 0 <= rank <= max_rank:
        shape = f"{num_outputs} × {num_inputs}"
        raise ValueError(f"rank: {rank} is out of range for a {shape} matrix, 0 to {max_rank}")
    return rank


def latent_factors(
    singular_values: Float64[Tensor, "rank"], gram_in: Gram, gram_out: Gram
) -> tuple[Float64[Tensor, "rank rank"], Float64[Tensor, "rank"], Float64[Tensor, "rank rank"]]:
    """Return O_dist, S' and I_dist for the given latent metrics.

    The product O_dist S' I_dist is diag(singular_values) up to rounding of the order of
    √(condition of G_in · condition of G_out).

    Args:
        singular_values: the kept ones, descending.
        gram_in: G_in, None for the identity.
        gram_out: G_out, None for the identity.

    Raises:
        ValueError: if a Gram matrix is not symmetric positive definite.
    """
    if gram_in is None and gram_out is None:
        one = torch.eye(len(singular_values), dtype=torch.float64)
        return one, singular_values.clone(), one.clone()
    root_in, inverse_root_in = _roots(gram_in, "gram_in", len(singular_values))
    root_out, inverse_root_out = _roots(gram_out, "gram_out", len(singular_values))
    P, S_prime, Qh = _signed_svd((root_out * singular_values) @ inverse_root_in)
    return inverse_root_out @ P, S_prime, Qh @ root_in


def _signed_svd(
    A: Float64[Tensor, "rows columns"],
) -> tuple[Float64[Tensor, "rows values"], Float64[Tensor, "values"], Float64[Tensor, "values columns"]]:
    """Return the thin singular value decomposition, signs as `with_signs` gives them."""
    U, values, Vh = torch.linalg.svd(A, full_matrices=False)
    U, Vh = with_signs(U, Vh)
    return U, values, Vh


def with_signs(
    U: Float64[Tensor, "rows values"], Vh: Float64[Tensor, "values columns"]
) -> tuple[Float64[Tensor, "rows values"], Float64[Tensor, "values columns"]]:
    """Return singular vectors with the largest entry in magnitude of each row of Vh positive.

    Entries that differ by rounding only tie for largest; then rounding decides the sign.
    """
    largest = Vh.gather(1, Vh.abs().argmax(dim=1, keepdim=True))
    sign = torch.where(largest < 0, -1.0, 1.0).to(torch.float64)
    return U * sign.T, Vh * sign


def _roots(
    gram: Gram, name: str, size: int
) -> tuple[Float64[Tensor, "size size"], Float64[Tensor, "size size"]]:
    """Return the symmetric square root of a Gram matrix and its inverse."""
    if gram is None:
        one = torch.eye(size, dtype=torch.float64)
        return one, one
    if gram.shape != (size, size):
        raise ValueError(f"{name}: of shape {tuple(gram.shape)}, rank {size} is needed")
    asymmetry = float((gram - gram.T).abs().max()) if size else 0.0
    # Not ">": NaN must not pass.
    if not asymmetry <= SYMMETRY_TOLERANCE * (float(gram.abs().max()) if size else 0.0):
        raise ValueError(f"{name}: not symmetric, entries differ by up to {asymmetry:.3g}")
    eigenvalues, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    if size and not eigenvalues[0] > size * torch.finfo(torch.float64).eps * eigenvalues[-1]:
        raise ValueError(
            f"{name}: not positive definite, eigenvalues from {eigenvalues[0]:.3g} to "
            f"{eigenvalues[-1]:.3g}; add a multiple of the identity"
        )
    root = eigenvalues.sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
