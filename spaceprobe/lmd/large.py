"""The leading singular triplets of a large matrix, each with its error.

Randomised block Krylov iteration (Musco and Musco, NeurIPS 2015, algorithm 2) with the basis kept
orthonormal at every step, as in block Lanczos (Golub, Luk and Overton, ACM TOMS 7 (1981)). The
iteration runs in float32, which costs half the time and yields a subspace; values, vectors and
their errors are then computed from that subspace and the matrix in float64. So rounding of the first
part is seen in the stated errors: they do not fall below some 1e-7 to 1e-6 of σ₁.

A spectrum that decays is found to many digits, a flat one is not: the leading values of pure noise lie
so close together that the Krylov space would have to be larger. The stated error tells them apart.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix
from spaceprobe.lmd.factors import with_signs

BLOCK = 16
"""Chosen: a product with 16 vectors takes 1.3 times as long as one with 8 (4096 × 4096)."""

DIMENSIONS_PER_VALUE = 5
"""Chosen: 64 values of a 4096 × 4096 matrix in some 1/20 of the time of all values, and residuals of 5e-5 or
less for σ_i from i^-1/4 to i^-1 (scripts/bench_lmd.py)."""

NUM_STEPS = 20
"""Chosen: the same for fewer values. Accuracy grows with the steps, however few values are sought."""

PAYS_FROM = 2
"""Chosen: below this many Krylov dimensions on the shorter side a full decomposition is as fast."""

ROWS_AT_ONCE = 64
"""Chosen: rows of 4096 float64 that stay in the cache."""


@dataclass(frozen=True)
class LeadingTriplets:
    """The leading singular values of a matrix and their vectors, approximately.

    Attributes:
        U: left singular vectors, the columns orthonormal.
        singular_values: descending; the i-th is at most the true i-th, up to rounding (interlacing).
        Vh: right singular vectors, the rows orthonormal; the entry of largest magnitude of each row is
            positive.
        residuals: ‖W v - σ u‖ / σ₁ of each triplet; zeros for a zero matrix. The triplet is exact for a
            matrix that differs from W by this much in spectral norm, so some true singular value lies within
            residual · σ₁ of it (Weyl). Which one, the i-th or a later one, the residual does not tell: it
            cannot see a leading value that was missed altogether. The random start makes that unlikely; it
            does not rule it out.
        krylov_dim: dimension of the space searched; the shorter side where nothing was approximated.
        all_values: all singular values, descending, where nothing was approximated; None elsewhere.
    """

    U: Float64[Tensor, "outputs kept"]
    singular_values: Float64[Tensor, "kept"]
    Vh: Float64[Tensor, "kept inputs"]
    residuals: Float64[Tensor, "kept"]
    krylov_dim: int
    all_values: Float64[Tensor, "values"] | None = None


def leading_triplets(
    weight: Any, num_values: int, seed: int = 0, krylov_dim: int | None = None
) -> LeadingTriplets:
    """Return the leading singular values and vectors of a matrix, each with its residual.

    A matrix whose shorter side is less than `PAYS_FROM` times the Krylov dimension is decomposed in full:
    exact to rounding, and as fast. With the same seed and one torch thread the same bytes come out.

    Args:
        weight: a torch tensor or an array of shape (outputs, inputs).
        num_values: how many triplets, 1 to min(outputs, inputs).
        seed: of the random start.
        krylov_dim: dimension of the space searched, at least num_values + `BLOCK`, rounded up to blocks;
            None takes `DIMENSIONS_PER_VALUE` for each value, and at least `NUM_STEPS` blocks. Time grows a
            little faster than it, and the error falls exponentially.

    Raises:
        ValueError: if the weight is not a finite real matrix with at least one entry, or a number is out of
            range.
    """
    W = as_matrix(weight)
    shorter = min(W.shape)
    if not 1 <= num_values <= shorter:
        shape = " × ".join(map(str, W.shape))
        raise ValueError(f"num_values: {num_values} is out of range for a {shape} matrix, 1 to {shorter}")
    least = num_values + BLOCK
    if krylov_dim is None:
        krylov_dim = max(DIMENSIONS_PER_VALUE * num_values, NUM_STEPS * BLOCK)
    if krylov_dim < least:
        raise ValueError(f"krylov_dim: {krylov_dim} for {num_values} values, at least {least} is needed")
    krylov_dim = BLOCK * math.ceil(krylov_dim / BLOCK)
    scale = max(abs(float(extreme)) for extreme in torch.aminmax(W))
    if shorter < PAYS_FROM * krylov_dim or scale == 0:
        U, values, Vh = torch.linalg.svd(W, full_matrices=False)
        leading = _with_errors(W, U[:, :num_values], values[:num_values], Vh[:num_values], shorter)
        return replace(leading, all_values=values)
    generator = torch.Generator().manual_seed(seed)
    # A few directions more than asked for: the last ones of a subspace are the least exact.
    basis = _left_basis(_scaled(W, scale), least, krylov_dim, generator)
    rotation, values, Vh = torch.linalg.svd(basis @ W, full_matrices=False)
    U = basis.T @ rotation
    return _with_errors(W, U[:, :num_values], values[:num_values], Vh[:num_values], krylov_dim)


def _scaled(W: Float64[Tensor, "outputs inputs"], scale: float) -> Float32[Tensor, "outputs inputs"]:
    """Return W / scale; some rows at a time stay in the cache, which takes a third of the time."""
    A = torch.empty(W.shape)
    for rows, scaled in zip(W.split(ROWS_AT_ONCE), A.split(ROWS_AT_ONCE), strict=True):
        torch.div(rows, scale, out=scaled)
    return A


def _left_basis(
    A: Float32[Tensor, "outputs inputs"], num_directions: int, krylov_dim: int, generator: torch.Generator
) -> Float64[Tensor, "directions outputs"]:
    """Return, in rows, an orthonormal basis of about the leading left singular vectors.

    Both sides are kept orthonormal: through powers of AᵀA alone, rounding would drown what lies below
    3e-4 of σ₁. Vectors are rows: A.T @ columns takes up to seven times as long as rows @ A.
    """
    U, V = torch.empty(krylov_dim, len(A)), torch.empty(krylov_dim, A.shape[1])
    images = torch.empty_like(V)
    image = torch.randn(BLOCK, A.shape[1], generator=generator)
    for start in range(0, krylov_dim, BLOCK):
        now = slice(start, start + BLOCK)
        V[now] = _new_directions(image, V[:start])
        U[now] = _new_directions(V[now] @ A.T, U[:start])
        images[now] = image = U[now] @ A
    # The leading left singular vectors of U A, which the images are.
    R = torch.linalg.qr(images.T, mode="r").R
    _, _, rotation = torch.linalg.svd(R.double())
    return _orthonormal(rotation[:num_directions] @ U.double())


def _new_directions(
    block: Float32[Tensor, "block size"], earlier: Float32[Tensor, "earlier size"]
) -> Float32[Tensor, "block size"]:
    """Return an orthonormal block, orthogonal to the earlier directions too.

    A row of which nothing is left, as all are after the first block of an orthogonal matrix, becomes
    whatever direction its rounding points to: new to the space, as good as a random one.
    """
    for _ in range(3):  # twice is enough (Giraud, Langou and Rozložník 2005), once more for such rows
        block = _orthonormal(block - (block @ earlier.T) @ earlier)
    return block


def _orthonormal(rows: Float[Tensor, "rows size"]) -> Float[Tensor, "rows size"]:
    Q: Tensor = torch.linalg.qr(rows.T).Q
    return Q.T


def _with_errors(
    W: Float64[Tensor, "outputs inputs"],
    U: Float64[Tensor, "outputs kept"],
    values: Float64[Tensor, "kept"],
    Vh: Float64[Tensor, "kept inputs"],
    krylov_dim: int,
) -> LeadingTriplets:
    """Return the triplets with signs fixed and residuals measured against the matrix itself."""
    U, Vh = with_signs(U, Vh)
    Vh = Vh.contiguous()
    residuals = torch.linalg.vector_norm((Vh @ W.T).T - U * values, dim=0)
    # A zero matrix is met exactly: its errors are 0 in any scale.
    residuals = residuals / (values[0] if values[0] > 0 else 1.0)
    return LeadingTriplets(U, values.clone(), Vh, residuals, krylov_dim)
