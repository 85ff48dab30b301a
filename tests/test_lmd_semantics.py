"""Class meaning of latent axes: analysis of variance by scipy, exact permutations, a known relation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd import semantics
from spaceprobe.lmd.semantics import (
    class_variance_share,
    semantics_table,
    shuffled_shares,
)

# A handful of roundings in sums of dozens of numbers.
TOLERANCE = 1e-12
# A shift by 100 standard deviations costs two digits.
SHIFTED = 1e-11


def points_and_labels(num_points, num_axes, num_classes, seed, separation=0.0):
    """Gaussian points; along axis i the class means are `separation` / (i + 1) apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_points) % num_classes
    labels = labels[torch.randperm(num_points, generator=generator)]
    points = torch.randn(num_points, num_axes, dtype=torch.float64, generator=generator)
    means = separation * labels[:, None].double() / torch.arange(1, num_axes + 1)
    return points + means, labels


def literal_share(values, labels):
    """Between-class over total sum of squares, in loops over points."""
    total_mean = math.fsum(values) / len(values)
    total = math.fsum((v - total_mean) ** 2 for v in values)
    between = 0.0
    for label in set(labels):
        members = [v for v, c in zip(values, labels, strict=True) if c == label]
        between += len(members) * (math.fsum(members) / len(members) - total_mean) ** 2
    return between / total


def test_known_answers():
    coordinates = torch.tensor(
        [[0.0, 1.0, 7.0, 0.0], [2.0, 1.0, 7.0, 1.0], [4.0, 5.0, 7.0, 0.0], [6.0, 5.0, 7.0, 1.0]],
        dtype=torch.float64,
    )
    # First axis: means 1 and 5 about 3, so 16 of 20; the others all, nothing (constant), nothing.
    share = class_variance_share(coordinates, torch.tensor([-3, -3, 8, 8]))
    assert share.tolist() == pytest.approx([0.8, 1.0, 0.0, 0.0], abs=TOLERANCE)
    assert share[2] == 0
    assert class_variance_share(coordinates, torch.tensor([4, 4, 4, 4])).tolist() == pytest.approx(
        [0, 0, 0, 0], abs=TOLERANCE
    )
    assert class_variance_share(coordinates, torch.arange(4)).tolist() == pytest.approx(
        [1, 1, 0, 1], abs=TOLERANCE
    )


@given(st.integers(0, 10**6), st.sampled_from([(9, 2, 3), (17, 4, 5), (40, 3, 2)]), st.floats(0, 3))
def test_shares_are_those_of_loops_and_of_scipy(seed, sizes, separation):
    coordinates, labels = points_and_labels(*sizes, seed, separation)
    share = class_variance_share(coordinates, labels).numpy()
    num_points, num_axes, num_classes = sizes
    for axis in range(num_axes):
        values = coordinates[:, axis].numpy()
        assert share[axis] == pytest.approx(literal_share(values.tolist(), labels.tolist()), abs=TOLERANCE)
        groups = [values[labels.numpy() == label] for label in range(num_classes)]
        F = scipy.stats.f_oneway(*groups).statistic
        ratio = (num_points - num_classes) / (num_classes - 1)
        assert share[axis] / (1 - share[axis]) * ratio == pytest.approx(F, rel=1e-9)


@given(st.integers(0, 10**6), st.floats(1e-100, 1e100), st.floats(-100, 100))
def test_shares_do_not_see_scale_shift_sign_class_names_or_order(seed, scale, shift):
    coordinates, labels = points_and_labels(23, 3, 4, seed, separation=0.7)
    share = class_variance_share(coordinates, labels).numpy()
    assert np.all((share >= 0) & (share <= 1))

    def same(points, classes, tolerance=TOLERANCE):
        assert class_variance_share(points, classes).numpy() == pytest.approx(share, abs=tolerance)

    same(-scale * coordinates, labels)
    same(coordinates * torch.tensor([1e-9, 3.0, 1e9], dtype=torch.float64), labels)
    same(coordinates + shift, labels, SHIFTED)
    same(coordinates, torch.tensor([70, -2, 11, 5])[labels])
    order = torch.randperm(23, generator=torch.Generator().manual_seed(seed))
    same(coordinates[order], labels[order])
    axes = torch.tensor([2, 0, 1])
    found = class_variance_share(coordinates[:, axes], labels).numpy()
    assert found == pytest.approx(share[axes.numpy()], abs=TOLERANCE)


