"""Averages over seeds, each with the interval that the seeds themselves support.

There is none from fewer than `MIN_SEEDS` seeds, nor from seeds that all show the same value: they do not tell
how far the next one would be. The mean of a quantity with two bounds, such as a share, has its interval on
the scale of the logit (`interval_around`), which never leaves the bounds.

Depths are fixed by design, so the runs of a seed are not a random sample; the seeds are. The average
is that of atanh(r), back-transformed, its interval the t interval over seeds. It covers what one
seed shows on average: in simulation 94 to 96 % of the time for 5 seeds of 5 runs with normal
errors, where the percentile bootstrap covers 82 to 84 %. It is not an interval of the correlation in an
infinite population of runs: atanh(r) of five runs is biased away from 0, so that a population
value of .90 shows as .95 on average.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from scipy.special import expit

from spaceprobe.analysis.association import CONFIDENCE, Interval, is_constant, is_perfect, t_quantile
from spaceprobe.tables.table import UNBOUNDED, Bounds

MIN_SEEDS = 3
"""Fewest seeds for an interval: from two, the t interval is 12.7 standard errors wide on either side."""

BOOTSTRAP_SEED = 20250209
"""Chosen. The bootstrap's own, so that its numbers depend on no other setting."""

BOOTSTRAP_RESAMPLES = 9_999
"""Chosen: the limits then are the 250th values from either end (Davison and Hinkley 1997, chapter 5,
ask for α(R + 1) to be whole)."""

IntervalOfMean = Callable[[Float64[np.ndarray, "seeds"]], Interval | None]


@dataclass(frozen=True)
class MeanCorrelation:
    """The average of one correlation a seed.

    Attributes:
        value: tanh of the mean of atanh(r); ±1 where some |r| = 1 with one sign; None where seeds
            show both 1 and -1, or there are none.
        interval: back-transformed interval of the mean; None below three seeds, where all are equal, or
            where some |r| = 1.
        num_perfect: seeds with |r| = 1, whose atanh is infinite.
    """

    value: float | None
    interval: Interval | None
    num_perfect: int


def mean_correlation(
    correlations: Float64[np.ndarray, "seeds"], interval_of_mean: IntervalOfMean
) -> MeanCorrelation:
    """Return the average of the seeds' correlations.

    Args:
        correlations: one a seed, in [-1, 1].
        interval_of_mean: `t_interval` or `bootstrap_interval`.
    """
    perfect = [math.copysign(1.0, r) for r in correlations.tolist() if is_perfect(r)]
    if perfect or not len(correlations):
        value = perfect[0] if len(set(perfect)) == 1 else None
        return MeanCorrelation(value, None, len(perfect))
    z = np.arctanh(correlations)
    interval = interval_of_mean(z)
    if interval is not None:
        interval = math.tanh(interval[0]), math.tanh(interval[1])
    return MeanCorrelation(math.tanh(float(np.mean(z))), interval, 0)


def t_interval(values: Float64[np.ndarray, "seeds"], bounds: Bounds = UNBOUNDED) -> Interval | None:
    """Return the t interval of the mean of one value a seed, on the scale that its bounds give.

    Args:
        values: one a seed.
        bounds: of the quantity.

    Returns:
        The interval; None below `MIN_SEEDS` seeds or where all values are equal.

    Raises:
        ValueError: the mean is outside the bounds.
    """
    if why_no_interval(values):
        return None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return interval_around(float(np.mean(values)), t_quantile(len(values) - 1) * error, bounds)


def why_no_interval(values: Float64[np.ndarray, "seeds"]) -> str:
    """Return why one value a seed gives no interval, or nothing where it does.

    >>> why_no_interval(np.array([0.25, 0.25, 0.25]))
    'all 3 seeds are equal: no interval'
    """
    if not len(values):
        return "no seed has a value"
    if len(values) < MIN_SEEDS:
        return too_few_seeds(len(values))
    return f"all {len(values)} seeds are equal: no interval" if is_constant(values) else ""


def too_few_seeds(num_seeds: int) -> str:
    """Return the note on seeds that are too few for an interval."""
    return f"{num_seeds} seed{'s' if num_seeds != 1 else ''}: an interval needs {MIN_SEEDS}"


def interval_around(center: float, margin: float, bounds: Bounds) -> Interval:
    """Return the interval of a mean with a margin, on the scale of the logit if the quantity has two bounds.

    Bounds a and b turn the mean m into p = (m - a) / (b - a). By the delta method logit(p) has the margin of
    p divided by p(1 - p), and the limits are transformed back: the interval holds the mean itself and stays
    in the bounds (what it covers: docs/definitions.md, "Intervals"). Values at a bound need no correction,
    since only the mean is transformed, and that is at a bound only where all values are.

    Args:
        center: the mean.
        margin: half of the width of its interval if it were unbounded.
        bounds: of the quantity.

    Raises:
        ValueError: the mean is not between the bounds, which is for quantities that are not what they say.

    >>> low, high = interval_around(0.25, 0.15, Bounds(0, 1))  # logit -1.0986 ± 0.8
    >>> round(low, 4), round(high, 4)
    (0.1303, 0.4259)
    """
    if bounds.low is None or bounds.high is None:
        return center - margin, center + margin
    span = bounds.high - bounds.low
    p = (center - bounds.low) / span
    if not 0 < p < 1:
        raise ValueError(f"a mean of {center} is not between its bounds {bounds.low} and {bounds.high}")
    logit, margin = math.log(p / (1 - p)), margin / span / (p * (1 - p))
    low, high = (bounds.low + span * float(expit(end)) for end in (logit - margin, logit + margin))
    return low, high


def bootstrap_interval(values: Float64[np.ndarray, "seeds"]) -> Interval | None:
    """Return the percentile bootstrap interval of the mean over seeds; None where `t_interval` has none.

    `BOOTSTRAP_RESAMPLES` resamples of the seeds drawn with `BOOTSTRAP_SEED`, the same every time
    (Efron and Tibshirani 1993, chapter 13). Too narrow for few seeds; it stands beside the t
    interval for readers who expect it.
    """
    if why_no_interval(values):
        return None
    # einsum adds in a fixed order; a BLAS product does so only for a fixed number of threads.
    means = np.einsum("rs,s->r", _resampled_shares(len(values)), values)
    place = round((1 - CONFIDENCE) / 2 * (BOOTSTRAP_RESAMPLES + 1))
    limits = np.partition(means, (place - 1, -place))
    return float(limits[place - 1]), float(limits[-place])


@lru_cache(maxsize=4)
def _resampled_shares(num_seeds: int) -> Float64[np.ndarray, "resamples seeds"]:
    """Return the share of each seed in each resample; rows sum to 1."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    draws = rng.integers(num_seeds, size=(BOOTSTRAP_RESAMPLES, num_seeds))
    cells = draws + num_seeds * np.arange(BOOTSTRAP_RESAMPLES)[:, None]
    return np.bincount(cells.ravel(), minlength=draws.size).reshape(draws.shape) / num_seeds
