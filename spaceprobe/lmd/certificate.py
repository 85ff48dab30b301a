"""How well the five factors of a weight matrix fulfil their equations."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix, frobenius_norm
from spaceprobe.lmd.factors import Factors


@dataclass(frozen=True)
class Certificate:
    """How well factors fulfil their equations, and the norms of the matrix.

    Attributes:
        num_outputs: rows m of the matrix.
        num_inputs: columns n.
        rank: kept components r.
        frobenius_norm: √Σσ².
        spectral_norm: σ₁.
        stable_rank: ‖W‖_F² / σ₁²; 0 for a zero matrix.
        truncation_error: ‖W - W_r‖_F, from the five factors.
        truncation_gap: how far it is from √Σσ² over the values cut off, its value in exact
            arithmetic (Eckart and Young 1936); relative to ‖W‖_F.
        reconstruction_error: ‖W V Vᵀ - U O_dist S' I_dist Vᵀ‖_F / ‖W‖_F. In exact arithmetic
            W V Vᵀ = W_r, so the factors are held against the matrix itself.
        isometry_error_u: largest entry of |UᵀU - 1|.
        isometry_error_v: largest entry of |VᵀV - 1|.
        condition_in: condition number of G_in = I_distᵀ I_dist; 1 for rank 0.
        condition_out: condition number of G_out = (O_dist O_distᵀ)^-1; 1 for rank 0.
        num_ignored_inputs: columns of zeros: inputs that the layer ignores.
    """

    num_outputs: int
    num_inputs: int
    rank: int
    frobenius_norm: float
    spectral_norm: float
    stable_rank: float
    truncation_error: float
    truncation_gap: float
    reconstruction_error: float
    isometry_error_u: float
    isometry_error_v: float
    condition_in: float
    condition_out: float
    num_ignored_inputs: int


def certify(weight: Any, factors: Factors) -> Certificate:
    """Return how well the factors of a weight fulfil their equations, and the weight's norms.

    Args:
        weight: the matrix that was decomposed.
        factors: its factors, with any metric.

    Raises:
        ValueError: as `decompose` about the weight; or if the factors are of another shape.
    """
    W = as_matrix(weight)
    if W.shape != (len(factors.U), factors.Vh.shape[1]):
        raise ValueError(
            f"factors: of a {len(factors.U)} × {factors.Vh.shape[1]} matrix, "
            f"the weight is {W.shape[0]} × {W.shape[1]}"
        )
    norm = frobenius_norm(W)
    spectral_norm = float(factors.singular_values[0])
    left = factors.U @ (factors.O_dist * factors.S_prime) @ factors.I_dist
    truncation_error = frobenius_norm(W - left @ factors.Vh)
    tail = frobenius_norm(factors.singular_values[factors.rank :])
    # A zero matrix is reproduced exactly: its errors are 0 in any scale.
    scale = norm if norm > 0 else 1.0
    return Certificate(
        num_outputs=W.shape[0],
        num_inputs=W.shape[1],
        rank=factors.rank,
        frobenius_norm=norm,
        spectral_norm=spectral_norm,
        stable_rank=(norm / spectral_norm) ** 2 if spectral_norm > 0 else 0.0,
        truncation_error=truncation_error,
        truncation_gap=abs(truncation_error - tail) / scale,
        reconstruction_error=frobenius_norm((W @ factors.Vh.T - left) @ factors.Vh) / scale,
        isometry_error_u=isometry_error(factors.U),
        isometry_error_v=isometry_error(factors.Vh.T),
        condition_in=_condition(factors.I_dist),
        condition_out=_condition(factors.O_dist),
        num_ignored_inputs=int((W == 0).all(dim=0).sum()),
    )


def isometry_error(columns: Float64[Tensor, "rows rank"]) -> float:
    """Return the largest entry of |CᵀC - 1|, ≥ 0; 0 without columns."""
    one = torch.eye(columns.shape[1], dtype=torch.float64)
    error = (columns.T @ columns - one).abs()
    return float(error.max()) if error.numel() else 0.0


def _condition(factor: Float64[Tensor, "rank rank"]) -> float:
    """Return the condition number of the Gram matrix of a factor; 1 without components."""
    if not factor.numel():
        return 1.0
    values = torch.linalg.svdvals(factor)
    return float((values[0] / values[-1]) ** 2)
