"""Means over seeds of what groups of networks show, and how far one group is from another of the same seeds.

A seed counts once: where several networks of a group have it, as with several draws of the points, their mean
is that seed's value.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from spaceprobe.analysis.mean_difference import mean_difference
from spaceprobe.analysis.over_seeds import t_interval
from spaceprobe.tables.table import UNBOUNDED, Bounds

SEED = "seed"

MEAN_COLUMNS = ("mean", "low", "high", "num_seeds", "least", "largest", "num_values")
DIFFERENCE_COLUMNS = ("mean", "first", "difference", "difference_low", "difference_high", "num_pairs", "why")


def means_by(rows: pd.DataFrame, by: Sequence[str], column: str, bounds: Bounds = UNBOUNDED) -> pd.DataFrame:
    """Return the mean of a column over seeds for each group, in the order of the rows.

    Args:
        rows: with ``seed``; rows without a value are left out.
        by: the columns that tell groups apart, one or more.
        column: the values.
        bounds: of the quantity.

    Returns:
        A row for each group: the columns of ``by``; the mean over seeds with its 95 % t interval, NaN where
        there is none; the number of seeds; the least and the largest single value, and their number.
    """
    groups = []
    for key, group in rows.dropna(subset=column).groupby([*by], dropna=False, sort=False):
        of_seeds = group.groupby(SEED)[column].mean().to_numpy(float)
        low, high = t_interval(of_seeds, bounds) or (math.nan, math.nan)
        values = group[column].to_numpy(float)
        spread = (len(of_seeds), float(values.min()), float(values.max()), len(values))
        cells = dict(zip(MEAN_COLUMNS, (_mean(of_seeds), low, high, *spread), strict=True))
        groups.append({**dict(zip(by, key, strict=True)), **cells})
    return pd.DataFrame(groups, columns=[*by, *MEAN_COLUMNS]).astype(rows[[*by]].dtypes.to_dict())


def differences_by(
    rows: pd.DataFrame,
    by: Sequence[str],
    axis: str,
    first: Hashable,
    column: str,
    bounds: Bounds = UNBOUNDED,
) -> pd.DataFrame:
    """Return how far each value of an axis is from the first, seed by seed; see `mean_difference`.

    Args:
        rows: with ``seed``; rows without a value are left out.
        by: the columns that tell groups apart beside the axis, one or more.
        axis: the column that is compared.
        first: the value of the axis that the others are compared with.
        column: the values.
        bounds: of the quantity.

    Returns:
        A row for each group and value of the axis, also for the first: ``mean`` of that value, ``first``
        that of the first; ``difference`` is the former minus the latter with its 95 % interval, over
        ``num_pairs`` seeds (0 where they could not be paired), and ``why`` says what a reader has to know.
        The first value, and a value with nothing to compare with, have no difference.
    """
    table = []
    rows = rows.dropna(subset=column)
    for key, group in rows.groupby([*by], dropna=False, sort=False):
        sides: dict[Hashable, dict[Hashable, list[float]]] = {
            value: _by_seed(side, column) for value, side in group.groupby(axis, sort=False)
        }
        for value, side in sides.items():
            cells = {**dict(zip(by, key, strict=True)), axis: value}
            if value == first or first not in sides:
                mean = _mean(np.array([np.mean(values) for values in side.values()]))
                why = "" if value == first else f"nothing measured at {axis} {first}"
                compared = (mean, math.nan, math.nan, math.nan, math.nan, 0, why)
            else:
                found = mean_difference(sides[first], side, bounds)
                ends = (found.difference, found.low, found.high, found.num_pairs)
                compared = (found.mean_b, found.mean_a, *ends, "; ".join(found.notes))
            table.append({**cells, **dict(zip(DIFFERENCE_COLUMNS, compared, strict=True))})
    kinds = rows[[*by, axis]].dtypes.to_dict() | dict.fromkeys(DIFFERENCE_COLUMNS[:5], float)
    return pd.DataFrame(table, columns=[*by, axis, *DIFFERENCE_COLUMNS]).astype(kinds)


def spans_zero(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return whether the interval of a difference contains 0; False without an interval."""
    return (table["difference_low"] <= 0) & (table["difference_high"] >= 0)


def _by_seed(rows: pd.DataFrame, column: str) -> dict[Hashable, list[float]]:
    return {seed: [*values.astype(float)] for seed, values in rows.groupby(SEED)[column]}


def _mean(values: np.ndarray) -> float:
    """Return the mean, exactly the value itself where all are the same."""
    return float(values[0]) if np.all(values == values[0]) else math.fsum(values) / len(values)
