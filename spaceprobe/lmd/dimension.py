"""How many dimensions the points of a layer have: two estimates from distances to nearest neighbours.

Both take the points for a sample from a manifold whose density hardly changes between neighbours, so
that the number of neighbours within r grows like r^d. They see only distances: moving, rotating and
scaling the points, and adding features that are constant, change nothing. Both come out low where few
points meet many dimensions or an edge of the manifold is near: 1,000 points in a cube of 5 dimensions
read 4.5.

Exactly equal points, of which ReLU layers make many, are first reduced to one: a distance 0 has no
logarithm.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from spaceprobe.lmd.graph import Points, as_points, distinct_points
from spaceprobe.lmd.subsamples import SPARE, neighbours_up_to, subsample_distances

DISCARDED = 0.1
"""Share of the largest ratios left out of the fit: Facco et al., Methods."""

MIN_POINTS = 20
"""Chosen: with so few points the relative standard error, 1/√points, is already 22 %."""


@dataclass(frozen=True)
class DimensionEstimate:
    """The dimension by one estimator.

    Attributes:
        dimension: the estimate, > 0, or 0 where all points are equal; None where there is none.
        num_points: distinct points, those it rests on.
        num_duplicates: points left out because they equal another.
        reason: why there is none; empty otherwise.
    """

    dimension: float | None
    num_points: int
    num_duplicates: int
    reason: str = ""


def twonn(distances: Float64[np.ndarray, "points neighbours"]) -> float:
    """Return the dimension from the ratio μ of the distances to the second and the first neighbour.

    The slope d of -log(1 - F(μ)) = d · log μ, fitted through the origin, with the empirical F = i / points
    of the i-th smallest ratio and the largest 10 % left out: Facco, d'Errico, Rodriguez and Laio, Estimating
    the intrinsic dimension of datasets by a minimal neighborhood information, Scientific Reports 7, 12140
    (2017). Their fit rather than the likelihood of the same model, points / Σ log μ (`mle` with two
    neighbours): the largest ratios come from outliers, and the sum gives them the most weight.

    Args:
        distances: of every point to its nearest neighbours, ascending, the first > 0, at least two columns.

    Returns:
        The dimension; infinite if both neighbours of every point used are equally far.
    """
    log_ratios = np.sort(np.log(distances[:, 1]) - np.log(distances[:, 0]))
    num_points = len(log_ratios)
    used = log_ratios[: math.floor(num_points * (1 - DISCARDED))]
    tail = -np.log1p(-np.arange(1, len(used) + 1) / num_points)
    squares = float(used @ used)
    return float(used @ tail) / squares if squares > 0 else math.inf


def mle(distances: Float64[np.ndarray, "points neighbours"]) -> float:
    """Return the dimension of largest likelihood, given the distances T_1 ≤ … ≤ T_k to k neighbours.

    Its inverse is the mean of log(T_k / T_j) over all points and j = 1 … k-1. Levina and Bickel, Maximum
    likelihood estimation of intrinsic dimension, NIPS 2004, equation 8, averaged as MacKay and Ghahramani
    correct them (Comments on "Maximum likelihood estimation of intrinsic dimension", 2005): the inverses
    are averaged, not the estimates, which is the likelihood of all points with one dimension and is
    hardly biased at small k.

    Args:
        distances: of every point to its nearest neighbours, ascending, the first > 0, at least two columns.

    Returns:
        The dimension; infinite if the neighbours of every point are equally far.
    """
    logs = np.log(distances)
    inverse = float(np.mean(logs[:, -1:] - logs[:, :-1]))
    return 1 / inverse if inverse > 0 else math.inf


ESTIMATORS: dict[str, Callable[[Float64[np.ndarray, "points neighbours"]], float]] = {
    "twonn": twonn,
    "mle": mle,
}
"""Every estimator, by its name in lmd_dimension.csv."""


def estimate_dimension(
    points: Points, estimator: str = "twonn", num_neighbours: int = 10
) -> DimensionEstimate:
    """Return the dimension of points.

    Args:
        points: one a row. If all (two or more) are equal, their dimension is 0.
        estimator: a name in `ESTIMATORS`.
        num_neighbours: of ``mle``, at least 2 (10, chosen: fewer scatter more, more look farther, where a
            curved manifold no longer looks flat); ``twonn`` always has 2.

    Returns:
        The estimate; without a dimension, and with the reason, if fewer than 20 or than
        ``num_neighbours`` + 1 points are distinct, or their distances have no finite estimate.

    Raises:
        ValueError: the estimator is unknown, ``num_neighbours`` is below 2, there are no points, or an
            entry is NaN, infinite or above 1e150.
    """
    k = _neighbours_used(estimator, num_neighbours)
    X, num_duplicates = _distinct(points)
    return _estimate(neighbours_up_to(X, k).distances, num_duplicates, estimator, k)


def dimension_table(
    points: Points,
    num_neighbours: int = 10,
    num_subsamples: int = 10,
    share: float = 0.5,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the dimension by every estimator, one row for each.

    Columns are ``estimator`` and those below. ``dimension``, ``num_points``, ``num_duplicates`` and
    ``reason`` are those of `estimate_dimension` for all points. ``spread`` is the standard
    deviation of the estimates from ``num_subsamples`` random subsets without replacement, each a ``share``
    of the distinct points, the same for every estimator. Half is chosen with care: for a mean over points the
    spread of halves is the standard error of the whole (for another share, √(share / (1 - share)) times
    the spread is: Shao and Wu, A general theory for jackknife variance estimation, Annals of Statistics
    17 (1989)). These estimators are not means: on the Swiss roll the spread was 1.2 to 1.4 times the standard
    error. ``num_neighbours`` is what the estimator used. Where there is no such number it is missing, and
    ``reason`` tells why.

    The neighbours are searched for once, for all estimators and subsets.

    Args:
        points: one a row.
        num_neighbours: as in `estimate_dimension`.
        num_subsamples: at least 2.
        share: of the distinct points in a subset, between 0 and 1, rounded down to whole points.
        seed: of the subsets.

    Raises:
        ValueError: as `estimate_dimension`, or the share or number of subsamples is out of range.
    """
    if num_subsamples < 2:
        raise ValueError(f"num_subsamples: {num_subsamples}, at least 2 are needed")
    if not 0 < share < 1:
        raise ValueError(f"share: {share} is out of range, between 0 and 1")
    used = {name: _neighbours_used(name, num_neighbours) for name in ESTIMATORS}
    X, num_duplicates = _distinct(points)
    most = max(used.values())
    neighbours = neighbours_up_to(X, math.ceil(SPARE * most / share))
    subset_distances = subsample_distances(X, neighbours, most, num_subsamples, share, seed)
    rows = []
    for name, k in used.items():
        whole = _estimate(neighbours.distances, num_duplicates, name, k)
        parts = [_estimate(distances, 0, name, k) for distances in subset_distances]
        spread, reason = (0.0, "") if whole.dimension == 0 else _spread(parts)
        row = {"estimator": name, "num_neighbours": k, "num_subsamples": num_subsamples, "spread": spread}
        rows.append(row | asdict(whole) | {"reason": whole.reason or reason})
    return pd.DataFrame(rows).astype({"dimension": float, "spread": float})


