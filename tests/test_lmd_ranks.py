"""Rank rules: known answers, what scale does to them, noise with and without a signal."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaceprobe.lmd.noise import (
    gavish_donoho_factor,
    marchenko_pastur_edge,
    uniform_init_variance,
)
from spaceprobe.lmd.ranks import DEFAULT_RULE, RANK_COLUMNS, RULES, rank_table
from spaceprobe.lmd.spectrum import SPECTRUM_COLUMNS, spectrum_table

# A handful of roundings in sums of a handful of numbers.
TOLERANCE = 1e-13
# Gavish and Donoho give their cubic with this largest error.
CUBIC_ERROR = 0.02
SCALE_FREE = [rule for rule in RULES if rule != "marchenko_pastur"]


def ranks(values, shape=None, **options):
    """Returns the rank table by rule; the shape is square by default."""
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
    table = rank_table(np.array([3.0, 2.0, 1.0]), (3, 8), init_variance=uniform_init_variance(8))
    assert tuple(table.columns) == RANK_COLUMNS
    assert table["rule"].tolist() == [*RULES]
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
    variance = uniform_init_variance(784)
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
    assert table["rank"].tolist() == [0] * len(RULES)
    assert table["value"].tolist() == [0.0] * len(RULES)
    assert table.index[table["valid"]].tolist() == ["numerical"]
    assert set(table.loc[~table["valid"], "reason"]) == {"every weight is zero"}


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


def test_spectrum_table():
    table = spectrum_table(np.array([4.0, 2.0, 2.0]), 2, initial_values=np.array([1.0, 0.5, 0.25]))
    assert tuple(table.columns) == SPECTRUM_COLUMNS
    assert table["basis"].tolist() == ["svd"] * 3
    assert table["index"].tolist() == [1, 2, 3]
    assert table["energy"].tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6], rel=TOLERANCE)
    assert table["cumulative_energy"].tolist() == pytest.approx([4 / 6, 5 / 6, 1], rel=TOLERANCE)
    assert table["initial_value"].tolist() == [1.0, 0.5, 0.25]
    assert table["kept"].tolist() == [True, True, False]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60).filter(any))
def test_cumulative_energy_rises_to_exactly_one(numbers):
    values = np.sort(np.array(numbers))[::-1]
    table = spectrum_table(values, 0)
    assert table["cumulative_energy"].iloc[-1] == 1.0
    assert table["cumulative_energy"].is_monotonic_increasing
    assert table["initial_value"].isna().all()
    assert not table["kept"].any()


def test_the_spectrum_of_a_zero_matrix_has_no_energy():
    table = spectrum_table(np.zeros(2), 2, basis="data")
    assert table[["energy", "cumulative_energy"]].eq(0).all(axis=None)
    assert table["basis"].tolist() == ["data", "data"]


def test_spectra_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="initial_values: 3, 2 are needed"):
        spectrum_table(np.ones(2), 1, initial_values=np.ones(3))
    with pytest.raises(ValueError, match="rank: 3 is out of range, 0 to 2"):
        spectrum_table(np.ones(2), 3)
