"""Variance components of factors that were varied all with all."""

import itertools

import numpy as np
import pytest

from spaceprobe.analysis.variance_components import variance_components

SAME = 1e-9
"""Of estimates that are sums in another order."""


def drawn(sizes, deviations, residual, seed):
    generator = np.random.default_rng(seed)
    values = residual * generator.normal(size=sizes)
    for dim, (size, deviation) in enumerate(zip(sizes, deviations, strict=True)):
        shape = [1] * len(sizes)
        shape[dim] = size
        values = values + deviation * generator.normal(size=size).reshape(shape)
    return values


def test_the_mean_of_the_estimates_is_what_was_drawn():
    """Unbiased: over 3,000 draws the mean is within four standard errors of 4, 1, 0 and 0.25."""
    from spaceprobe.analysis.variance_components import _variances

    estimates = _variances(np.array([drawn((4, 3, 5), (2, 1, 0), 0.5, seed) for seed in range(3_000)]))
    error = estimates.std(0) / len(estimates) ** 0.5
    assert (abs(estimates.mean(0) - [4, 1, 0, 0, 0, 0, 0.25]) < 4 * error).all()


def test_an_interaction_is_not_taken_for_effects_of_its_factors():
    """Every pair of levels of the first two has a value of its own, as every training has: 2, of variance."""
    from spaceprobe.analysis.variance_components import _variances

    generator = np.random.default_rng(0)
    pairs = 2**0.5 * generator.normal(size=(3_000, 4, 3, 1))
    estimates = _variances(pairs + 0.5 * generator.normal(size=(3_000, 4, 3, 5)))
    error = estimates.std(0) / len(estimates) ** 0.5
    assert (abs(estimates.mean(0) - [0, 0, 0, 2, 0, 0, 0.25]) < 4 * error).all()


def test_interactions_are_apart_or_in_the_residual():
    values = drawn((5, 4, 3), (1, 0.5, 2), 0.3, 1)
    plain = {c.source: c for c in variance_components(values, "abc")}
    apart = {c.source: c for c in variance_components(values, "abc", apart=[("a", "b"), ("b", "c")])}
    assert [*plain] == ["a", "b", "c", "residual"]
    assert [*apart] == ["a", "b", "c", "a × b", "b × c", "residual"]
    assert all(apart[name].variance == plain[name].variance for name in "abc")
    rest = sum(apart[name].variance for name in ("a × b", "b × c", "residual"))
    assert rest == pytest.approx(plain["residual"].variance, abs=SAME)


@pytest.mark.parametrize("names", [("a",), ("b", "a"), ("a", "d"), ("a", "b", "c")])
def test_what_is_not_an_interaction(names):
    with pytest.raises(ValueError, match="is not an interaction apart from the residual, expected"):
        variance_components(np.zeros((3, 3, 3)), "abc", apart=[names])


def test_mean_squares_by_literal_sums():
    """Two factors, as a textbook writes them: sums over cells, one by one."""
    values = drawn((3, 4), (1, 2), 1, 5)
    rows, columns = range(3), range(4)
    mean = sum(values[i, j] for i in rows for j in columns) / 12
    of_row = [sum(values[i, j] for j in columns) / 4 for i in rows]
    of_column = [sum(values[i, j] for i in rows) / 3 for j in columns]
    square_a = 4 * sum((of_row[i] - mean) ** 2 for i in rows) / 2
    square_b = 3 * sum((of_column[j] - mean) ** 2 for j in columns) / 3
    cells = itertools.product(rows, columns)
    square_e = sum((values[i, j] - of_row[i] - of_column[j] + mean) ** 2 for i, j in cells) / 6
    a, b, residual = variance_components(values, ["a", "b"])
    assert a.variance == pytest.approx((square_a - square_e) / 4, abs=SAME)
    assert b.variance == pytest.approx((square_b - square_e) / 3, abs=SAME)
    assert residual.variance == pytest.approx(square_e, abs=SAME)
    assert a.share + b.share + residual.share == pytest.approx(1, abs=SAME)


def test_a_factor_that_does_everything():
    values = np.broadcast_to(np.array([0.0, 1.0, 5.0])[:, None], (3, 4)).copy()
    first, second, residual = variance_components(values, ["first", "second"])
    assert (first.share, second.share, residual.share) == (1, 0, 0)
    assert first.variance == pytest.approx(np.var([0, 1, 5], ddof=1), abs=SAME)


def test_what_is_added_or_in_which_order_levels_stand_changes_nothing():
    values = drawn((5, 4, 3), (1, 0.5, 2), 0.3, 1)
    before = variance_components(values, "abc")
    moved = variance_components(values[::-1] + 100, "abc")
    turned = variance_components(values.transpose(2, 0, 1), "cab")
    for one, other in zip(before, moved, strict=True):
        assert one.variance == pytest.approx(other.variance, abs=SAME)
    assert {c.source: round(c.variance, 9) for c in before} == {
        c.source: round(c.variance, 9) for c in turned
    }


def test_the_interval_holds_the_estimate_and_repeats():
    values = drawn((5, 5), (2, 1), 0.5, 3)
    components = variance_components(values, ["a", "b"])
    assert components == variance_components(values, ["a", "b"])
    assert all(0 <= c.low <= c.high <= 1 for c in components)
    assert components[0].low < components[0].share < components[0].high


@pytest.mark.parametrize(
    ("values", "factors", "message"),
    [
        (np.zeros((3, 3)), ["a"], "1 factors for an array of 2 dimensions"),
        (np.zeros((3, 2)), ["a", "b"], r"needs 3 levels; the array's shape is \(3, 2\)"),
        (np.full((3, 3), np.nan), ["a", "b"], "not finite"),
    ],
)
def test_what_it_cannot_take(values, factors, message):
    with pytest.raises(ValueError, match=message):
        variance_components(values, factors)
