"""The nearest-neighbour graph of data points, and its Laplacian.

What the `laplacian` metric measures distances with (docs/definitions.md, "Neighbour graph"), and the
neighbours that the dimension estimates read. Candidates come from scikit-learn; their distances are
computed anew from the differences, since a brute-force search gets them from ‖x‖² + ‖y‖² - 2x·y, which
leaves nothing right of distances below 1e-8 of the norms.

Everything is float64 on the CPU. The only sums whose order may depend on threads are those of the search
for candidates, so threads could change a result only where distances tie to rounding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor

ROUNDING = 1e-13
"""Chosen: rounding of a layer's outputs, sums of some hundred float64 products, relative to the norm of the
largest point. Points that differ by no more than this do not differ."""

LARGEST = 1e150
"""Squares of larger entries overflow."""

BLOCK = 512
"""Chosen: points whose differences are held at once; 512 of 784 features are 3 MB."""

Points = Float64[Tensor, "points features"] | Float64[np.ndarray, "points features"]
"""One point a row."""


class ConstantPointsError(ValueError):
    """The points do not vary, so they have no geometry: a constant layer, which the caller marks invalid."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of every point among the others, nearest first.

    Attributes:
        indices: which points; of equally far ones the smaller index comes first.
        distances: Euclidean, ascending.
    """

    indices: Int64[np.ndarray, "points neighbours"]
    distances: Float64[np.ndarray, "points neighbours"]


@dataclass(frozen=True)
class NeighbourGraph:
    """An undirected weighted graph of points.

    Attributes:
        laplacian: L = D - A, sparse and symmetric: A the weights, D their sums by row. Its rows add up to
            0, and it has one eigenvalue 0 for every connected component.
        total_weight: the sum of all weights, each undirected edge once: half the sum of A.
        median_edge: m, the median length of the edges, each undirected edge once.
        num_components: connected components; a point alone would be one too.
    """

    laplacian: sparse.csr_array
    total_weight: float
    median_edge: float
    num_components: int

    @property
    def num_points(self) -> int:
        """The number of points."""
        return int(self.laplacian.shape[0])


def neighbour_graph(points: Points, num_neighbours: int = 10) -> NeighbourGraph:
    """Return the graph that joins each point to its nearest neighbours.

    Two points are joined if either is among the other's ``num_neighbours`` nearest, with the weight
    exp(-d²/2m²) of their distance d (the heat kernel of Belkin and Niyogi, Laplacian eigenmaps, Neural
    Computation 15 (2003), section 2), m the median edge. An edge longer than 38 m has the weight 0 in
    float64 and joins nothing. Components are left apart and counted.

    Moving, rotating or reflecting all points changes nothing, scaling them scales m, up to rounding.
    Where more than ``num_neighbours`` points tie as the nearest (equal points, say), which of them are
    joined is arbitrary, but the same every time.

    Args:
        points: one a row.
        num_neighbours: k, at least 1 (10: docs/definitions.md, "Neighbour graph").

    Raises:
        ConstantPointsError: half of the edges or more have no length, or none beyond rounding: the points are
            equal, or so many of them that no length is typical.
        ValueError: there are fewer than num_neighbours + 1 points, an entry is NaN, infinite or above 1e150,
            or ``num_neighbours`` is below 1.
    """
    X = as_points(points)
    neighbours = nearest_neighbours(X, num_neighbours)
    num_points = len(X)
    rows = np.repeat(np.arange(num_points), num_neighbours)
    columns = neighbours.indices.ravel()
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    # An edge found from both ends has the same length from either, to the last bit.
    pairs, first = np.unique(low * num_points + high, return_index=True)
    low, high = np.divmod(pairs, num_points)
    lengths = neighbours.distances.ravel()[first]

    median_edge = float(np.median(lengths))
    if median_edge <= rounding_of(X):
        num_distinct = len(distinct_points(X))
        raise ConstantPointsError(
            f"points: constant layer, half of the edges of their graph or more have no length beyond "
            f"rounding ({num_distinct} of {num_points} points are distinct); nothing can be measured on it"
        )
    weights = np.exp(-0.5 * (lengths / median_edge) ** 2)
    joined = weights > 0
    low, high, weights = low[joined], high[joined], weights[joined]
    shape = (num_points, num_points)
    upper = sparse.csr_array((weights, (low, high)), shape=shape)
    adjacency = upper + upper.T
    laplacian = sparse.diags_array(adjacency.sum(axis=1)).tocsr() - adjacency
    num_components, _ = connected_components(adjacency, directed=False)
    return NeighbourGraph(sparse.csr_array(laplacian), float(weights.sum()), median_edge, int(num_components))


def nearest_neighbours(points: Points, num_neighbours: int) -> Neighbours:
    """Return the nearest neighbours of every point, itself left out by its index.

    Equal points are neighbours at distance 0. Above 15 features the search is by brute force, a matrix
    product of all points: then more than ``num_neighbours`` points within 1e-8 of the norms of each other
    are too close to be ranked, and any of them may be found; their distances are right all the same.

    Args:
        points: one a row.
        num_neighbours: how many, from 1 to the number of points less 1.

    Raises:
        ValueError: as `neighbour_graph` about its arguments.
    """
    X = as_points(points)
    if num_neighbours < 1:
        raise ValueError(f"num_neighbours: {num_neighbours}, at least 1 is needed")
    if len(X) < num_neighbours + 1:
        raise ValueError(
            f"points: {len(X)}, at least {num_neighbours + 1} are needed for {num_neighbours} neighbours; "
            "give more points or fewer neighbours"
        )
    from sklearn.neighbors import NearestNeighbors  # here: it takes as long to import as torch

    # Centred, the norms are as small as can be, and so is the rounding of the search.
    search = NearestNeighbors(n_neighbors=num_neighbours).fit(X - X.mean(axis=0))
    # Without an argument scikit-learn leaves each point out by its index.
    indices = np.asarray(search.kneighbors(return_distance=False), dtype=np.int64)
    distances = np.empty(indices.shape)
    for start in range(0, len(X), BLOCK):
        rows = slice(start, start + BLOCK)
        for column in range(num_neighbours):
            distances[rows, column] = row_norms(X[indices[rows, column]] - X[rows])
    order = np.lexsort((indices, distances), axis=1)
    return Neighbours(
        np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)
    )


def row_norms(X: Float64[np.ndarray, "points features"]) -> Float64[np.ndarray, "points"]:
    """Return the Euclidean length of each row, without an array of all squares."""
    lengths: np.ndarray = np.sqrt(np.einsum("ij,ij->i", X, X))
    return lengths


def as_points(points: Points) -> Float64[np.ndarray, "points features"]:
    """Return points as a contiguous array, after a check of them.

    Raises:
        ValueError: there is no point or no feature, or an entry is NaN, infinite or above 1e150.
    """
    X = points.detach().cpu().numpy() if isinstance(points, Tensor) else points
    if not X.size:
        raise ValueError(f"points: of shape {X.shape}, at least one point with one feature is needed")
    # Not ">": NaN must not pass.
    num_bad = X.size - int(np.count_nonzero(np.abs(X) <= LARGEST))
    if num_bad:
        raise ValueError(
            f"points: {num_bad} of {X.size} entries are NaN, infinite or above {LARGEST:g}; "
            "the run diverged, or the data need another unit"
        )
    return np.ascontiguousarray(X)


def rounding_of(X: Float64[np.ndarray, "points features"]) -> float:
    """Return the length up to which a difference of points is rounding."""
    return ROUNDING * float(row_norms(X).max())


def distinct_points(X: Float64[np.ndarray, "points features"]) -> Int64[np.ndarray, "distinct"]:
    """Return the index of the first of each set of exactly equal points, ascending."""
    # As bytes, where -0 must be 0 first.
    rows = np.ascontiguousarray(X + 0.0)
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first = np.unique(keys, return_index=True)
    return np.sort(first).astype(np.int64)