@pytest.mark.parametrize("value", [0.1, -1e300, 1 / 3, 0.0])
def test_a_constant_axis_has_no_share_for_any_labels(value):
    coordinates = torch.full((7, 2), value, dtype=torch.float64)
    coordinates[:, 1] = torch.arange(7.0)
    labels = torch.tensor([0, 1, 1, 2, 0, 2, 2])
    table = semantics_table(coordinates, labels, num_shuffles=5, seed=0)
    row = table.iloc[0]
    assert (row["share"], row["shuffled_mean"], row["shuffled_sd"], row["shuffled_max"]) == (0, 0, 0, 0)
    assert row["p_value"] == 1
    assert table.loc[1, "share"] == pytest.approx(literal_share(range(7), labels.tolist()), abs=TOLERANCE)
    assert not table.isna().to_numpy().any()


def test_huge_coordinates_do_not_overflow():
    coordinates = torch.tensor([[1.7e308], [-1.7e308], [1.7e308], [-1.7e308]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1])
    assert class_variance_share(coordinates, labels).tolist() == pytest.approx([1.0], abs=TOLERANCE)


def test_shuffling_is_permuting():
    coordinates, labels = points_and_labels(11, 3, 4, seed=1)
    shuffled = shuffled_shares(coordinates, labels, num_shuffles=6, seed=9)
    generator = torch.Generator().manual_seed(9)
    for shares in shuffled:
        order = torch.randperm(11, generator=generator)
        expected = class_variance_share(coordinates, labels[order])
        assert shares.numpy() == pytest.approx(expected.numpy(), abs=TOLERANCE)


def test_blocks_change_nothing(monkeypatch):
    coordinates, labels = points_and_labels(13, 2, 3, seed=2)
    whole = shuffled_shares(coordinates, labels, 10, seed=4)
    monkeypatch.setattr(semantics, "BLOCK_ENTRIES", 4 * 13 * 3)
    blocks = shuffled_shares(coordinates, labels, 10, seed=4)
    assert blocks.shape == (10, 2)
    assert blocks.numpy() == pytest.approx(whole.numpy(), abs=TOLERANCE)
    monkeypatch.setattr(semantics, "BLOCK_ENTRIES", 1)
    assert shuffled_shares(coordinates, labels, 10, 4).numpy() == pytest.approx(whole.numpy(), abs=TOLERANCE)


@pytest.mark.parametrize("classes", [[0, 0, 0, 1, 1, 2], [0, 1, 2, 3, 4, 4], [0, 0, 0, 0, 0, 1]])
def test_over_all_permutations_the_mean_is_exact(classes):
    coordinates, _ = points_and_labels(6, 2, 2, seed=3)
    orders = torch.tensor(list(itertools.permutations(range(6))))
    shares = torch.stack(
        [class_variance_share(coordinates, torch.tensor(classes)[order]) for order in orders]
    )
    expected = (len(set(classes)) - 1) / (6 - 1)
    assert shares.mean(dim=0).numpy() == pytest.approx(expected, abs=TOLERANCE)


def test_shuffled_labels_carry_what_chance_does():
    coordinates, labels = points_and_labels(200, 3, 5, seed=5, separation=2.0)
    table = semantics_table(coordinates, labels, num_shuffles=400, seed=6)
    expected = 4 / 199
    # The mean over 400 shufflings is known to its standard error; four of them.
    error = table["shuffled_sd"] / math.sqrt(400)
    assert ((table["shuffled_mean"] - expected).abs() <= 4 * error).all()
    assert (table["p_value"] == 1 / 401).all()
    assert (table["share"] > 5 * table["shuffled_max"]).all()
    assert table["share"].is_monotonic_decreasing


