"""Rank rules: known answers, what scale does to them, noise with and without a signal."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd.noise import (
    gavish_donoho_factor,
    marchenko_pastur_edge,
)
from spaceprobe.lmd.rank_rules import RULES, RankEstimate
from spaceprobe.lmd.ranks import DEFAULT_RULE, FUNCTIONAL, rank_table
from spaceprobe.lmd.spectrum import (
    POINTS_AT_ONCE,
    output_variances,
    participation_ratio,
    shuffled_singular_values,
    spectrum_table,
)
from spaceprobe.lmd.spectrum import singular_values as all_singular_values

# A handful of roundings in sums of a handful of numbers.
TOLERANCE = 1e-13
# Singular values of the outputs, squared, against the eigenvalues of their covariance: relative to the
# largest, with sums over thousands of points.
COVARIANCE = 1e-12
# The issue: of the largest singular value.
ALL_VALUES = 1e-12
# Gavish and Donoho give their cubic with this largest error.
CUBIC_ERROR = 0.02
SCALE_FREE = [rule for rule in RULES if rule != "marchenko_pastur"]


def ranks(values, shape=None, **options):
    """Return the rank table by rule; the shape is square by default."""
    values = np.asarray(values, dtype=np.float64)
    return rank_table(values, shape or (len(values), len(values)), **options).set_index("rule")


def singular_values(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def uniform_noise(num_outputs, num_inputs, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (num_outputs, num_inputs)) / math.sqrt(num_inputs)


@pytest.mark.parametrize("size", [1, 2, 12])
def test_an_orthogonal_matrix_has_full_rank_by_every_soft_rule(size):
    table = ranks([0.7] * size)
    for rule in ("participation", "entropy", "roy_vetterli", "stable_rank"):
        assert table.loc[rule, "value"] == pytest.approx(size, rel=TOLERANCE)
        assert table.loc[rule, "rank"] == size
    assert table.loc["energy90", "rank"] == math.ceil(0.9 * size)
    assert table.loc["energy99", "rank"] == size
    assert table.loc["numerical", "rank"] == size
    assert not table.loc["elbow", "valid"]
    assert table.loc["elbow", "reason"] == "no elbow: nothing below the chord"


def test_known_answers():
    # Energies 16, 8, 4, 2, 2 of 32: shares 1/2, 1/4, 1/8, 1/16, 1/16.
    values = np.sqrt([16.0, 8, 4, 2, 2])
    table = ranks(values, (5, 7))
    shares = np.array([8, 4, 2, 1, 1]) / 16
    p = values / values.sum()
    expected = {
        "participation": 1 / np.sum(shares**2),
        "entropy": 2 ** (1 / 2 + 2 / 4 + 3 / 8 + 4 / 16 + 4 / 16),
        "roy_vetterli": math.prod(p**-p),
        "stable_rank": 2.0,
        "energy90": 4,
        "energy95": 5,
        "energy99": 5,
        "elbow": 2,
        "numerical": 5,
    }
    for rule, value in expected.items():
        assert table.loc[rule, "value"] == pytest.approx(value, rel=TOLERANCE)
        assert table.loc[rule, "rank"] == round(value)
    # The third value lies farthest below the chord from the first to the fifth.
    chord = np.linspace(values[0], values[-1], 5)
    assert np.argmax(chord - values) == 2


def test_the_table_and_its_default():
    table = rank_table(np.array([3.0, 2.0, 1.0]), (3, 8), init_variance=1 / 24)
    assert table["rule"].tolist() == [*RULES, FUNCTIONAL]
    assert table.loc[table["default"], "rule"].tolist() == [DEFAULT_RULE] == ["participation"]
    assert table["rank"].dtype.kind == "i"
    assert table["value"].notna().all()
    assert (table["reason"] == "").tolist() == table["valid"].tolist()


@pytest.mark.parametrize(
    ("values", "value", "rank"),
    [([1.0, 1.0, 0.0], 2.0, 2), ([1.0, 0.5, 0.5], 1.5, 2), ([1.0, 0.1, 0.0], 1.01, 1)],
)
def test_real_values_are_rounded_to_the_nearest_halves_up(values, value, rank):
    row = ranks(values, (3, 4)).loc["stable_rank"]
    assert row["value"] == pytest.approx(value, rel=TOLERANCE)
    assert row["rank"] == rank


@pytest.mark.parametrize(("values", "rank"), [([9, 8, 8, 1, 1, 1, 1], 3), ([5, 0, 0, 0], 1)])
def test_the_elbow_keeps_what_comes_before_it(values, rank):
    row = ranks(values).loc["elbow"]
    assert (row["rank"], row["valid"]) == (rank, True)


@pytest.mark.parametrize("values", [[3.0], [3.0, 1.0], [3, 2, 1], [5, 4.9, 4.5, 1]])
def test_no_elbow_where_nothing_lies_below_the_chord(values):
    row = ranks(values).loc["elbow"]
    assert (row["rank"], row["value"], row["valid"]) == (0, 0.0, False)


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any),
    st.floats(1e-30, 1e30),
)
def test_scale_changes_no_rank_but_that_of_the_noise_edge(numbers, scale):
    values = np.sort(np.array(numbers, dtype=np.float64))[::-1]
    shape = (len(values), len(values) + 3)
    plain, scaled = ranks(values, shape), ranks(values * scale, shape)
    for rule in SCALE_FREE:
        assert scaled.loc[rule, "rank"] == plain.loc[rule, "rank"]
        assert scaled.loc[rule, "valid"] == plain.loc[rule, "valid"]
        assert scaled.loc[rule, "value"] == pytest.approx(plain.loc[rule, "value"], rel=1e-12)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any), st.booleans())
def test_every_rank_is_in_range_and_soft_rules_are_ordered(numbers, is_wide):
    values = np.sort(np.array(numbers, dtype=np.float64))[::-1]
    size = len(values)
    table = ranks(values, (size, size + 5) if is_wide else (size + 5, size), init_variance=7.0)
    assert table["rank"].between(0, size).all()
    value = table["value"]
    num_positive = np.count_nonzero(values)
    # Hill numbers fall with their order (∞, 2, 1), and σ is spread more evenly than σ².
    order = ["stable_rank", "participation", "entropy", "roy_vetterli"]
    assert all(value[a] <= value[b] * (1 + TOLERANCE) for a, b in itertools.pairwise(order))
    assert value["stable_rank"] >= 1
    assert value["roy_vetterli"] <= num_positive * (1 + TOLERANCE)
    assert table.loc["energy90", "rank"] <= table.loc["energy95", "rank"]
    assert table.loc["energy95", "rank"] <= table.loc["energy99", "rank"] <= num_positive


def test_the_edge_of_the_initialisation_contains_it_and_lets_a_spike_out():
    shape = (300, 784)
    variance = 1 / (3 * 784)
    W = uniform_noise(*shape, seed=0)
    assert np.var(W) == pytest.approx(variance, rel=0.01)
    edge = marchenko_pastur_edge(shape, variance)
    values = singular_values(W)
    # At 300 × 784 the largest singular value lies within 2 % of the edge.
    assert values[0] == pytest.approx(edge, rel=0.02)
    u = np.linalg.qr(np.random.default_rng(1).normal(size=(300, 4)))[0]
    v = np.linalg.qr(np.random.default_rng(2).normal(size=(784, 4)))[0]
    spiked = singular_values(W + 3 * edge * u @ v.T)
    assert ranks(spiked, shape, init_variance=variance).loc["marchenko_pastur", "rank"] == 4
    assert ranks(0.9 * values, shape, init_variance=variance).loc["marchenko_pastur", "rank"] == 0


def test_the_edge_needs_the_initialisation():
    row = ranks([3.0, 2.0]).loc["marchenko_pastur"]
    assert (row["rank"], row["valid"]) == (0, False)
    assert row["reason"] == "variance at initialisation not known"


@pytest.mark.parametrize("beta", [1.0, 0.75, 0.5, 0.3, 0.1, 0.05])
def test_the_hard_threshold_is_the_published_one(beta):
    factor = gavish_donoho_factor((round(1000 * beta), 1000))
    cubic = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    assert factor == pytest.approx(cubic, abs=CUBIC_ERROR)
    assert factor == gavish_donoho_factor((1000, round(1000 * beta)))


def test_the_hard_threshold_of_square_matrices():
    assert gavish_donoho_factor((9, 9)) == pytest.approx(2.858, abs=0.0005)


def test_the_median_of_noise_is_the_one_assumed():
    # ω·median of pure noise is λ*·√n·sd; the median of 400 values is known to about 1 %.
    values = singular_values(np.random.default_rng(4).normal(size=(400, 900)))
    beta = 400 / 900
    known_noise = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
    threshold = gavish_donoho_factor((400, 900)) * np.median(values)
    assert threshold == pytest.approx(known_noise * math.sqrt(900), rel=0.01)


@pytest.mark.parametrize(("shape", "rank"), [((60, 90), 5), ((120, 40), 3), ((50, 50), 0)])
def test_gavish_donoho_finds_the_rank_below_noise(shape, rank):
    rng = np.random.default_rng(sum(shape))
    signal = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
    values = singular_values(signal + 0.3 * rng.normal(size=shape))
    row = ranks(values, shape).loc["gavish_donoho"]
    assert (row["rank"], row["valid"]) == (rank, True)


def test_gavish_donoho_says_when_there_is_no_noise_to_measure():
    row = ranks(np.linspace(2, 1, 9)).loc["gavish_donoho"]
    assert (row["valid"], row["reason"]) == (False, "fewer than 10 singular values: no median noise")
    row = ranks([3.0] * 4 + [0.0] * 9).loc["gavish_donoho"]
    assert (row["rank"], row["valid"]) == (4, False)
    assert row["reason"] == "median singular value is rounding: no noise to measure"


def test_numerical_rank_sees_through_the_rounding_of_float32():
    rng = np.random.default_rng(6)
    W = (rng.normal(size=(40, 7)) @ rng.normal(size=(7, 25))).astype(np.float32)
    values = singular_values(W.astype(np.float64))
    assert ranks(values, (40, 25)).loc["numerical", "rank"] == 7
    row = ranks(values, (40, 25), epsilon=float(np.finfo(np.float64).eps)).loc["numerical"]
    assert row["rank"] == 25


@pytest.mark.parametrize("size", [1, 4])
def test_a_zero_matrix_has_rank_zero_and_says_so(size):
    table = ranks([0.0] * size, (size, 9), init_variance=0.1)
    assert table["rank"].tolist() == [0] * (len(RULES) + 1)
    assert table["value"].tolist() == [0.0] * (len(RULES) + 1)
    assert table.index[table["valid"]].tolist() == ["numerical"]
    assert set(table.loc[~table["valid"], "reason"].drop(FUNCTIONAL)) == {"every weight is zero"}


@pytest.mark.parametrize(
    ("values", "shape", "variance", "message"),
    [
        ([2.0, 1.0], (3, 4), None, "singular_values: 2 for a 3 × 4 matrix, 3 are needed"),
        ([], (0, 4), None, "singular_values: 0 for a 0 × 4 matrix"),
        ([1.0, 2.0], (2, 4), None, "singular_values: finite, descending numbers"),
        ([math.nan, 1.0], (2, 4), None, "singular_values: finite, descending numbers"),
        ([1.0, -1.0], (2, 4), None, "singular_values: finite, descending numbers"),
        ([2.0, 1.0], (2, 4), 0.0, r"init_variance: 0\.0, a number > 0 is needed"),
    ],
)
def test_what_is_no_spectrum_is_refused(values, shape, variance, message):
    with pytest.raises(ValueError, match=message):
        rank_table(np.array(values, dtype=np.float64), shape, variance)


def random_layer(num_outputs, num_inputs, num_points, seed=0):
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy(rng.normal(size=(num_outputs, num_inputs)))
    inputs = torch.from_numpy(rng.normal(size=(num_points, num_inputs)) * np.arange(1, num_inputs + 1))
    return weight, inputs + 3


@pytest.mark.parametrize("sizes", [(5, 9, 40), (9, 5, 40), (6, 7, 4), (1, 3, 11), (3, 2, POINTS_AT_ONCE + 9)])
def test_output_variances_are_the_eigenvalues_of_the_covariance(sizes):
    weight, inputs = random_layer(*sizes)
    found = output_variances(weight, inputs)
    outputs = (inputs @ weight.T).numpy()
    covariance = np.cov(outputs, rowvar=False, bias=True).reshape(sizes[0], sizes[0])
    expected = np.linalg.eigvalsh(covariance)[::-1][: min(sizes[:2])]
    assert len(found) == min(sizes[:2])
    assert found == pytest.approx(expected, abs=COVARIANCE * expected[0])
    assert np.count_nonzero(found) <= sizes[2] - 1
    assert np.all(np.diff(found) <= 0)


def test_data_ranks_count_principal_components_of_the_outputs():
    # Outputs with variances 90, 6, 3.5 and 0.5 along orthogonal axes: 90 %, 96 %, 99.5 %, 100 %.
    axes = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).T / 2
    points = torch.cat([axes.T, -axes.T]).double() @ axes.double()
    variances = torch.tensor([90.0, 6.0, 3.5, 0.5], dtype=torch.float64)
    inputs = points * (4 * variances).sqrt()
    weight = torch.eye(4, dtype=torch.float64)
    found = output_variances(weight, inputs)
    assert found == pytest.approx(variances.numpy(), rel=TOLERANCE)
    table = ranks([1.0] * 4, output_variances=found)
    assert table.loc[["data95", "data99"], "rank"].tolist() == [2, 3]
    assert table.loc[["data95", "data99"], "value"].tolist() == [2.0, 3.0]
    assert table.index[table["default"]].tolist() == ["data99"]


@given(st.integers(0, 10**6), st.sampled_from([(4, 7, 30), (7, 4, 30), (5, 6, 3)]))
def test_output_variances_know_no_bias_and_no_rotation_of_either_side(seed, sizes):
    weight, inputs = random_layer(*sizes, seed=seed)
    rng = np.random.default_rng(seed)
    left, right = (torch.from_numpy(np.linalg.qr(rng.normal(size=(n, n)))[0]) for n in sizes[:2])
    found = output_variances(weight, inputs)
    there = output_variances(left @ weight @ right, inputs @ right)
    assert there == pytest.approx(found, abs=COVARIANCE * found[0])
    moved = output_variances(weight, inputs + 7)
    assert moved == pytest.approx(found, abs=COVARIANCE * found[0])
    doubled = output_variances(2 * weight, inputs)
    assert doubled.tolist() == (4 * found).tolist()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_a_layer_that_is_constant_over_the_data_has_no_data_rank(value):
    weight, _ = random_layer(4, 6, 1)
    found = output_variances(weight, torch.full((500, 6), value))
    assert found.tolist() == [0.0] * 4
    table = ranks([4.0, 3.0, 2.0, 1.0], output_variances=found)
    row = table.loc["data99"]
    assert (row["rank"], row["valid"], row["reason"]) == (0, False, "the layer is constant over the data")
    assert table.index[table["default"]].tolist() == ["participation"]


def test_without_data_the_data_rules_say_so():
    table = ranks([2.0, 1.0])
    assert table.loc[["data95", "data99"], "reason"].tolist() == ["no data", "no data"]
    assert table.loc[["data95", "data99"], "rank"].tolist() == [0, 0]
    assert table.index[table["default"]].tolist() == ["participation"]


def test_the_measured_rank_stands_beside_the_rules():
    assert ranks([2.0, 1.0]).loc[FUNCTIONAL, "reason"] == "not measured"
    row = ranks([2.0, 1.0], functional=RankEstimate(1.0, 1)).loc[FUNCTIONAL]
    assert (row["rank"], row["value"], row["valid"], row["default"]) == (1, 1.0, True, False)
    row = ranks([2.0, 1.0], functional=RankEstimate(0.0, 0, valid=False, reason="why")).loc[FUNCTIONAL]
    assert (row["valid"], row["reason"]) == (False, "why")


@pytest.mark.parametrize(
    ("variances", "message"),
    [
        ([1.0], "output_variances: 1, 2 are needed"),
        ([1.0, 2.0], "output_variances: finite, descending numbers"),
        ([math.nan, 1.0], "output_variances: finite, descending numbers"),
        ([1.0, -0.5], "output_variances: finite, descending numbers"),
    ],
)
def test_what_are_no_variances_is_refused(variances, message):
    with pytest.raises(ValueError, match=message):
        ranks([2.0, 1.0], output_variances=np.array(variances))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(5, 4), r"inputs: of shape \(5, 4\), \(points, 3\) is needed"),
        (torch.zeros(0, 3), r"inputs: of shape \(0, 3\)"),
        (torch.full((2, 3), math.inf), "inputs: 6 of 6 entries are NaN or infinite"),
    ],
)
def test_inputs_of_another_layer_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        output_variances(torch.ones(2, 3), inputs)


def test_all_singular_values_keep_the_small_ones():
    rng = np.random.default_rng(2)
    left, right = (np.linalg.qr(rng.normal(size=(size, 12)))[0] for size in (40, 25))
    expected = np.logspace(0, -11, 12)
    weight = (left * expected) @ right.T
    found = all_singular_values(weight)
    assert found[:12] == pytest.approx(expected, abs=ALL_VALUES)
    # A Gram matrix would have σ = 1e-11 drowned at 1e-8.
    assert found[11] == pytest.approx(1e-11, rel=1e-3)
    torchs = torch.linalg.svdvals(torch.from_numpy(weight)).numpy()
    assert found == pytest.approx(torchs, abs=ALL_VALUES)


def test_shuffling_keeps_the_entries_and_hides_the_signal():
    rng = np.random.default_rng(8)
    weight = rng.normal(size=(60, 90)) + np.outer(np.ones(60), np.ones(90))
    values, shuffled = all_singular_values(weight), shuffled_singular_values(weight, seed=1)
    assert np.sum(shuffled**2) == pytest.approx(np.sum(values**2), rel=TOLERANCE)
    # The mean of the entries survives any order: one value of about its √(60·90). Nothing else does.
    assert shuffled[0] == pytest.approx(values[0], rel=0.02)
    signal = weight * np.where(np.arange(60) % 2, 1, -1)[:, None]  # no mean any more
    shuffled = shuffled_singular_values(signal, seed=1)
    edge = marchenko_pastur_edge((60, 90), float(np.var(signal)))
    assert all_singular_values(signal)[0] > 3 * edge
    assert shuffled[0] == pytest.approx(edge, rel=0.05)


def test_shuffling_is_seeded_and_a_literal_permutation():
    weight = np.random.default_rng(8).normal(size=(6, 9))
    first, again, other = (shuffled_singular_values(weight, seed) for seed in (4, 4, 5))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)
    order = np.random.default_rng(4).permutation(54)
    assert first == pytest.approx(singular_values(weight.ravel()[order].reshape(6, 9)), rel=TOLERANCE)
    assert shuffled_singular_values(np.full((3, 4), 2.0), 0) == pytest.approx(
        [2 * math.sqrt(12), 0, 0], abs=TOLERANCE
    )


def test_participation_ratio_counts_entries():
    vectors = np.array([[0, 3.0, 0, 0], [1, -1, 1, -1], [0, 2, 0, -2], [0, 0, 0, 0]])
    assert participation_ratio(vectors).tolist() == [1.0, 4.0, 2.0, 0.0]
    assert participation_ratio(np.zeros((0, 3))).tolist() == []
    # Independent normal entries: E v⁴ = 3 (E v²)².
    noise = np.random.default_rng(1).normal(size=(3, 20_000))
    assert participation_ratio(noise) / 20_000 == pytest.approx(1 / 3, rel=0.05)
    assert participation_ratio(torch.from_numpy(noise)).tolist() == participation_ratio(noise).tolist()


@given(
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=30).filter(any),
    st.floats(1e-200, 1e200),
    st.randoms(use_true_random=False),
)
def test_participation_ratio_knows_no_scale_sign_or_order(numbers, scale, random):
    plain = participation_ratio(np.array([numbers], dtype=np.float64))
    assert 1 - TOLERANCE <= plain[0] <= np.count_nonzero(numbers) * (1 + TOLERANCE)
    random.shuffle(numbers)
    moved = np.array([numbers, numbers], dtype=np.float64) * [[scale], [-scale]]
    assert participation_ratio(moved) == pytest.approx(np.repeat(plain, 2), rel=TOLERANCE)


def test_spectrum_table():
    table = spectrum_table(np.array([4.0, 2.0, 2.0]), 2, untrained_values=np.array([1.0, 0.5, 0.25]))
    assert table["basis"].tolist() == ["svd"] * 3
    assert table["index"].tolist() == [1, 2, 3]
    assert table["energy"].tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6], rel=TOLERANCE)
    assert table["cumulative_energy"].tolist() == pytest.approx([4 / 6, 5 / 6, 1], rel=TOLERANCE)
    assert table["untrained_value"].tolist() == [1.0, 0.5, 0.25]
    assert table["kept"].tolist() == [True, True, False]
    for name in ("shuffled_value", "participation_u", "participation_v"):
        assert table[name].isna().all()


def test_spectrum_table_with_everything():
    table = spectrum_table(
        np.array([4.0, 2.0, 1.0]),
        2,
        shuffled_values=np.array([3.0, 3.0, 1.0]),
        participation_u=np.array([1.0, 2.0]),
        participation_v=np.array([4.0, 5.0, 6.0]),
    )
    assert table["shuffled_value"].tolist() == [3.0, 3.0, 1.0]
    assert table["participation_u"].tolist()[:2] == [1.0, 2.0]
    assert math.isnan(table["participation_u"].iloc[2])
    assert table["participation_v"].tolist() == [4.0, 5.0, 6.0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60).filter(any))
def test_cumulative_energy_rises_to_exactly_one(numbers):
    values = np.sort(np.array(numbers))[::-1]
    table = spectrum_table(values, 0)
    assert table["cumulative_energy"].iloc[-1] == 1.0
    assert table["cumulative_energy"].is_monotonic_increasing
    assert table["untrained_value"].isna().all()
    assert not table["kept"].any()


def test_the_spectrum_of_a_zero_matrix_has_no_energy():
    table = spectrum_table(np.zeros(2), 2, basis="data")
    assert table[["energy", "cumulative_energy"]].eq(0).all(axis=None)
    assert table["basis"].tolist() == ["data", "data"]


def test_spectra_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="untrained_values: 3, 2 are needed"):
        spectrum_table(np.ones(2), 1, untrained_values=np.ones(3))
    with pytest.raises(ValueError, match="shuffled_values: 1, 2 are needed"):
        spectrum_table(np.ones(2), 1, shuffled_values=np.ones(1))
    with pytest.raises(ValueError, match="participation_v: 3, at most 2 are allowed"):
        spectrum_table(np.ones(2), 1, participation_v=np.ones(3))
    with pytest.raises(ValueError, match="rank: 3 is out of range, 0 to 2"):
        spectrum_table(np.ones(2), 3)
