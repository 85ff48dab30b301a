"""Nearest neighbours within random subsets of points, from one search among all points."""

import math

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spaceprobe.lmd.graph import Neighbours, nearest_neighbours, row_norms

SPARE = 2
"""Chosen: neighbours looked for, over those a subsample needs on average. With 10 needed and half of the
points left, one point in 3,000 has too few among 40; its neighbours are looked up among all."""


def subsample_distances(
    X: Float64[np.ndarray, "points features"],
    neighbours: Neighbours,
    num_neighbours: int,
    num_subsamples: int,
    share: float,
    seed: int,
) -> list[Float64[np.ndarray, "members neighbours"]]:
    """Return `distances_within` of random subsets without replacement, one array a subset.

    Args:
        X: all points.
        neighbours: their neighbours, at least ``num_neighbours`` of each or all others.
        num_neighbours: where a subset has fewer, all the others in it.
        num_subsamples: how many subsets.
        share: of the points in each, between 0 and 1, rounded down to whole points.
        seed: of the subsets.
    """
    generator = np.random.default_rng(seed)
    size = math.floor(len(X) * share)
    subsets = [np.sort(generator.choice(len(X), size, replace=False)) for _ in range(num_subsamples)]
    return [distances_within(X, neighbours, subset, min(num_neighbours, size - 1)) for subset in subsets]


def distances_within(
    X: Float64[np.ndarray, "points features"],
    neighbours: Neighbours,
    subset: Int64[np.ndarray, "members"],
    num_neighbours: int,
) -> Float64[np.ndarray, "members num_neighbours"]:
    """Return the distances of each member of a subset to its nearest neighbours in it, ascending.

    Read off the neighbours among all points; for members with too few of them in the subset, anew.

    Args:
        X: all points.
        neighbours: their neighbours, at least ``num_neighbours`` of each.
        subset: indices of points, each once.
        num_neighbours: below the number of members; 0 or less gives no columns.
    """
    num_neighbours = max(num_neighbours, 0)
    inside = np.zeros(len(X), dtype=bool)
    inside[subset] = True
    is_member: Bool[np.ndarray, "members all_neighbours"] = inside[neighbours.indices[subset]]
    # Members first, in their order.
    order = np.argsort(~is_member, axis=1, kind="stable")[:, :num_neighbours]
    distances = np.take_along_axis(neighbours.distances[subset], order, axis=1)
    for row in np.flatnonzero(is_member.sum(axis=1) < num_neighbours):
        from_here = row_norms(X[subset] - X[subset[row]])
        from_here[row] = np.inf  # a point is not its own neighbour
        distances[row] = np.sort(from_here)[:num_neighbours]
    return distances


def neighbours_up_to(X: Float64[np.ndarray, "points features"], num_neighbours: int) -> Neighbours:
    """Return so many neighbours of each point, or all others where there are fewer."""
    num_neighbours = min(num_neighbours, len(X) - 1)
    if num_neighbours:
        return nearest_neighbours(X, num_neighbours)
    return Neighbours(np.empty((len(X), 0), dtype=np.int64), np.empty((len(X), 0)))
