"""Components and holes of a neighbour graph, and how slowly singular values decay."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaceprobe.data.sets import DATASETS
from spaceprobe.data.sets import patches as photographs
from spaceprobe.lmd import topology as module
from spaceprobe.lmd.decay import decay_exponent, energy_beyond
from spaceprobe.lmd.graph import neighbour_graph
from spaceprobe.lmd.topology import topology
from spaceprobe.stages.train.settings import DataSettings

TOLERANCE = 1e-12
"""Logarithms and a fit of ten of them in float64."""


def circle(num_points):
    angles = 2 * np.pi * (np.arange(num_points) + 0.01 * np.sin(np.arange(num_points))) / num_points
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def lattice(rows, columns, radii=(3.0, 1.0)):
    """Return a regular lattice on a torus in four dimensions, where no part of it is curved more."""
    u, v = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    u, v = 2 * np.pi * u.ravel() / rows, 2 * np.pi * v.ravel() / columns
    return np.stack(
        [radii[0] * np.cos(u), radii[0] * np.sin(u), radii[1] * np.cos(v), radii[1] * np.sin(v)], 1
    )


def rank_mod_2(matrix):
    """Return the rank over the field of two elements, by elimination of a dense matrix."""
    matrix, rank = matrix.copy() % 2, 0
    for column in range(matrix.shape[1]):
        rows = np.flatnonzero(matrix[rank:, column]) + rank
        if len(rows):
            matrix[[rank, rows[0]]] = matrix[[rows[0], rank]]
            others = np.flatnonzero(matrix[:, column])
            matrix[others[others != rank]] ^= matrix[rank]
            rank += 1
    return rank


def holes_by_dense_matrices(points, num_neighbours):
    """Return b0, b1, edges and triangles from the boundary matrices, written out."""
    dense = neighbour_graph(points, num_neighbours).laplacian.toarray()
    joined = (dense != 0) & ~np.eye(len(points), dtype=bool)
    edges = [pair for pair in itertools.combinations(range(len(points)), 2) if joined[pair]]
    triangles = [
        triple
        for triple in itertools.combinations(range(len(points)), 3)
        if all(joined[pair] for pair in itertools.combinations(triple, 2))
    ]
    first = np.zeros((len(points), len(edges)), dtype=np.uint8)
    for number, edge in enumerate(edges):
        first[[*edge], number] = 1
    second = np.zeros((len(edges), len(triangles)), dtype=np.uint8)
    for number, triple in enumerate(triangles):
        for edge in itertools.combinations(triple, 2):
            second[edges.index(edge), number] = 1
    rank = rank_mod_2(first)
    return len(points) - rank, len(edges) - rank - rank_mod_2(second), len(edges), len(triangles)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 4))
def test_betti_numbers_are_those_of_the_boundary_matrices(seed, num_neighbours, num_features):
    points = np.random.default_rng(seed).normal(size=(18, num_features))
    found = topology(neighbour_graph(points, num_neighbours))
    expected = holes_by_dense_matrices(points, num_neighbours)
    assert (found.num_components, found.num_holes, found.num_edges, found.num_triangles) == expected


def test_known_surfaces_and_curves():
    ring = topology(neighbour_graph(circle(40), 2))
    assert (ring.num_components, ring.num_holes) == (1, 1)
    both = np.concatenate([circle(40), circle(40) + 50.0])
    apart = topology(neighbour_graph(both, 2))
    assert (apart.num_components, apart.num_holes) == (2, 2)
    torus = topology(neighbour_graph(lattice(24, 8), 8))
    assert (torus.num_components, torus.num_holes) == (1, 2)
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(7.0) * 1.1), -1).reshape(-1, 2)
    assert topology(neighbour_graph(grid, 8)).num_holes == 0


def test_the_whole_graph_has_no_hole():
    points = np.random.default_rng(0).normal(size=(30, 3))
    found = topology(neighbour_graph(points, 29))
    assert (found.num_components, found.num_holes, found.num_edges) == (1, 0, 435)
    assert found.num_triangles == math.comb(30, 3)


def test_too_many_triangles_are_counted_and_not_reduced(monkeypatch):
    monkeypatch.setattr(module, "MAX_TRIANGLES", 100)
    found = topology(neighbour_graph(np.random.default_rng(0).normal(size=(30, 3)), 29))
    assert (found.num_holes, found.num_triangles) == (None, math.comb(30, 3))


# decay


@pytest.mark.parametrize("exponent", [0.0, 0.5, 3.0])
def test_a_power_law_has_its_exponent(exponent):
    values = 7.0 * np.arange(1, 21) ** -exponent
    values[10:] *= 1e-3  # the lower half is not fitted
    assert decay_exponent(values) == pytest.approx(exponent, abs=TOLERANCE)


def test_values_without_an_exponent():
    assert math.isnan(decay_exponent(np.array([3.0, 2.0, 1.0, 1.0])))
    assert math.isnan(decay_exponent(np.array([3.0, 2.0, 0.0, 0.0, 0.0])))
    assert not math.isnan(decay_exponent(np.array([3.0, 2.0, 1.0, 0.0, 0.0])))


def test_energy_beyond_a_rank():
    values = np.array([2.0, 1.0, 1.0])
    assert [energy_beyond(values, rank) for rank in range(4)] == pytest.approx([1, 1 / 3, 1 / 6, 0])
    assert energy_beyond(np.zeros(2), 1) == 0
    with pytest.raises(ValueError, match="rank: 4 is out of range, 0 to 3"):
        energy_beyond(values, 4)


# patches


def test_patches_are_cut_from_the_photographs():
    from sklearn.datasets import load_sample_images

    images = load_sample_images().images
    patches, labels = photographs._read()
    assert patches.shape == (2 * 53 * 80, 8, 8)
    assert labels.tolist() == [0] * 4240 + [1] * 4240
    for number, image, row, column in [(0, 0, 0, 0), (81, 0, 1, 1), (4240 + 52 * 80 + 79, 1, 52, 79)]:
        there = images[image][8 * row : 8 * row + 8, 8 * column : 8 * column + 8].mean(2) / 255
        assert np.array_equal(patches[number], there)
    data = DATASETS["patches"].load(DataSettings(dataset="patches", train_images=500))
    assert (data.train.inputs.shape, data.test.inputs.shape) == ((500, 64), (1480, 64))
    assert 0 <= float(data.train.inputs.min()) <= float(data.train.inputs.max()) <= 1
    assert 0.4 < float(data.train.targets.double().mean()) < 0.6
