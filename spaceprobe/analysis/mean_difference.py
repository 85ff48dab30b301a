"""How far the mean over seeds of one study is from that of another, and how sure that is.

Where both have measured the same seeds, the differences of each seed are the sample: a seed fixes the
initial weights and the order of the batches, so what it does to both sides cancels. Where they have not, the
seeds of each side are a sample of their own, and their variances need not be equal (Welch, Biometrika 34,
1947; degrees of freedom after Satterthwaite, Biometrics Bulletin 2, 1946). Either takes three seeds, and the
difference of a quantity with bounds has its interval on their scale (`over_seeds.interval_around`).
"""

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from spaceprobe.analysis.association import CONFIDENCE, ROUNDING, Interval, is_constant
from spaceprobe.analysis.over_seeds import MIN_SEEDS, interval_around
from spaceprobe.tables.table import UNBOUNDED, Bounds

PAIRED = "paired t over seeds"
WELCH = "Welch t"

Values = Mapping[Hashable, Sequence[float]]
"""By seed, what its runs measured: one number each, or several where a study varies something else too."""


@dataclass(frozen=True)
class MeanDifference:
    """Two means over seeds and their difference.

    Attributes:
        num_seeds_a: seeds of the first study that have a value.
        num_seeds_b: the same of the second.
        num_pairs: seeds whose own differences the difference is the mean of; 0 where it is of the means.
        mean_a: mean of the first study: over the shared seeds where they are paired, else over all its seeds.
        sd_a: standard deviation (n - 1) over them; NaN for a single seed.
        mean_b: the same mean of the second study.
        sd_b: standard deviation over them.
        difference: ``mean_b`` minus ``mean_a``.
        low: lower limit of its 95 % interval; NaN where there is none.
        high: upper limit.
        interval: `PAIRED`, `WELCH`, or empty where there is none.
        notes: what a reader has to know.
    """

    num_seeds_a: int
    num_seeds_b: int
    num_pairs: int
    mean_a: float
    sd_a: float
    mean_b: float
    sd_b: float
    difference: float
    low: float
    high: float
    interval: str
    notes: list[str] = field(default_factory=list)


def mean_difference(a: Values, b: Values, bounds: Bounds = UNBOUNDED) -> MeanDifference:
    """Return the difference of the means over seeds, second minus first, with its 95 % t interval.

    Paired where at least `MIN_SEEDS` seeds are in both and each seed has one value on each side; else Welch's
    interval, for which each side needs as many. With fewer there is no interval, and the difference is that
    of shared seeds if 2 are, else of the means. Several values of one seed are not independent: their mean is
    that seed's value. Where nothing varies there is no interval: the seeds do not tell how far the next would
    be.

    Args:
        a: the first study's values by seed; at least one seed, with at least one finite number each.
        b: the second study's.
        bounds: of the quantity.
    """
    values_a, values_b = _by_seed(a), _by_seed(b)
    shared = [seed for seed in values_a if seed in values_b]
    is_single = all(len(values) == 1 for values in (*a.values(), *b.values()))
    x, y = (np.array([*values.values()], dtype=np.float64) for values in (values_a, values_b))
    notes = [
        f"several runs of a seed in {name}: their mean counts"
        for name, side in (("a", a), ("b", b))
        if any(len(values) > 1 for values in side.values())
    ]
    can_welch = min(len(x), len(y)) >= MIN_SEEDS
    if is_single and (len(shared) >= MIN_SEEDS or (len(shared) >= 2 and not can_welch)):
        num_pairs, kind = len(shared), PAIRED if len(shared) >= MIN_SEEDS else ""
        notes += _unpaired(num_pairs, len(x), len(y))
        notes += [] if kind else [f"{num_pairs} shared seeds: an interval needs {MIN_SEEDS}"]
        x, y = (np.array([side[seed] for seed in shared]) for side in (values_a, values_b))
        difference, (low, high) = _mean(y - x), _interval(x, y, is_paired=True)
        constant = "all differences are equal: no interval"
    else:
        num_pairs, kind = 0, WELCH if can_welch else ""
        few = [(name, len(n)) for name, n in (("a", x), ("b", y)) if len(n) < MIN_SEEDS]
        notes += [
            f"{n} seed{'s' if n > 1 else ''} in {name}: an interval needs {MIN_SEEDS}" for name, n in few
        ]
        if kind and shared and is_single:
            notes.append(f"{len(shared)} shared seed{'s' if len(shared) > 1 else ''}: not paired")
        difference, (low, high) = _mean(y) - _mean(x), _interval(x, y, is_paired=False)
        constant = "no variance in a and in b: no interval"
    if kind and high - low <= ROUNDING * np.abs([*x, *y]).max():
        kind = ""
        notes.append(constant)
    if kind:
        low, high = interval_around(difference, (high - low) / 2, bounds.of_difference())
    else:
        low = high = math.nan
    of_sides = _mean(x), _deviation(x), _mean(y), _deviation(y)
    return MeanDifference(
        len(values_a), len(values_b), num_pairs, *of_sides, difference, low, high, kind, notes
    )


def _by_seed(values: Values) -> dict[Hashable, float]:
    """Return one value a seed, in an order that does not depend on that of the rows."""
    return {seed: _mean(np.array(values[seed], dtype=np.float64)) for seed in sorted(values, key=str)}


def _unpaired(num_pairs: int, num_a: int, num_b: int) -> list[str]:
    """Return the note on seeds that only one side has."""
    left = [f"{n - num_pairs} of {name}" for name, n in (("a", num_a), ("b", num_b)) if n > num_pairs]
    if not left:
        return []
    return [f"difference over the {num_pairs} shared seeds; left out: {' and '.join(left)}"]


def _interval(x: Float64[np.ndarray, "as"], y: Float64[np.ndarray, "bs"], *, is_paired: bool) -> Interval:
    """Return the interval of the mean of y minus that of x; NaN below two values a side."""
    from scipy import stats  # here: it takes half a second, and few that import this module need it

    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of one value, or of equal ones
        test = stats.ttest_rel(y, x) if is_paired else stats.ttest_ind(y, x, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    return float(low), float(high)


def _mean(values: Float64[np.ndarray, "seeds"]) -> float:
    """Return the mean, exactly the value itself where all are the same."""
    return float(values[0]) if np.all(values == values[0]) else math.fsum(values) / len(values)


def _deviation(values: Float64[np.ndarray, "seeds"]) -> float:
    """Return the standard deviation (n - 1), 0 where values differ by rounding; NaN of a single value."""
    if len(values) < 2:
        return math.nan
    return 0.0 if is_constant(values) else float(np.std(values, ddof=1))
