"""Several comparisons made together: each a paired difference over seeds, its p value corrected for all."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from spaceprobe.analysis.over_seeds import t_interval, why_no_interval

LEVEL = 0.05
"""Below which a corrected p value counts: the complement of the confidence of all intervals."""

DIFFERS, INCONCLUSIVE, UNTESTED = "differs", "inconclusive", "not tested"

COMPARISON_COLUMNS = ("difference", "low", "high", "num_seeds", "p", "p_holm", "verdict", "note")
"""The columns of a comparison, behind those that say what is compared."""


def comparison(differences: Sequence[float]) -> dict[str, object]:
    """Return the mean of one difference a seed, with its 95 % t interval and the p value of a t test.

    Args:
        differences: one a seed; those that are not finite are left out.

    Returns:
        The first of `COMPARISON_COLUMNS` up to ``p``, and ``note``. Interval and p are NaN where seeds are
        fewer than three or all equal; ``note`` then says so.
    """
    all_values = np.array(differences, dtype=np.float64)
    values = all_values[np.isfinite(all_values)]
    why = why_no_interval(values)
    low, high = t_interval(values) or (math.nan, math.nan)
    left_out = len(all_values) - len(values)
    notes = [
        *([f"{left_out} of {len(all_values)} seeds left out"] if left_out else []),
        *([why] if why else []),
    ]
    return {
        "difference": float(np.mean(values)) if len(values) else math.nan,
        "low": low,
        "high": high,
        "num_seeds": len(values),
        "p": math.nan if why else _p_value(values),
        "note": "; ".join(notes),
    }


def with_holm(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Return comparisons as a table, corrected together: one family.

    Args:
        rows: what each compares, and what `comparison` returns for it; at least one.

    Returns:
        A row for each, with ``p_holm`` (see `holm`) and ``verdict``: `DIFFERS` where that is below `LEVEL`,
        `INCONCLUSIVE` where it is not, `UNTESTED` where there is no p value.
    """
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"].to_numpy(np.float64))
    is_below = table["p_holm"] < LEVEL
    table["verdict"] = np.where(table["p"].isna(), UNTESTED, np.where(is_below, DIFFERS, INCONCLUSIVE))
    about = [name for name in table.columns if name not in COMPARISON_COLUMNS]
    return table[[*about, *COMPARISON_COLUMNS]]


def holm(p_values: Float64[np.ndarray, "tests"]) -> Float64[np.ndarray, "tests"]:
    """Return p values corrected for as many tests as there are, by Holm's method.

    The k-th smallest of m is multiplied by m - k + 1, none becomes smaller than one before it, and none
    larger than 1: the chance of one or more false findings is at most the level, however the tests depend on
    each other (Holm, Scandinavian Journal of Statistics 6, 1979, 65-70).

    Args:
        p_values: in [0, 1]; NaN where nothing was tested, which counts for nothing and stays NaN.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(np.isfinite(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return corrected


def _p_value(values: Float64[np.ndarray, "seeds"]) -> float:
    """Return the two-sided p value of Student's t test that the mean is 0."""
    from scipy import stats  # here: it takes half a second, and few that import this module need it

    return float(stats.ttest_1samp(values, 0.0).pvalue)
