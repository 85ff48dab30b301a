"""Dimension estimates: known manifolds, literal formulas, duplicates and what has no dimension."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_swiss_roll

from spaceprobe.lmd.dimension import (
    ESTIMATORS,
    dimension_table,
    estimate_dimension,
    mle,
    twonn,
)
from spaceprobe.lmd.graph import nearest_neighbours
from spaceprobe.lmd.subsamples import distances_within

# Sums of some hundred logarithms of distances, each right to 1e-15.
ROUNDING = 1e-12
# The same where a move of the points changes the last digits of the distances themselves.
INVARIANCE = 1e-9
# docs/definitions.md, "Dimension of activations", for 2,000 points. Over 200 rolls TwoNN gave 1.983 ±
# 0.057 (99 % within), the likelihood 1.964 ± 0.020; so TwoNN is held to it in the mean of several rolls.
SWISS_ROLL = 0.15
# By dimension, for 1,000 points. Over 20 draws TwoNN gave 0.93 to 1.07, 1.77 to 2.09 and 4.22 to 5.00, and
# the likelihood less far apart. In five dimensions most points are near the cube's surface: 4.6 and 4.5.
CUBE = {1: (0.9, 1.1), 2: (1.7, 2.2), 5: (4.1, 5.1)}


def cube(num_points, dimension, seed, num_features=20):
    """Uniform points in a cube, turned in more dimensions without stretching."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(num_features, num_features)))
    return rng.uniform(size=(num_points, dimension)) @ axes[:dimension] + rng.normal(size=num_features)


def swiss_roll(seed, num_points=2000):
    return make_swiss_roll(num_points, random_state=seed)[0]


def literal_distances(points, num_neighbours):
    rows = []
    for i, here in enumerate(points):
        others = sorted(math.dist(here, there) for j, there in enumerate(points) if j != i)
        rows.append(others[:num_neighbours])
    return rows


def literal_twonn(points):
    """Facco et al.: ratios, empirical distribution, least squares through the origin."""
    ratios = sorted(second / first for first, second in literal_distances(points, 2))
    num_kept = int(0.9 * len(ratios))
    x = np.array([math.log(ratio) for ratio in ratios[:num_kept]])
    y = np.array([-math.log(1 - (i + 1) / len(ratios)) for i in range(num_kept)])
    return float(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0])


def literal_mle(points, num_neighbours):
    """Levina and Bickel's estimator of each point; the mean of the inverses as MacKay and Ghahramani do."""
    inverses = []
    for row in literal_distances(points, num_neighbours):
        logs = [math.log(row[-1] / distance) for distance in row[:-1]]
        inverses.append(sum(logs) / len(logs))
    return 1 / (sum(inverses) / len(inverses))


@pytest.mark.parametrize(("num_points", "num_features"), [(60, 3), (47, 20)])
@pytest.mark.parametrize("num_neighbours", [2, 3, 9])
def test_estimates_are_the_literal_ones(num_points, num_features, num_neighbours):
    points = np.random.default_rng(num_points).normal(size=(num_points, num_features))
    expected = pytest.approx(literal_twonn(points), rel=ROUNDING)
    assert estimate_dimension(points, "twonn", num_neighbours).dimension == expected
    found = estimate_dimension(points, "mle", num_neighbours)
    assert found.dimension == pytest.approx(literal_mle(points, num_neighbours), rel=ROUNDING)
    assert (found.num_points, found.num_duplicates, found.reason) == (num_points, 0, "")
    assert estimate_dimension(torch.from_numpy(points), "mle", num_neighbours) == found


def test_known_distances():
    distances = np.array([[1.0, 2.0, 4.0]] * 20)
    # log 4/1 and log 4/2 have the mean 1.5 log 2.
    assert mle(distances) == pytest.approx(1 / (1.5 * math.log(2)), rel=ROUNDING)
    tail = [-math.log(1 - i / 20) for i in range(1, 19)]
    assert twonn(distances) == pytest.approx(sum(tail) / 18 / math.log(2), rel=ROUNDING)
    # A ratio among the largest tenth does not count.
    distances[7] = 1, 1e9, 2e9
    assert twonn(distances) == pytest.approx(sum(tail) / 18 / math.log(2), rel=ROUNDING)


