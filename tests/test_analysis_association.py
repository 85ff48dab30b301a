"""One sample and averages over seeds, against scipy, textbook formulas and simulation."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import expit, logit

from spaceprobe.analysis.association import MIN_RUNS, associate, fisher_interval, is_constant
from spaceprobe.analysis.over_seeds import (
    BOOTSTRAP_RESAMPLES,
    BOOTSTRAP_SEED,
    bootstrap_interval,
    mean_correlation,
    t_interval,
)
from spaceprobe.tables.table import Bounds

# Two correct ways to add up a few dozen numbers agree to this, relative to the numbers themselves.
TOLERANCE = 1e-9
# Coverage of 2,000 simulated studies has a standard error of 0.5 %.
T_COVERAGE = (0.93, 0.965)
BOOTSTRAP_COVERAGE = (0.79, 0.86)


def samples(num_columns):
    """Columns of small decimals, as accuracies and shares are: ties occur."""
    shape = st.integers(MIN_RUNS, 30).map(lambda n: (num_columns, n))
    return arrays(np.float64, shape, elements=st.integers(-999, 999).map(lambda i: i / 1000))


def residuals(column, others):
    design = np.column_stack([np.ones(len(column)), *others])
    return column - design @ np.linalg.lstsq(design, column)[0]


@given(samples(2))
def test_plain_association_is_scipys(columns):
    x, y = columns
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    result = associate(x, y)
    pearson = stats.pearsonr(x, y)
    assert result.num_runs == len(x)
    assert result.pearson == pytest.approx(pearson.statistic, abs=TOLERANCE)
    assert result.spearman == pytest.approx(stats.spearmanr(x, y).statistic, abs=TOLERANCE)
    line = stats.linregress(x, y)
    margin = stats.t.ppf(0.975, len(x) - 2) * line.stderr
    assert result.slope == pytest.approx(line.slope, rel=TOLERANCE, abs=TOLERANCE)
    if abs(result.pearson) < 0.999:  # nearer to 1 both standard errors are differences of rounding
        interval = tuple(pearson.confidence_interval(0.95))
        assert result.pearson_interval == pytest.approx(interval, abs=TOLERANCE)
        expected = (line.slope - margin, line.slope + margin)
        assert result.slope_interval == pytest.approx(expected, rel=1e-6, abs=TOLERANCE)


@given(samples(3))
def test_partial_association_is_that_of_residuals(columns):
    x, y, z = columns
    assume(min(map(np.ptp, columns)) > 0)
    x_left, y_left = residuals(x, [z]), residuals(y, [z])
    assume(min(np.linalg.norm(x_left), np.linalg.norm(y_left)) > 1e-3)
    result = associate(x, y, z)
    r = np.corrcoef(x_left, y_left)[0, 1]
    assert result.pearson == pytest.approx(r, abs=TOLERANCE)
    design = np.column_stack([np.ones(len(x)), x, z])
    slope = np.linalg.lstsq(design, y)[0][1]
    assert result.slope == pytest.approx(slope, rel=1e-6, abs=TOLERANCE)
    errors = residuals(y, [x, z])
    variance = errors @ errors / (len(x) - 3) * np.linalg.inv(design.T @ design)[1, 1]
    margin = stats.t.ppf(0.975, len(x) - 3) * math.sqrt(variance)
    expected = (slope - margin, slope + margin)
    assert result.slope_interval == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_partial_correlation_is_the_textbook_formula_and_so_is_its_interval():
    rng = np.random.default_rng(5)
    x, y, z = np.array([[1, 0.3, 0.2], [0.5, 1, 0.1], [-0.4, 0.6, 1]]) @ rng.normal(size=(3, 12))
    result = associate(x, y, z)
    xy, xz, yz = (np.corrcoef(a, b)[0, 1] for a, b in ((x, y), (x, z), (y, z)))
    r = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert result.pearson == pytest.approx(r, abs=TOLERANCE)
    margin = stats.norm.ppf(0.975) / math.sqrt(12 - 4)
    expected = math.tanh(math.atanh(r) - margin), math.tanh(math.atanh(r) + margin)
    assert result.pearson_interval == pytest.approx(expected, abs=TOLERANCE)
    ranks = [stats.rankdata(column) for column in (x, y, z)]
    assert result.spearman == pytest.approx(associate(*ranks).pearson, abs=TOLERANCE)


def test_five_runs_leave_the_papers_correlation_wide_open():
    low, high = fisher_interval(0.987, num_runs=5)
    assert low == pytest.approx(0.81, abs=0.005)
    assert high == pytest.approx(0.999, abs=0.0005)


DEPTH = np.array([2.0, 3, 4, 5, 6])
BENT = np.array([0.1, 0.3, 0.2, 0.5, 0.4])


@pytest.mark.parametrize(
    ("x", "y", "z", "reason"),
    [
        (DEPTH[:4], BENT[:4], None, "fewer than 5 runs"),
        (np.full(5, 3.0), BENT, None, "constant predictor"),
        (DEPTH, np.zeros(5), None, "constant response"),
        (DEPTH, 0.1 + 1e-15 * BENT, None, "constant response"),
        (DEPTH, BENT, np.full(5, 0.9), "constant given"),
        (DEPTH, BENT, 1 - DEPTH / 100, "given determines the predictor"),
        (DEPTH, 1 - BENT / 7, BENT, "given determines the response"),
    ],
)
def test_why_there_is_no_association(x, y, z, reason):
    assert associate(x, y, z) == reason


def test_a_straight_line_has_no_fisher_interval_but_a_slope():
    result = associate(DEPTH, 0.3 - 0.1 * DEPTH)
    assert result.pearson == pytest.approx(-1, abs=1e-15)
    assert result.pearson_interval is None
    assert result.slope == pytest.approx(-0.1, rel=1e-14)


def test_ranks_that_the_given_ranks_determine_have_no_spearman():
    result = associate(DEPTH, BENT, np.array([0.97, 0.96, 0.94, 0.93, 0.90]))
    assert result.spearman is None
    assert abs(result.pearson) < 1


THOUSANDTHS = st.integers(-999, 999).map(lambda i: i / 1000)


@given(arrays(np.float64, st.integers(3, 9), elements=THOUSANDTHS))
def test_the_t_interval_is_scipys(values):
    assume(not is_constant(values))
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


@given(arrays(np.float64, st.integers(3, 9), elements=THOUSANDTHS.map(lambda value: 1 + 2 * value)))
def test_an_interval_of_a_bounded_quantity_stays_in_its_range_around_its_mean(values):
    """By the definition: p of the mean, its logit, and the margin divided by the logit's slope."""
    assume(not is_constant(values))
    mean, margin = np.mean(values), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    p = (mean + 1) / 4
    low, high = t_interval(values, Bounds(-1, 3))
    assert -1 <= low <= mean <= high <= 3
    slope = 1 / (p * (1 - p)) / 4
    ends = [4 * float(expit(float(logit(p)) + sign * margin * slope)) - 1 for sign in (-1, 1)]
    assert (low, high) == pytest.approx(ends, abs=1e-9)


