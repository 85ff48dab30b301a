"""The linear dimension of points, and the degree that is estimated from data before training."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.data.manifolds import cube, sphere
from spaceprobe.data.swiss_roll import swiss_roll
from spaceprobe.lmd.degree import (
    activation_degree,
    estimate_degree,
    num_monomials,
    num_pieces_of,
    smallest_degree,
)
from spaceprobe.lmd.span import span
from spaceprobe.networks.activations import ACTIVATIONS
from spaceprobe.networks.layers import pass_through
from spaceprobe.networks.mlp import mlp
from spaceprobe.stages.lmd.probes import span_rows
from spaceprobe.stages.lmd.tables import SPAN

RTOL = 1e-9
"""Sums of squares of singular values, whose rounding is 1e-15 of the largest, have a smaller error."""


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# span


def literal_span(X):
    """Return rank and participation ratio from the covariance matrix, a slower and less exact way."""
    variances = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    shares = variances / variances.sum()
    rank99 = next(count for count in range(1, len(shares) + 1) if shares[:count].sum() >= 0.99)
    return int((shares > 1e-12).sum()), rank99, variances.sum() ** 2 / (variances**2).sum()


def test_span_is_that_of_the_covariance():
    X = normal(200, 3) @ np.diag([5.0, 1.0, 0.2]) @ normal(3, 7, seed=1) + 10
    found = span(X)
    rank, rank99, participation = literal_span(X)
    assert (found.rank, found.rank99) == (rank, rank99)
    assert rank == 3
    assert found.participation == pytest.approx(participation, rel=RTOL)
    assert (found.num_points, found.num_features) == (200, 7)


def test_known_spans():
    corners = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    assert (span(corners).rank, span(corners).rank99) == (2, 2)
    assert span(corners).participation == pytest.approx(2, rel=RTOL)
    line = np.outer(np.arange(6.0), [1.0, -2, 3, 0])
    assert (span(line).rank, span(line).rank99) == (1, 1)
    assert span(line).participation == pytest.approx(1, rel=RTOL)
    equal = span(np.full((5, 3), 0.1))
    assert (equal.rank, equal.rank99, equal.participation) == (0, 0, 0.0)
    # 100 points on one axis, two a tenth as far on another: 0.0002 of the variance
    X = np.vstack([np.outer([1.0, -1] * 50, [1.0, 0]), [[0, 0.1], [0, -0.1]]])
    assert (span(X).rank, span(X).rank99) == (2, 1)


@given(scale=st.sampled_from([1e-6, 1.0, 1e6]), seed=st.integers(0, 20))
def test_moving_rotating_and_scaling_changes_no_span(scale, seed):
    X = normal(40, 5, seed=seed) @ np.diag([3.0, 2, 1, 0.5, 0])
    rotation = np.linalg.qr(normal(5, 5, seed=seed + 1))[0]
    moved = scale * (X @ rotation + 7)
    assert (span(moved).rank, span(moved).rank99) == (span(X).rank, span(X).rank99)
    assert span(moved).participation == pytest.approx(span(X).participation, rel=RTOL)


def test_no_span_of_what_is_no_point():
    with pytest.raises(ValueError, match="NaN, infinite or above"):
        span(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="at least one point"):
        span(np.zeros((0, 3)))


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_a_polynomial_activation_spans_all_monomials_and_no_more(dimension, degree):
    """The known answer behind docs/definitions.md, "Degree and dimension": C(d + n, n) - 1, or the width."""
    width = 40
    # Pre-activations of about 1, as those of networks: far smaller ones hide high powers behind rounding.
    z = (normal(400, dimension) @ normal(dimension, width, seed=1)) / 2 + normal(width, seed=2)
    activations = ACTIVATIONS[f"polynomial-{degree}"]()(torch.from_numpy(z))
    assert span(activations).rank == min(width, math.comb(dimension + degree, degree) - 1)
    assert span(torch.from_numpy(z)).rank == dimension


@pytest.mark.parametrize("dimension", [1, 4])
def test_points_in_float32_have_the_rank_that_they_had_before_rounding(dimension):
    points = cube(500, 1, dimension=dimension).train.inputs
    assert points.dtype == torch.float32
    assert span(points.double()).rank == dimension


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_on_a_sphere_monomials_depend_on_each_other(degree):
    """Polynomials on a sphere are sums of harmonics: (n + 1)² of degree up to n, the constant among them."""
    points = sphere(600, 1).train.inputs.double().numpy()
    z = points @ normal(3, 40, seed=1) / 2
    activations = ACTIVATIONS[f"polynomial-{degree}"]()(torch.from_numpy(z))
    assert span(activations).rank == (degree + 1) ** 2 - 1


def test_rows_of_a_layer_are_of_what_enters_and_of_what_leaves_before_the_activation():
    network = mlp([5, 7, 3], torch.Generator().manual_seed(0), "polynomial-2").double()
    points = torch.from_numpy(normal(60, 2) @ normal(2, 5, seed=1))
    first, second = (span_rows(layer) for layer in pass_through(network, points))
    assert [(row["space"], row["rank"], row["num_features"]) for row in first] == [
        ("input", 2, 5),
        ("output", 2, 7),
    ]
    assert [(row["space"], row["rank"]) for row in second] == [("input", 5), ("output", 3)]
    assert {*first[0]} == {column.name for column in SPAN.columns} - {"epoch", "layer"}


# degree


@given(dimension=st.integers(0, 8), degree=st.integers(0, 8))
def test_monomials_are_counted(dimension, degree):
    assert num_monomials(dimension, degree) == pytest.approx(math.comb(dimension + degree, degree), rel=RTOL)


def test_monomials_are_those_that_can_be_listed():
    exponents = [e for e in np.ndindex(4, 4, 4) if sum(e) <= 3]
    assert num_monomials(3, 3) == len(exponents)


@given(dimension=st.integers(1, 8), degree=st.integers(0, 8))
def test_the_smallest_degree_has_enough_coefficients_and_one_less_has_not(dimension, degree):
    count = math.comb(dimension + degree, degree)
    assert smallest_degree(dimension, count) == degree
    assert smallest_degree(dimension, count + 1) == degree + 1


@given(dimension=st.floats(1, 20), needed=st.integers(1, 1000), num_layers=st.integers(1, 4))
def test_the_degree_of_activations_is_the_smallest_that_composes_to_it(dimension, needed, num_layers):
    whole = smallest_degree(dimension, needed)
    degree = activation_degree(dimension, needed, num_layers)
    assert degree == next(n for n in range(1, whole + 2) if n**num_layers >= whole)


def test_higher_dimensions_need_lower_degrees():
    degrees = [activation_degree(dimension, 1000, num_layers=1) for dimension in (1, 2, 5, 10, 50)]
    assert degrees == [999, 44, 8, 4, 2]
    assert degrees == sorted(degrees, reverse=True)


def test_the_estimate_of_a_swiss_roll():
    points = swiss_roll(num_points=500, num_test_points=1).train.inputs.double()
    found = estimate_degree(points, num_outputs=2, num_layers=2)
    assert found.dimension == pytest.approx(2, abs=0.25)  # TwoNN scatters by 0.06 at 2,000 points
    assert (found.num_points, found.num_pieces) == (500, 3)
    assert found.by_size == math.ceil(math.sqrt(smallest_degree(found.dimension, 500)))
    assert found.by_topology == activation_degree(found.dimension, 3, 2)


def test_separate_clouds_are_pieces():
    clouds = np.vstack([normal(60, 2) + 1000 * place for place in range(3)])
    found = estimate_degree(clouds, num_outputs=4, num_layers=1)
    assert found.num_pieces == 3 + 4
    assert found.by_topology == activation_degree(found.dimension, 7, 1)
    assert found.by_topology <= found.by_size


def test_what_has_no_degree_is_refused():
    with pytest.raises(ValueError, match="no dimension"):
        estimate_degree(normal(10, 2), num_outputs=1, num_layers=1)
    with pytest.raises(ValueError, match="dimension: 0"):
        smallest_degree(0, 3)
    with pytest.raises(ValueError, match="so small that no degree"):
        smallest_degree(1e-9, 3)
    with pytest.raises(ValueError, match="num_layers: 0"):
        activation_degree(2, 3, 0)
    with pytest.raises(ValueError, match="num_outputs: 0"):
        num_pieces_of(1, 0)