def test_likelihood_of_two_neighbours_is_that_of_their_ratios():
    points = cube(300, 3, seed=4)
    first, second = nearest_neighbours(points, 2).distances.T
    expected = len(points) / np.sum(np.log(second / first))
    assert estimate_dimension(points, "mle", 2).dimension == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("dimension", CUBE)
def test_a_cube_has_its_dimension_wherever_it_lies(estimator, dimension):
    for seed in range(3):
        found = estimate_dimension(cube(1000, dimension, seed), estimator).dimension
        low, high = CUBE[dimension]
        assert low < found < high


def test_a_swiss_roll_has_two_dimensions():
    rolls = [swiss_roll(seed) for seed in range(5)]
    by_twonn = [estimate_dimension(roll, "twonn").dimension for roll in rolls]
    assert np.mean(by_twonn) == pytest.approx(2, abs=SWISS_ROLL)
    for num_neighbours in (5, 10, 20):
        for roll in rolls:
            found = estimate_dimension(roll, "mle", num_neighbours).dimension
            assert found == pytest.approx(2, abs=SWISS_ROLL)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.floats(1e-6, 1e6), st.sampled_from(["twonn", "mle"]))
def test_moves_scale_and_constant_features_change_nothing(seed, scale, estimator):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(80, 4))
    here = estimate_dimension(points, estimator, 6).dimension
    assert estimate_dimension(scale * points, estimator, 6).dimension == pytest.approx(here, rel=INVARIANCE)
    wide = np.hstack([points, np.full((80, 17), 3.0)])
    assert estimate_dimension(wide, estimator, 6).dimension == pytest.approx(here, rel=INVARIANCE)
    turn, _ = np.linalg.qr(rng.normal(size=(21, 21)))
    moved = wide @ turn + rng.normal(size=21)
    assert estimate_dimension(moved, estimator, 6).dimension == pytest.approx(here, rel=INVARIANCE)
    order = rng.permutation(80)
    assert estimate_dimension(points[order], estimator, 6).dimension == pytest.approx(here, rel=ROUNDING)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equal_points_count_once(estimator):
    points = cube(50, 2, seed=1)
    points[:, 3] = 0
    once = estimate_dimension(points, estimator)
    again = points[[3, 3, 49, 0, 20, 20, 20]]
    again[:, 3] = -0.0
    found = estimate_dimension(np.vstack([points, again]), estimator)
    assert found.dimension == once.dimension
    assert (found.num_points, found.num_duplicates) == (50, 7)


def test_equal_points_have_no_dimension_and_one_point_has_none_known():
    points = np.full((30, 4), 1 / 3)
    for estimator in ESTIMATORS:
        found = estimate_dimension(points, estimator)
        assert (found.dimension, found.num_points, found.num_duplicates) == (0, 1, 29)
        assert found.reason == ""
        found = estimate_dimension(points[:1], estimator)
        assert (found.dimension, found.num_points, found.num_duplicates) == (None, 1, 0)
        assert found.reason == "1 distinct points, at least 20 are needed"
    table = dimension_table(points)
    assert table["dimension"].tolist() == table["spread"].tolist() == [0, 0]
    assert table["reason"].tolist() == ["", ""]


def test_too_few_distinct_points_give_a_reason():
    points = np.repeat(cube(19, 2, seed=2), 40, axis=0)
    found = estimate_dimension(points)
    assert (found.dimension, found.num_points, found.num_duplicates) == (None, 19, 19 * 39)
    assert found.reason == "19 distinct points, at least 20 are needed"
    found = estimate_dimension(cube(30, 2, seed=2), "mle", 30)
    assert (found.dimension, found.reason) == (None, "30 distinct points, at least 31 are needed")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equal_distances_give_a_reason(estimator):
    found = estimate_dimension(np.eye(25), estimator, 5)
    assert found.dimension is None
    assert "nearest neighbours of each point are all equally far" in found.reason
    table = dimension_table(np.eye(60), 5)
    assert table["dimension"].isna().all()
    assert table["spread"].isna().all()


