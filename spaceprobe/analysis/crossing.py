"""Up to where a quantity that was measured at a few places stays on the good side of a threshold."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

AT_MOST, AT_LEAST, BETWEEN, UNKNOWN = "at most", "at least", "between", "unknown"


class Crossing(NamedTuple):
    """The largest place up to which a quantity stays on the good side of a threshold.

    Attributes:
        place: above 0; NaN where it is not known.
        bound: `AT_MOST` where already the first place is on the bad side, `AT_LEAST` where none is, and the
            place is then that one; `BETWEEN` where it was interpolated; else `UNKNOWN`.
    """

    place: float
    bound: str


def crossing(places: Sequence[float], values: Sequence[float], threshold: float, *, falls: bool) -> Crossing:
    """Return up to which place all values are on the good side of a threshold.

    Between the last place before the first value on the bad side and the place of that value, values are
    interpolated along the logarithm of the place. What comes after the first bad value does not count.

    Args:
        places: above 0, ascending, one or more.
        values: one for each place.
        threshold: is itself on the good side.
        falls: whether values from the threshold on are good, as those of a share that falls; otherwise values
            up to it are, as those of an error that grows.

    Returns:
        The place; NaN where a value is NaN before any is on the bad side.

    Raises:
        ValueError: places are not positive and ascending, or not as many as values.

    >>> crossing([16, 64, 256], [1.0, 0.995, 0.5], 0.99, falls=True).place.__round__(1)
    64.9
    """
    x, y = np.array(places, dtype=np.float64), np.array(values, dtype=np.float64)
    if not len(x) or x.shape != y.shape:
        raise ValueError(f"{len(x)} places and {len(y)} values: expected as many, at least one")
    if not (x[0] > 0 and (np.diff(x) > 0).all()):
        raise ValueError(f"places are {x.tolist()}: expected positive numbers that ascend")
    margin = (y - threshold) if falls else (threshold - y)
    good = margin >= 0
    first = len(x) if good.all() else int(np.argmin(good))
    if first < len(x) and math.isnan(margin[first]):
        return Crossing(math.nan, UNKNOWN)
    if first == 0:
        return Crossing(float(x[0]), AT_MOST)
    if first == len(x):
        return Crossing(float(x[-1]), AT_LEAST)
    way = margin[first - 1] / (margin[first - 1] - margin[first])
    if math.isnan(way):  # an infinite value
        way = 0.0
    low, high = math.log(x[first - 1]), math.log(x[first])
    return Crossing(math.exp(low + way * (high - low)), BETWEEN)
