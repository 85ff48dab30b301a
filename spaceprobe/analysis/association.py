"""How strongly two columns go together in one sample.

A partial association holds a third column fixed: predictor and response are replaced by their
residuals on it (Frisch and Waugh 1933; for correlations Fisher 1924), at the price of one degree of
freedom.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtri, stdtrit

MIN_RUNS = 5
"""Fewest runs for a correlation: those of one seed of a sweep (docs/definitions.md, "Correlations")."""

CONFIDENCE = 0.95
"""Level of every interval."""

ROUNDING = 1e-12
"""Chosen: relative differences below it are rounding. Measured columns that differ do so by far
more, and rounding of sums over thousands of runs stays far below."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Association:
    """How a response goes with a predictor in one sample.

    Attributes:
        num_runs: size of the sample.
        pearson: correlation in [-1, 1]; partial where something is given.
        pearson_interval: by Fisher z; None where |r| = 1.
        spearman: correlation of the ranks; partial on the ranks of what is given. None where those
            ranks determine the predictor's or the response's.
        slope: least-squares change of the response per unit of the predictor; what is given is
            held fixed.
        slope_interval: by the t distribution, for independent normal errors.
    """

    num_runs: int
    pearson: float
    pearson_interval: Interval | None
    spearman: float | None
    slope: float
    slope_interval: Interval


def associate(
    predictor: Float64[np.ndarray, "runs"],
    response: Float64[np.ndarray, "runs"],
    given: Float64[np.ndarray, "runs"] | None = None,
) -> Association | str:
    """Return the association of the response with the predictor, or a short reason for none.

    Args:
        predictor: finite numbers, one a run.
        response: finite numbers, one a run.
        given: what is held fixed, one a run; None for the plain association.

    Returns:
        An `Association`. The reason why there is none is fewer than `MIN_RUNS` runs, a constant
        column, or a given column that determines another one.
    """
    num_runs = len(predictor)
    if num_runs < MIN_RUNS:
        return f"fewer than {MIN_RUNS} runs"
    columns = {"predictor": predictor, "response": response}
    for name, column in columns.items() if given is None else [*columns.items(), ("given", given)]:
        if is_constant(column):
            return f"constant {name}"
    x, y = _residual(predictor, given), _residual(response, given)
    for (name, column), left in zip(columns.items(), (x, y), strict=True):
        if _norm(left) <= ROUNDING * _norm(_residual(column)):
            return f"given determines the {name}"

    pearson = _cosine(x, y)
    slope = float(x.dot(y) / x.dot(x))
    num_given = 0 if given is None else 1
    num_free = num_runs - 2 - num_given
    margin = t_quantile(num_free) * _norm(y - slope * x) / (math.sqrt(num_free) * _norm(x))
    return Association(
        num_runs=num_runs,
        pearson=pearson,
        pearson_interval=fisher_interval(pearson, num_runs, num_given),
        spearman=_spearman(predictor, response, given),
        slope=slope,
        slope_interval=(slope - margin, slope + margin),
    )


def fisher_interval(r: float, num_runs: int, num_given: int = 0) -> Interval | None:
    """Return the interval of a correlation by Fisher z; None where |r| = 1, its atanh infinite.

    tanh(atanh r ± 1.96 / √(n - 3 - k)) for n runs and k given columns (Fisher 1921, 1924).

    >>> low, high = fisher_interval(0.987, num_runs=5)
    >>> round(low, 2), round(high, 3)
    (0.81, 0.999)
    """
    if is_perfect(r):
        return None
    margin = float(ndtri((1 + CONFIDENCE) / 2)) / math.sqrt(num_runs - 3 - num_given)
    return math.tanh(math.atanh(r) - margin), math.tanh(math.atanh(r) + margin)


def is_perfect(r: float) -> bool:
    """Return whether |r| = 1 up to rounding, where atanh(r) is infinite or noise."""
    return abs(r) >= 1 - ROUNDING


def is_constant(column: Float64[np.ndarray, "runs"]) -> bool:
    """Return whether all values are the same up to rounding."""
    low, high = float(column.min()), float(column.max())
    return high - low <= ROUNDING * max(abs(low), abs(high))


@lru_cache(maxsize=1024)
def t_quantile(num_free: int | float) -> float:
    """Return the quantile of the t distribution that bounds a two-sided interval.

    Args:
        num_free: degrees of freedom, a fraction where they are Satterthwaite's.
    """
    return float(stdtrit(num_free, (1 + CONFIDENCE) / 2))


def _spearman(
    predictor: Float64[np.ndarray, "runs"],
    response: Float64[np.ndarray, "runs"],
    given: Float64[np.ndarray, "runs"] | None,
) -> float | None:
    """Return the correlation of the ranks, or None where the given ranks leave nothing of them."""
    given_ranks = None if given is None else _ranks(given)
    x, y = (_residual(_ranks(column), given_ranks) for column in (predictor, response))
    if min(_norm(x), _norm(y)) <= ROUNDING * len(x):
        return None
    return _cosine(x, y)


def _ranks(column: Float64[np.ndarray, "runs"]) -> Float64[np.ndarray, "runs"]:
    """Return the ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _residual(
    column: Float64[np.ndarray, "runs"], given: Float64[np.ndarray, "runs"] | None = None
) -> Float64[np.ndarray, "runs"]:
    """Return what the mean, or a straight line on the given column, leaves of a column."""
    left: np.ndarray = column - column.sum() / len(column)
    if given is not None:
        line = _residual(given)
        left = left - float(line.dot(left) / line.dot(line)) * line
    return left


def _cosine(a: Float64[np.ndarray, "runs"], b: Float64[np.ndarray, "runs"]) -> float:
    return min(1.0, max(-1.0, float(a.dot(b)) / (_norm(a) * _norm(b))))


def _norm(a: Float64[np.ndarray, "runs"]) -> float:
    return math.sqrt(a.dot(a))
