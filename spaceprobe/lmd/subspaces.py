"""The leading right singular subspace of a matrix, and the angle between two of them."""

from typing import Any

import scipy.linalg
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix

NUM_DIRECTIONS = 8
"""Chosen: leading right singular vectors whose subspace is watched."""

ACCURACY = 1e-10
"""Chosen: the sine of the angle by which a basis from a Gram matrix may be off. Movement is what exceeds
`spaceprobe.lmd.verdicts.THRESHOLD`."""

GRAM_FROM = 128
"""Chosen: below this shorter side all singular vectors take a few milliseconds."""


def leading_directions(
    weight: Any, num_directions: int = NUM_DIRECTIONS
) -> Float64[Tensor, "directions inputs"]:
    """Return an orthonormal basis of the leading right singular subspace, one direction a row.

    From the leading eigenvectors of the Gram matrix of the shorter side where the gap behind them is wide
    enough for `ACCURACY`, as it mostly is (a fifth of the time: 0.8 s for 2000 × 2000), else from all
    singular vectors. The same bytes either way for the same matrix, with one thread. Signs are
    arbitrary, and so are directions whose singular values tie.

    Args:
        weight: a torch tensor or an array of shape (outputs, inputs).
        num_directions: dimension of the subspace, ≥ 1; at most min(outputs, inputs) are returned.

    Raises:
        ValueError: if the weight is not a finite real matrix with at least one entry, or num_directions < 1.
    """
    W = as_matrix(weight)
    if num_directions < 1:
        raise ValueError(f"num_directions: {num_directions}, at least 1 is needed")
    shorter = min(W.shape)
    rank = min(num_directions, shorter)
    if shorter < GRAM_FROM or rank == shorter:
        return _by_svd(W, rank)
    if W.shape[0] >= W.shape[1]:
        directions = _by_gram(W, rank)
        return _by_svd(W, rank) if directions is None else directions
    # Not from the left vectors: u W / σ would lose the digits that σ has lost against the largest.
    Q, R = torch.linalg.qr(W.T)
    directions = _by_gram(R.T, rank)
    rotated: Tensor = (_by_svd(R.T, rank) if directions is None else directions) @ Q.T
    return rotated


def largest_angle_sine(
    first: Float64[Tensor, "directions inputs"], second: Float64[Tensor, "directions inputs"]
) -> float:
    """Return the sine of the largest principal angle between the row spaces, in [0, 1].

    0 for no rows, and for as many as inputs: both are the whole space. It is the spectral norm of what is
    left of the first basis after its projection on the second, which is accurate to some 1e-16 for small
    angles, where √(1 - cos²) loses half of the digits (Björck and Golub, Numerical methods for computing
    angles between linear subspaces, 1973).

    Args:
        first: orthonormal rows, such as `leading_directions`.
        second: as many orthonormal rows.
    """
    if not len(first) or len(first) == first.shape[1]:
        return 0.0
    rest = first - (first @ second.T) @ second
    return min(1.0, float(torch.linalg.matrix_norm(rest, ord=2)))


def _by_svd(W: Float64[Tensor, "outputs inputs"], rank: int) -> Float64[Tensor, "rank inputs"]:
    Vh: Tensor = torch.linalg.svd(W, full_matrices=False).Vh
    return Vh[:rank].clone()  # a view would keep all of them in memory


def _by_gram(W: Float64[Tensor, "outputs inputs"], rank: int) -> Float64[Tensor, "rank inputs"] | None:
    """Return the basis from WᵀW; None where the eigenvalue behind it is too close to tell them apart.

    The angle is at most the error of the Gram matrix over the gap of its eigenvalues (Davis and Kahan 1970).
    Rounding of sums of n products and of the eigenvectors is some √n ε λ₁ (Higham and Mary 2019).
    """
    scale = float(W.abs().max())
    if scale == 0:
        return None
    scaled = W / scale  # no square overflows
    size = W.shape[1]
    values, vectors = scipy.linalg.eigh(
        (scaled.T @ scaled).numpy(), subset_by_index=(size - rank - 1, size - 1)
    )
    error = max(W.shape) ** 0.5 * torch.finfo(torch.float64).eps * values[-1]
    # Ascending: the first one is behind the cut.
    if values[1] - values[0] < error / ACCURACY:
        return None
    directions: Tensor = torch.from_numpy(vectors[:, :0:-1].T.copy())
    return directions