def test_without_relation_p_values_are_even():
    num_below = 0
    for seed in range(200):
        coordinates, labels = points_and_labels(20, 1, 3, seed)
        num_below += semantics_table(coordinates, labels, 19, seed).loc[0, "p_value"] <= 0.2
    # Binomial with probability 1/5: 40 ± 5.7; three standard deviations.
    assert abs(num_below - 40) <= 17


def test_the_table_is_its_columns_in_words():
    coordinates, labels = points_and_labels(15, 4, 3, seed=7, separation=0.4)
    table = semantics_table(coordinates, labels, num_shuffles=30, seed=8)
    assert table["axis"].tolist() == [1, 2, 3, 4]
    shuffled = shuffled_shares(coordinates, labels, 30, seed=8).numpy()
    share = class_variance_share(coordinates, labels).numpy()
    for axis in range(4):
        row, values = table.loc[axis], shuffled[:, axis]
        assert row["share"] == share[axis]
        assert row["shuffled_mean"] == pytest.approx(values.mean(), rel=TOLERANCE)
        assert row["shuffled_sd"] == pytest.approx(values.std(ddof=1), rel=TOLERANCE)
        assert row["shuffled_q95"] == np.quantile(values, 0.95, method="inverted_cdf")
        assert row["shuffled_max"] == values.max()
        assert row["p_value"] == (1 + sum(values >= share[axis])) / 31
    again = semantics_table(coordinates, labels, num_shuffles=30, seed=8)
    assert again.to_csv() == table.to_csv()
    other = semantics_table(coordinates, labels, num_shuffles=30, seed=9)
    assert other["share"].equals(table["share"])
    assert not other["shuffled_mean"].equals(table["shuffled_mean"])


@pytest.mark.parametrize("seed", range(10))
def test_a_shuffling_that_splits_the_points_alike_ties(seed):
    # Of the 9!/3!³ = 1,680 labellings 3! are the same split with the classes named otherwise: sums in
    # another order, equal up to rounding. Other splits are farther away than 1e-6.
    labels = torch.arange(9) // 3
    generator = torch.Generator().manual_seed(seed)
    coordinates = 3 * labels[:, None] + torch.randn(9, 1, dtype=torch.float64, generator=generator)
    table = semantics_table(coordinates, labels, num_shuffles=3000, seed=1)
    shares = shuffled_shares(coordinates, labels, 3000, seed=1)[:, 0]
    num_alike = int((shares > table.loc[0, "share"] - 1e-6).sum())
    assert num_alike > 0
    assert table.loc[0, "p_value"] == (1 + num_alike) / 3001


def test_a_global_seed_is_neither_used_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    semantics_table(*points_and_labels(8, 2, 2, seed=0), 3, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_has_no_share_is_refused():
    coordinates, labels = points_and_labels(6, 2, 3, seed=0)
    with pytest.raises(ValueError, match="coordinates and labels: of 0 and 0 points, the same points"):
        class_variance_share(coordinates[:0], labels[:0])
    with pytest.raises(ValueError, match="coordinates: 12 of 12 entries are NaN or infinite"):
        class_variance_share(coordinates / 0, labels)
    with pytest.raises(ValueError, match="num_shuffles: 0, at least 1 is needed"):
        shuffled_shares(coordinates, labels, 0, 0)
    with pytest.raises(ValueError, match="num_shuffles: 1, at least 2 are needed"):
        semantics_table(coordinates, labels, 1, 0)


def test_points_that_do_not_match_are_refused(unchecked_shapes):
    coordinates, labels = points_and_labels(6, 2, 3, seed=0)
    with pytest.raises(ValueError, match="coordinates and labels: of 6 and 5 points, the same points"):
        class_variance_share(coordinates, labels[:5])
