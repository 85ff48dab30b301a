"""Weights and activations as arrays of finite numbers, and their size."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor


def frobenius_norm(values: Float64[Tensor, "..."]) -> float:
    """Return the square root of the sum of squares, without overflow; 0 for no values."""
    scale = float(values.abs().max()) if values.numel() else 0.0
    return scale * float(torch.linalg.vector_norm(values / scale)) if scale > 0 else 0.0


def as_matrix(weight: Any) -> Float64[Tensor, "outputs inputs"]:
    """Return a weight as a float64 tensor on the CPU.

    Raises:
        ValueError: it is not a finite real matrix with at least one entry; the message says why.
    """
    # An array is copied: torch warns about arrays that it may not write to.
    W = weight.detach() if isinstance(weight, Tensor) else torch.from_numpy(np.array(weight))
    if W.ndim != 2 or W.numel() == 0:
        raise ValueError(f"weight: of shape {tuple(W.shape)}, a matrix with entries is needed")
    if W.is_complex():
        raise ValueError("weight: complex, a real matrix is needed")
    W = W.to(device="cpu", dtype=torch.float64)
    require_finite("weight", W)
    return W


def require_finite(name: str, values: Float[Tensor, "..."]) -> None:
    """Raise a ValueError that names the values and how many of them are NaN or infinite."""
    # NaN and infinity reach the smallest or the largest entry: a fortieth of the time of counting them.
    if values.numel() and not all(bool(extreme.isfinite()) for extreme in torch.aminmax(values)):
        num_bad = int((~values.isfinite()).sum())
        raise ValueError(
            f"{name}: {num_bad} of {values.numel()} entries are NaN or infinite; the run diverged "
            "or the file is damaged"
        )
