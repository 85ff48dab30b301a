"""Power-law tails against known samples and the published procedure, and the norms beside them."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spaceprobe.lmd.tails import MIN_TAIL_VALUES, matrix_norms, power_law_tail

# Sums of some hundred logarithms.
TOLERANCE = 1e-11
# Standard errors that a seeded sample may be off.
STANDARD_ERRORS = 4


def pareto_values(alpha, size, seed, xmin=1.0):
    """Singular values whose squares are a sample of p(λ) ∝ λ^-α from xmin on."""
    uniform = np.random.default_rng(seed).random(size)
    return np.sort(np.sqrt(xmin * (1 - uniform) ** (-1 / (alpha - 1))))[::-1].copy()


def clauset(values):
    """SIAM Review 51 (2009), sections 3.1 and 3.3, as written: α, KS distance, xmin, size of the tail."""
    eigenvalues = sorted(float(v) ** 2 for v in values if v > 0)
    best = None
    for xmin in sorted(set(eigenvalues))[:-1]:
        tail = [x for x in eigenvalues if x >= xmin]
        n = len(tail)
        alpha = 1 + n / sum(math.log(x / xmin) for x in tail)
        distance = 0.0
        for x in tail:
            law = 1 - (x / xmin) ** (1 - alpha)
            below = sum(y < x for y in tail) / n
            up_to = sum(y <= x for y in tail) / n
            distance = max(distance, abs(law - below), abs(law - up_to))
        if best is None or distance < best[1] - TOLERANCE:
            best = (alpha, distance, xmin, n)
    return best


@pytest.mark.parametrize("alpha", [1.8, 2.5, 4.0, 6.0])
def test_known_samples_have_their_exponent(alpha):
    found = power_law_tail(pareto_values(alpha, 1000, seed=int(10 * alpha)))
    assert found.valid
    assert found.standard_error == pytest.approx((found.exponent - 1) / math.sqrt(found.num_tail))
    assert abs(found.exponent - alpha) <= STANDARD_ERRORS * found.standard_error
    # 99 % of samples of a law stay below 1.63 / √n, with a fitted law below even less.
    assert found.ks_distance < 1.63 / math.sqrt(found.num_tail)
    assert found.num_values == 1000


def test_the_tail_starts_where_the_law_does():
    # 800 values of the law above λ = 4, as many of something else below.
    rng = np.random.default_rng(11)
    tail = pareto_values(3.0, 800, seed=12, xmin=4.0)
    values = np.sort(np.concatenate([tail, np.sqrt(rng.uniform(0, 4, 800))]))[::-1].copy()
    found = power_law_tail(values)
    assert abs(found.exponent - 3) <= STANDARD_ERRORS * found.standard_error
    assert found.xmin == pytest.approx(4, rel=0.25)
    assert found.num_tail == np.sum(values**2 >= found.xmin * (1 - TOLERANCE))


@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=40).filter(lambda x: len({*x} - {0}) > 1),
    st.integers(0, 10**6),
)
def test_the_fit_is_the_published_procedure(numbers, seed):
    rng = np.random.default_rng(seed)
    # Half of the cases with ties, as they are; half without.
    jitter = rng.random(len(numbers)) * (np.array(numbers) > 0) * (seed % 2)
    values = np.sort(np.array(numbers) + jitter)[::-1].copy()
    found = power_law_tail(values)
    alpha, distance, xmin, num_tail = clauset(values)
    assert found.ks_distance == pytest.approx(distance, abs=1e-9)
    if found.num_tail == num_tail:  # of two candidates equally near, rounding takes one
        assert found.exponent == pytest.approx(alpha, rel=1e-9)
        assert found.xmin == pytest.approx(xmin, rel=1e-12)


def test_known_answer():
    # λ = e², e, 1: with xmin = 1 the logs add up to 3, so α = 2 and the law is 1 - 1/λ.
    # Its steps 0|1/3, 1/3|2/3, 2/3|1 against 0, 1 - 1/e, 1 - 1/e²: at most 1/3, at λ = 1.
    # With xmin = e: α = 3, law 1 - (λ/e)^-2 = 0 and 1 - 1/e², steps 0|1/2 and 1/2|1: 1/2 at most.
    found = power_law_tail(np.exp([1.0, 0.5, 0.0]))
    assert found.exponent == pytest.approx(2, rel=1e-14)
    assert found.ks_distance == pytest.approx(1 / 3, rel=1e-14)
    assert found.xmin == 1.0
    assert (found.num_tail, found.num_values, found.valid) == (3, 3, False)
    assert found.reason == "3 eigenvalues in the tail, fewer than 50"
    assert power_law_tail(np.exp([1.0, 0.5, 0.0]), min_values=3).valid


@settings(max_examples=10)  # each judges three laws
@given(st.integers(0, 10**6), st.integers(-200, 200))
@example(seed=40471, power=2)
def test_exponent_and_distance_know_no_scale(seed, power):
    values = pareto_values(2.5, 60, seed)
    plain, scaled = power_law_tail(values), power_law_tail(values * 2.0**power)
    unscaled = dataclasses.replace(scaled, xmin=plain.xmin)
    assert unscaled == plain
    assert scaled.xmin == plain.xmin * 4.0**power
    other = power_law_tail(values * 3.7)
    assert other.ks_distance == pytest.approx(plain.ks_distance, rel=TOLERANCE)
    assert other.exponent == pytest.approx(plain.exponent, rel=TOLERANCE)


@pytest.mark.parametrize(("num_tail", "valid"), [(MIN_TAIL_VALUES - 1, False), (MIN_TAIL_VALUES, True)])
def test_the_values_of_the_tail_are_counted_not_all(num_tail, valid):
    # Evenly spaced quantiles of a law fit it best as a whole; the ten small ones far below do not belong.
    quantiles = ((np.arange(num_tail) + 0.5) / num_tail) ** (-1 / 2)
    values = np.concatenate([quantiles, np.full(10, 1e-6)])
    found = power_law_tail(values)
    assert (found.num_tail, found.num_values, found.valid) == (num_tail, num_tail + 10, valid)
    assert found.reason == ("" if valid else "49 eigenvalues in the tail, fewer than 50")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0, 0.0], "every weight is zero"),
        ([3.0], "fewer than two different eigenvalues above rounding"),
        ([3.0, 3.0, 3.0], "fewer than two different eigenvalues above rounding"),
        ([3.0, 0.0], "fewer than two different eigenvalues above rounding"),
        ([1e200, 1.0], r"singular values to 1e+200: their squares overflow"),
    ],
)
def test_where_no_law_can_be_fitted_there_is_a_reason_and_no_number(values, reason):
    found = power_law_tail(np.array(values))
    assert (found.exponent, found.standard_error, found.ks_distance, found.xmin) == (None,) * 4
    assert (found.num_tail, found.num_values, found.valid, found.reason) == (0, len(values), False, reason)


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
def test_rounding_of_a_matrix_of_low_rank_is_no_tail(rank):
    rng = np.random.default_rng(rank)
    matrix = rng.normal(size=(300, rank)) @ rng.normal(size=(rank, 300))
    for values in (np.linalg.svd(matrix)[1], np.linalg.svd(matrix.astype(np.float32))[1].astype(float)):
        found = power_law_tail(values)
        assert not found.valid
        assert found.num_tail <= rank
        assert (found.num_values, found.num_left_out) == (300, 300 - rank)
    norms = matrix_norms(values, (300, 300))
    assert norms.numerical_rank == rank
    assert (norms.weighted_alpha is None) == (rank == 1)


def test_what_lies_below_rounding_changes_no_fit():
    values = pareto_values(2.5, 60, seed=4)
    alone = power_law_tail(values, shape=(60, 500))
    assert alone.num_left_out == 0
    for below in (np.zeros(140), np.geomspace(1e-8, 1e-16, 140) * values[0]):
        found = power_law_tail(np.concatenate([values, below]), shape=(200, 500))
        assert found == dataclasses.replace(alone, num_values=200, num_left_out=140)


def test_the_threshold_is_that_of_the_numerical_rank():
    epsilon = 2.0**-10
    values = np.array([1.0, 0.5, 0.25, 100 * epsilon, 7 * epsilon, 4 * epsilon, 3.5 * epsilon])
    # Exceeding σ₁ · max(m, n) · ε, not reaching it: for a square matrix of 7 and for two longer ones.
    for shape, num_kept in (((7, 7), 4), ((7, 99), 4), ((100, 7), 3), (None, 4)):
        found = power_law_tail(values, shape=shape, epsilon=epsilon)
        assert found.num_left_out == 7 - num_kept
        if shape:
            assert matrix_norms(values, shape, epsilon=epsilon).numerical_rank == num_kept
    assert power_law_tail(values).num_left_out == 0
    with pytest.raises(ValueError, match="singular_values: 7 for a 6 × 9 matrix, 6 are needed"):
        power_law_tail(values, shape=(6, 9))


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0], [1.0, -1.0]])
def test_what_is_no_spectrum_is_refused(values):
    with pytest.raises(ValueError, match="values: finite, descending singular values >= 0 are needed"):
        power_law_tail(np.array(values, dtype=np.float64))


def test_norms_are_those_of_the_eigenvalues():
    values = pareto_values(3.0, 70, seed=2)
    tail = power_law_tail(values)
    found = matrix_norms(values, (70, 90), tail)
    assert found == matrix_norms(values, (70, 90))
    eigenvalues = values**2
    assert found.log_norm == pytest.approx(math.log10(sum(eigenvalues)), rel=TOLERANCE)
    assert found.log_spectral_norm == pytest.approx(math.log10(eigenvalues[0]), rel=TOLERANCE)
    assert found.weighted_alpha == pytest.approx(tail.exponent * math.log10(eigenvalues[0]), rel=TOLERANCE)
    assert found.log_alpha_norm == pytest.approx(math.log10(sum(eigenvalues**tail.exponent)), rel=TOLERANCE)
    assert found.stable_rank == pytest.approx(sum(eigenvalues) / eigenvalues[0], rel=TOLERANCE)
    assert found.numerical_rank == 70


def test_norms_of_large_and_of_equal_values():
    found = matrix_norms(np.array([1e200, 1e190]), (2, 3))
    assert found.log_norm == found.log_spectral_norm == pytest.approx(400)
    assert (found.weighted_alpha, found.log_alpha_norm) == (None, None)
    found = matrix_norms(np.array([10.0, 10.0]), (2, 5))
    assert found.log_norm == pytest.approx(math.log10(200), rel=TOLERANCE)
    assert (found.stable_rank, found.numerical_rank, found.weighted_alpha) == (2.0, 2, None)


def test_norms_of_a_zero_matrix_are_no_numbers():
    found = matrix_norms(np.zeros(3), (3, 4))
    assert dataclasses.astuple(found) == (None, None, None, None, 0.0, 0)


def test_norms_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="singular_values: 2 for a 3 × 4 matrix, 3 are needed"):
        matrix_norms(np.array([2.0, 1.0]), (3, 4))
