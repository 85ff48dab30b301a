"""How many directions the points of a layer take: their linear dimension, beside that of `dimension`.

A smooth activation bends points into more directions and leaves the dimension of the manifold that they lie
on as it was, so the two go apart.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from spaceprobe.lmd.graph import Points, as_points
from spaceprobe.lmd.rounding import FLOAT32_EPSILON, SUM_ROUNDING

SHARE = 0.99
"""Of the variance, behind `Span.rank99`: that of the rank rule ``data99``."""


@dataclass(frozen=True)
class Span:
    """The linear dimension of points, by three counts of their principal components; 0 where all are equal.

    Attributes:
        rank: components whose root mean square is above 2^-23 of that of the points, the rounding of float32.
        rank99: the fewest components that hold 99 % of the variance.
        participation: (Σλ)² / Σλ² of the variances λ of the components, from 1.
        num_points: how many points there are; ``rank`` is at most one less.
        num_features: of a point.
    """

    rank: int
    rank99: int
    participation: float
    num_points: int
    num_features: int


def span(points: Points) -> Span:
    """Return the linear dimension of points: of the smallest flat that holds them, or nearly so.

    Moving, rotating, reflecting and scaling all points changes nothing, up to rounding.

    Args:
        points: one a row.

    Raises:
        ValueError: there are no points, or an entry is NaN, infinite or above 1e150.
    """
    X = as_points(points)
    centred = X - X.mean(axis=0)
    # Data are stored in float32, whose rounding is no direction: 1e-8 of the norm in 16 features.
    rounding = FLOAT32_EPSILON * float(np.linalg.norm(X))
    deviations = np.linalg.svd(centred, compute_uv=False)
    deviations = deviations[deviations > rounding]
    if not len(deviations):
        return Span(0, 0, 0.0, *X.shape)
    return Span(len(deviations), *_effective((deviations / deviations[0]) ** 2), *X.shape)


def _effective(variances: Float64[np.ndarray, "components"]) -> tuple[int, float]:
    """Return how many of some descending variances hold `SHARE` of them, and their participation ratio."""
    shares = variances / variances.sum()
    rank99 = int(np.searchsorted(np.cumsum(shares), SHARE - SUM_ROUNDING)) + 1
    return rank99, float(1 / np.sum(shares**2))