def test_points_too_close_for_float64_give_a_reason():
    points = np.concatenate([cube(30, 2, seed=3), np.zeros((2, 20))])
    points[-1, 0] = 1e-200
    assert "square of their distance is 0" in estimate_dimension(points).reason


def test_distances_within_a_subset_are_those_of_the_subset():
    points = cube(90, 3, seed=5)
    subset = np.sort(np.random.default_rng(1).choice(90, 31, replace=False))
    expected = nearest_neighbours(points[subset], 6).distances
    # With 6 neighbours of all nearly every member is looked up anew, with 89 none.
    for num_found in (6, 20, 89):
        found = nearest_neighbours(points, num_found)
        assert distances_within(points, found, subset, 6) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize(("num_features", "share"), [(3, 0.5), (20, 0.3)])
def test_table_holds_the_whole_and_the_spread_of_its_parts(num_features, share):
    points = cube(150, 2, seed=6, num_features=num_features)
    with_twins = np.vstack([points, points[:11]])
    table = dimension_table(with_twins, 7, num_subsamples=4, share=share, seed=9).set_index("estimator")
    generator = np.random.default_rng(9)
    subsets = [np.sort(generator.choice(150, int(150 * share), replace=False)) for _ in range(4)]
    for estimator, num_neighbours in (("twonn", 2), ("mle", 7)):
        row = table.loc[estimator]
        whole = estimate_dimension(with_twins, estimator, 7)
        assert row["dimension"] == pytest.approx(whole.dimension, rel=ROUNDING)
        parts = [estimate_dimension(points[subset], estimator, 7).dimension for subset in subsets]
        mean = sum(parts) / 4
        expected = math.sqrt(sum((part - mean) ** 2 for part in parts) / 3)
        # Differences of estimates lose a digit or two.
        assert row["spread"] == pytest.approx(expected, rel=100 * ROUNDING)
        assert (row["num_neighbours"], row["num_subsamples"]) == (num_neighbours, 4)
        assert (row["num_points"], row["num_duplicates"], row["reason"]) == (150, 11, "")


def test_spread_is_about_the_standard_error():
    tables = [dimension_table(cube(300, 2, seed)) for seed in range(24)]
    for i in range(len(ESTIMATORS)):
        error = np.std([table["dimension"][i] for table in tables], ddof=1)
        spread = math.sqrt(np.mean([table["spread"][i] ** 2 for table in tables]))
        # The error of 24 draws is known to 15 %; neighbours are no means, so the spread is larger.
        assert 0.7 < spread / error < 2


def test_a_spread_that_cannot_be_had_is_missing_with_the_reason():
    table = dimension_table(cube(36, 2, seed=7), 20)
    assert table["dimension"].notna().all()
    assert table["spread"].isna().all()
    assert table["reason"].tolist() == [
        "no spread, a subset has 18 distinct points, at least 20 are needed",
        "no spread, a subset has 18 distinct points, at least 21 are needed",
    ]
    table = dimension_table(cube(5, 2, seed=7))
    assert table["dimension"].isna().all()
    assert table["reason"].str.startswith("5 distinct points, at least 20").all()


def test_same_bytes_from_the_same_seed_only():
    points = swiss_roll(0, 400)
    first, second, other = (dimension_table(points, seed=seed).to_csv() for seed in (3, 3, 4))
    assert first == second
    assert first != other


def test_wrong_arguments_are_refused():
    points = cube(40, 2, seed=8)
    with pytest.raises(ValueError, match="estimator: 'pca' is unknown, known are twonn, mle"):
        estimate_dimension(points, "pca")
    for call in (lambda: estimate_dimension(points, "mle", 1), lambda: dimension_table(points, 1)):
        with pytest.raises(ValueError, match="num_neighbours: 1, at least 2"):
            call()
    with pytest.raises(ValueError, match="num_subsamples: 1, at least 2"):
        dimension_table(points, num_subsamples=1)
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"share: .* is out of range, between 0 and 1"):
            dimension_table(points, share=share)
    points[1, 1] = math.inf
    with pytest.raises(ValueError, match="points: 1 of 800 entries are NaN, infinite"):
        estimate_dimension(points)
    with pytest.raises(ValueError, match=r"points: of shape \(0, 20\)"):
        dimension_table(points[:0])