def test_a_mean_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"a mean of 7\.0 is not between its bounds 0 and 1"):
        t_interval(np.array([6.0, 7.0, 8.0]), Bounds(0, 1))


def test_values_at_a_bound_count_as_they_are():
    # Mean 1/3, error 1/3, t(2) = 4.302653: around log(1/2), by 4.302653 / 3 / (2/9) = 6.453980.
    low, high = t_interval(np.array([0.0, 0.0, 1.0]), Bounds(0, 1))
    assert low == pytest.approx(1 / (1 + math.exp(math.log(2) + 6.453980)), rel=1e-5)
    assert high == pytest.approx(1 / (1 + math.exp(math.log(2) - 6.453980)), rel=1e-5)
    for bound in (0.0, 1.0):
        assert t_interval(np.full(5, bound), Bounds(0, 1)) is None


@pytest.mark.parametrize("num_seeds", [3, 5, 10])
@pytest.mark.parametrize("mean", [0.5, 0.05])
def test_coverage_of_shares(mean, num_seeds):
    """Beta-distributed shares, as scripts/interval_coverage.py, whose table is in docs/definitions.md."""
    rng = np.random.default_rng(20250209)
    studies = rng.beta(20 * mean, 20 * (1 - mean), (1_000, num_seeds))
    intervals = [t_interval(study, Bounds(0, 1)) for study in studies]
    coverage = np.mean([low <= mean <= high for low, high in intervals])
    assert 0.92 <= coverage <= 0.97


