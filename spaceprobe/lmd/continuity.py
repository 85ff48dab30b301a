"""How close two inputs have to be for a network to keep its encoding margin: δ(ε).

The Layer Matrix Decomposition (arXiv 2309.05968) says that a stably converged network encodes a uniformly
continuous function within ε of its data. Uniformly continuous means that for every ε > 0 there is one δ > 0
for all inputs: what is less than δ apart has outputs less than ε apart. Of a function with the Lipschitz
constant L, δ(ε) = ε / L will do. A function that jumps by more than ε has no such δ.
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

SOFTMAX_SLOPE = 0.5
"""The Lipschitz constant of softmax in L2. Its Jacobian diag(p) - ppᵀ has row sums of absolute values
2 p_i (1 - p_i) ≤ 1/2 (Gershgorin), and p = (1/2, 1/2) reaches it."""


def continuity_radius(margin: float, slope: float) -> float | None:
    """Return δ(ε) = ε / L, ≥ 0: inputs that are less apart have outputs at most ε apart.

    None where L is 0: a constant function has every δ.

    Args:
        margin: ε, in units of the outputs.
        slope: L, a Lipschitz constant, or a bound of it.

    Raises:
        ValueError: if a number is negative, NaN or infinite.

    >>> continuity_radius(0.1, 4.0)
    0.025
    """
    for name, value in (("margin", margin), ("slope", slope)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: {value}, a number >= 0 is needed")
    return margin / slope if slope > 0 else None


def nearest_other(points: Float64[Tensor, "points features"], labels: Tensor) -> float | None:
    """Return the smallest L2 distance between two points of different classes; None with a single class.

    A network that encodes its labels within ε < 1/2 has to change from one to the other on this way, so it is
    what δ is to be held against.

    Args:
        points: one a row.
        labels: whole numbers, as many.

    Raises:
        ValueError: if there is not one label for each point.
    """
    if len(labels) != len(points):
        raise ValueError(f"labels: of {len(labels)} points, {len(points)} points are given")
    smallest = math.inf
    for first in range(0, len(points), POINTS_AT_ONCE):
        rows = slice(first, first + POINTS_AT_ONCE)
        distances = torch.cdist(points[rows], points, compute_mode="donot_use_mm_for_euclid_dist")
        is_other = labels[rows, None] != labels[None, :]
        if bool(is_other.any()):
            smallest = min(smallest, float(distances[is_other].min()))
    return smallest if smallest < math.inf else None


POINTS_AT_ONCE = 256
"""Chosen: rows of distances that are in memory at a time."""
