"""The power law that fits the upper tail of positive numbers best, from their logarithms.

Clauset, Shalizi and Newman, Power-law distributions in empirical data, SIAM Review 51 (2009), sections 3.1
and 3.3. The logarithms of numbers ≥ xmin over xmin follow an exponential law of rate α - 1, so everything
here is about descending logarithms.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

PLACES = (24, 128)
"""Chosen: at how many places of a tail its distance is bounded from below, first of all candidates, then of
those that are left. Speed alone depends on it."""

SLACK = 1e-6
"""Chosen: rounding of the lower bounds, far below any distance that decides."""

LEAST_EXCESS = 1e-6
"""Chosen: a tail whose logarithms spread less, as a mean, loses digits in the sums that bounds are taken
from; its distance is computed without a bound."""


@dataclass(frozen=True)
class PowerLaw:
    """A fitted law.

    Attributes:
        exponent: α > 1.
        distance: the KS distance, in [0, 1].
        num_tail: how many numbers are in the tail, xmin included.
    """

    exponent: float
    distance: float
    num_tail: int


def fit_power_law(logs: Float64[np.ndarray, "values"]) -> PowerLaw | None:
    """Return the law whose xmin has the least KS distance, of several the smallest xmin.

    Every number but the largest is tried as xmin. Most candidates are ruled out by a lower bound of their
    distance, from some places of the tail; the answer is that of trying them all.

    Args:
        logs: descending logarithms.

    Returns:
        The law; None for fewer than two different numbers.
    """
    # The first places of different values: the tail of an xmin holds all that equal it.
    sizes = (np.flatnonzero(np.append(np.diff(logs) < 0, True)) + 1)[:0:-1]
    if not len(sizes):
        return None
    sums = np.cumsum(logs)[sizes - 1] - sizes * logs[sizes - 1]
    slopes = np.where(sums > LEAST_EXCESS * sizes, sizes / np.where(sums > 0, sums, 1.0), np.nan)
    bounds = _bounds(logs, sizes, slopes, PLACES[0])
    first = int(np.argmin(bounds))
    best = (fit_tail(logs[: sizes[first]])[1], first)
    left = np.flatnonzero(bounds <= best[0] + SLACK)
    bounds = _bounds(logs, sizes[left], slopes[left], PLACES[1])
    for place in np.argsort(bounds, kind="stable"):
        if bounds[place] > best[0] + SLACK:
            break
        candidate = int(left[place])
        best = min(best, (fit_tail(logs[: sizes[candidate]])[1], candidate))
    num_tail = int(sizes[best[1]])
    return PowerLaw(*fit_tail(logs[:num_tail]), num_tail)


def fit_tail(logs: Float64[np.ndarray, "tail"]) -> tuple[float, float]:
    """Return α and the KS distance of descending logarithms, the last one that of xmin.

    The law's distribution function is 1 - (λ / xmin)^(1 - α). That of the values steps at each of them:
    the largest distance is at a step, on one of its sides.
    """
    num_values = len(logs)
    excess = logs - logs[-1]
    slope = num_values / float(excess.sum())
    survival = np.exp(-slope * excess)
    index = np.arange(num_values)
    distance = max(
        np.abs(survival - index / num_values).max(), np.abs(survival - (index + 1) / num_values).max()
    )
    return 1 + slope, float(distance)


def _bounds(
    logs: Float64[np.ndarray, "values"],
    sizes: Int64[np.ndarray, "candidates"],
    slopes: Float64[np.ndarray, "candidates"],
    num_places: int,
) -> Float64[np.ndarray, "candidates"]:
    """Return, for each tail, the largest distance at some places; 0 where the slope is NaN."""
    steps = sizes[:, None]
    places = (steps * ((np.arange(num_places) + 0.5) / num_places)).astype(np.int64)
    survival = np.exp(-slopes[:, None] * (logs[places] - logs[steps - 1]))
    distances = np.maximum(np.abs(survival - places / steps), np.abs(survival - (places + 1) / steps))
    bounds: np.ndarray = np.nan_to_num(distances.max(axis=1), nan=0.0)
    return bounds