def test_the_bootstrap_is_its_literal_definition():
    values = np.array([1.3, 2.1, 0.4, 1.9, 1.1, 2.8])
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    means = sorted(sum(values[i] for i in row) / 6 for row in rng.integers(6, size=(BOOTSTRAP_RESAMPLES, 6)))
    assert bootstrap_interval(values) == pytest.approx((means[249], means[-250]), rel=TOLERANCE)
    assert bootstrap_interval(values) == bootstrap_interval(values.copy())


@pytest.mark.parametrize("values", [[0.7], [0.7, 0.8], [0.7, 0.7, 0.7]])
def test_no_interval_below_three_seeds_or_from_equal_ones(values):
    assert t_interval(np.array(values)) is None
    assert bootstrap_interval(np.array(values)) is None
    result = mean_correlation(np.array(values[:1]), t_interval)
    assert result.value == pytest.approx(0.7, rel=1e-15)
    assert (result.interval, result.num_perfect) == (None, 0)


def test_mean_correlation_is_the_back_transformed_mean_of_atanh():
    result = mean_correlation(np.array([0.97, 0.88, 0.99]), t_interval)
    z = np.arctanh([0.97, 0.88, 0.99])
    half = stats.t.ppf(0.975, 2) * stats.sem(z)
    assert result.value == pytest.approx(np.tanh(z.mean()), rel=1e-14)
    assert result.interval == pytest.approx((np.tanh(z.mean() - half), np.tanh(z.mean() + half)))


@pytest.mark.parametrize(
    ("correlations", "value", "num_perfect"),
    [
        ([0.9, 1.0, 0.8], 1.0, 1),
        ([-1.0, -1.0], -1.0, 2),
        ([1.0, -1.0, 0.2], None, 2),
        ([], None, 0),
    ],
)
def test_perfect_correlations_have_a_limit_but_no_interval(correlations, value, num_perfect):
    result = mean_correlation(np.array(correlations, dtype=np.float64), t_interval)
    assert (result.value, result.interval, result.num_perfect) == (value, None, num_perfect)


@pytest.mark.parametrize("population_r", [0.3, 0.9, 0.97])
def test_coverage_over_five_seeds_of_five_runs(population_r):
    """The t interval keeps its word about the seeds' mean; the bootstrap is too narrow."""
    rng = np.random.default_rng(2025)
    noise = np.std(DEPTH) * math.sqrt(1 / population_r**2 - 1)
    x = DEPTH - DEPTH.mean()

    def draw_z(num_studies, num_seeds):
        y = x + noise * rng.standard_normal((num_studies, num_seeds, 5))
        y -= y.mean(axis=-1, keepdims=True)
        return np.arctanh(y @ x / (np.linalg.norm(y, axis=-1) * np.linalg.norm(x)))

    target = math.tanh(draw_z(200_000, 1).mean())
    studies = np.tanh(draw_z(2_000, 5))
    bounds = {t_interval: T_COVERAGE, bootstrap_interval: BOOTSTRAP_COVERAGE}
    for interval, (low, high) in bounds.items():
        intervals = [mean_correlation(study, interval).interval for study in studies]
        coverage = np.mean([a <= target <= b for a, b in intervals])
        assert low <= coverage <= high
