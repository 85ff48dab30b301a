"""How slowly singular values decay: one number for the leading ones, one for what lies beyond a rank.

arXiv 2309.05968 takes slowly decaying singular values for a sign that data lie on no manifold of low
dimension, and gives no number for it. Both of these are ours (docs/definitions.md, "Decay").
"""

import math

import numpy as np
from jaxtyping import Float64

from spaceprobe.lmd.spectrum import energy_shares

LEADING = 0.5
"""Chosen: the share of the values that are fitted. The smallest values of a square matrix approach 0 whatever
was learnt, and on a logarithmic scale a fit of all of them would follow these."""

MIN_VALUES = 3
"""Fewer values make no line that could be missed."""


def decay_exponent(singular_values: Float64[np.ndarray, "values"]) -> float:
    """Return a of the power law i^-a that the leading half of the singular values follows.

    By least squares of ln σ on ln i: 0 for equal values, large where few count. It compares matrices with
    equally many values only. NaN for fewer than 3 leading values, or where one of them is 0.

    Args:
        singular_values: descending, at least 0.
    """
    leading = singular_values[: math.ceil(LEADING * len(singular_values))]
    if len(leading) < MIN_VALUES or leading[-1] <= 0:
        return math.nan
    x = np.log(np.arange(1, len(leading) + 1))
    slope = np.polyfit(x, np.log(leading / leading[0]), 1)[0]
    return 0.0 - float(slope)


def energy_beyond(singular_values: Float64[np.ndarray, "values"], rank: int) -> float:
    """Return the share of Σσ² that lies beyond the leading ``rank`` values, in [0, 1].

    Args:
        singular_values: descending, at least one.
        rank: from 0 to the number of values.

    Raises:
        ValueError: the rank is out of range.
    """
    if not 0 <= rank <= len(singular_values):
        raise ValueError(f"rank: {rank} is out of range, 0 to {len(singular_values)}")
    return float(energy_shares(singular_values)[rank:].sum())