def _neighbours_used(estimator: str, num_neighbours: int) -> int:
    """Return how many neighbours an estimator reads, after a check of its name and their number."""
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator: {estimator!r} is unknown, known are {', '.join(ESTIMATORS)}")
    if num_neighbours < 2:
        raise ValueError(f"num_neighbours: {num_neighbours}, at least 2 are needed")
    return 2 if estimator == "twonn" else num_neighbours


def _distinct(points: Points) -> tuple[Float64[np.ndarray, "distinct features"], int]:
    """Return the distinct points, in their order, and how many were left out."""
    X = as_points(points)
    kept = distinct_points(X)
    return X[kept], len(X) - len(kept)


def _estimate(
    distances: Float64[np.ndarray, "points neighbours"],
    num_duplicates: int,
    estimator: str,
    num_neighbours: int,
) -> DimensionEstimate:
    """Return the dimension from the distances of distinct points to their neighbours."""
    num_points = len(distances)
    if num_points == 1 and num_duplicates:
        return DimensionEstimate(0.0, num_points, num_duplicates)
    needed = max(MIN_POINTS, num_neighbours + 1)
    if num_points < needed:
        reason = f"{num_points} distinct points, at least {needed} are needed"
        return DimensionEstimate(None, num_points, num_duplicates, reason)
    distances = distances[:, :num_neighbours]
    if not distances[:, 0].all():
        reason = "distinct points so close that the square of their distance is 0 in float64"
        return DimensionEstimate(None, num_points, num_duplicates, reason)
    dimension = ESTIMATORS[estimator](distances)
    if not math.isfinite(dimension):
        reason = f"the {num_neighbours} nearest neighbours of each point are all equally far"
        return DimensionEstimate(None, num_points, num_duplicates, reason)
    return DimensionEstimate(dimension, num_points, num_duplicates)


def _spread(parts: list[DimensionEstimate]) -> tuple[float | None, str]:
    """Return the standard deviation of the subsets' estimates, or why there is none."""
    dimensions = []
    for part in parts:
        if part.dimension is None:
            return None, f"no spread, a subset has {part.reason}"
        dimensions.append(part.dimension)
    return float(np.std(dimensions, ddof=1)), ""
