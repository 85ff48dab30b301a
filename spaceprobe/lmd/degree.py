"""Which degree polynomial activations should have, estimated from data before anything is trained.

The estimate is ours: arXiv 2309.05968 asks for one ("based on the size and topology of the data") and gives
none. It counts coefficients: polynomials of degree m in d variables have C(d + m, m), so that many points in
general position, or distinct pieces, can be given any values by one of them, and no more.

A network of L hidden layers whose activations have degree n is a polynomial of degree n^L.
"""

import math
from dataclasses import dataclass

from spaceprobe.lmd.dimension import estimate_dimension
from spaceprobe.lmd.graph import Points, neighbour_graph

LARGEST_DEGREE = 100_000
"""Chosen: a line through as many points as a data set has at most needs no more."""


ROUNDING = 1e-9
"""Chosen: relative, far above the rounding of a product, and below one coefficient of any data set."""


@dataclass(frozen=True)
class DegreeEstimate:
    """The degree that activations should have, by two counts of what has to be told apart.

    Attributes:
        dimension: the estimated dimension of the points, > 0.
        num_points: points.
        num_pieces: connected components of their neighbour graph, and outputs: classes, or values.
        by_size: the degree of each activation, at least 1, so that there are as many coefficients as points:
            then any values can be fitted.
        by_topology: the same with as many coefficients as pieces.
    """

    dimension: float
    num_points: int
    num_pieces: int
    by_size: int
    by_topology: int


def estimate_degree(
    points: Points, num_outputs: int, num_layers: int, num_neighbours: int = 10
) -> DegreeEstimate:
    """Return the degree that the activations of a network should have on some data.

    Args:
        points: training inputs, one a row.
        num_outputs: of the network: classes, or values of a regression; at least 1.
        num_layers: hidden layers, at least 1.
        num_neighbours: of a point in the graph whose components are counted.

    Raises:
        ValueError: the points have no dimension (`estimate_dimension`) or no graph (`neighbour_graph`), or a
            number is out of range.
    """
    estimate = estimate_dimension(points)
    if estimate.dimension is None:
        raise ValueError(f"points: no dimension ({estimate.reason}), and so no degree")
    num_pieces = num_pieces_of(neighbour_graph(points, num_neighbours).num_components, num_outputs)
    by_size, by_topology = (
        activation_degree(estimate.dimension, needed, num_layers) for needed in (len(points), num_pieces)
    )
    return DegreeEstimate(estimate.dimension, len(points), num_pieces, by_size, by_topology)


def num_pieces_of(num_components: int, num_outputs: int) -> int:
    """Return what has to be told apart by topology: components of the data, and outputs.

    Raises:
        ValueError: one of them is below 1.
    """
    for name, number in (("num_components", num_components), ("num_outputs", num_outputs)):
        if number < 1:
            raise ValueError(f"{name}: {number}, at least 1 is needed")
    return num_components + num_outputs


def activation_degree(dimension: float, num_needed: float, num_layers: int) -> int:
    """Return the smallest degree of each activation with which a network has enough coefficients.

    That is the smallest n ≥ 1 with C(d + n^L, n^L) ≥ needed.

    Args:
        dimension: d, > 0.
        num_needed: how many coefficients are needed.
        num_layers: L, at least 1.

    Raises:
        ValueError: an argument is out of range, or the degree of the network would be above 100,000.

    >>> activation_degree(2, 1000, num_layers=2), activation_degree(10, 1000, num_layers=2)
    (7, 2)
    """
    if num_layers < 1:
        raise ValueError(f"num_layers: {num_layers}, at least 1 is needed")
    whole = smallest_degree(dimension, num_needed)
    root: float = whole ** (1 / num_layers)
    degree = max(1, int(root) - 1)  # a root may be rounded to either side
    while degree**num_layers < whole:
        degree += 1
    return degree


def smallest_degree(dimension: float, num_needed: float) -> int:
    """Return the smallest m ≥ 0 with C(d + m, m) ≥ needed: polynomials with that many coefficients.

    Raises:
        ValueError: the dimension is not a number > 0, or the degree would be above 100,000.

    >>> [smallest_degree(2, needed) for needed in (1, 3, 4, 6, 7)]
    [0, 1, 2, 2, 3]
    """
    if not 0 < dimension < math.inf:
        raise ValueError(f"dimension: {dimension}, a number > 0 is needed")
    count = 1.0
    for degree in range(LARGEST_DEGREE + 1):
        if count >= num_needed * (1 - ROUNDING):
            return degree
        count *= (dimension + degree + 1) / (degree + 1)
    raise ValueError(
        f"dimension: {dimension:g} is so small that no degree up to {LARGEST_DEGREE:,} has {num_needed:g} "
        "coefficients"
    )


def num_monomials(dimension: float, degree: int) -> float:
    """Return C(d + m, m), the number of monomials of degree at most m in d variables, 1 among them.

    For a dimension that is not whole, as estimates are, the product ∏ (d + i) / i over i = 1 … m.

    Args:
        dimension: d, ≥ 0.
        degree: m, at least 0.

    >>> num_monomials(3, 2), num_monomials(2.5, 1)
    (10.0, 3.5)
    """
    count = 1.0
    for i in range(1, degree + 1):
        count *= (dimension + i) / i
    return count
