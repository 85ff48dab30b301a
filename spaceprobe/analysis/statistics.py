"""Statistics of a class pair from its counts, without the list of its paths.

A pair of classes has up to a million paths, but length and reach are small integers. How many paths
share each (length, reach), and the largest value of each source over its targets, give every column
of design.md, section 2, exactly as the list of all paths would.
"""

import math

import numpy as np
from jaxtyping import Float64, Int64

QUANTILE_PERCENTS = (5, 25, 50, 75, 95)
"""Percentages of the reported quantiles. Integers, so that ranks are exact."""


def count_zero_length(cells: Int64[np.ndarray, "cells 3"]) -> int:
    """Return the number of paths of length 0 in the counts of χ.

    Args:
        cells: rows (length, reach, number of paths) of χ, not of peak folding.
    """
    return int(cells[cells[:, 0] == 0, 2].sum())


def folding_statistics(
    cells: Int64[np.ndarray, "cells 3"],
    row_max: Float64[np.ndarray, "sources"],
    num_sources: int,
    num_targets: int,
    num_zero_length: int | None = None,
) -> dict[str, int | float]:
    """Return the columns of folding.csv of one class pair and one measure, those that have a value.

    The folding of a path is (length - reach) / length, rounded once, and 0 for length 0. Compute
    ``row_max`` by the same expression, or ``max`` is one of its entries only up to the last bit.

    For peak folding the cells hold length and reach of the best prefix, which are (0, 0) for a path
    that never folds, so they cannot tell it from a path of length 0. ``zero_length`` means the same
    for both measures: give ``num_zero_length``, counted in the cells of χ (`count_zero_length`).

    Args:
        cells: rows (length, reach, number of paths); any order, a (length, reach) may be repeated.
        row_max: the largest folding of each source over its targets, in [0, 1); 0 for a source
            without a folded path, which the median leaves out.
        num_sources: points of the source class.
        num_targets: points of the target class.
        num_zero_length: paths of length 0; None counts them in ``cells``, right for χ only.

    Returns:
        Shares and foldings in [0, 1). Without paths only the numbers of paths, sources and targets;
        without folded paths no quantiles and no row_max_median, and the maximum is 0. Quantiles are
        inverted-CDF quantiles over folded paths, hence foldings that
        occur; the median of the row maxima is the middle one or the mean of the two middle ones.

    Raises:
        ValueError: if a row is not a (length, reach, count) with 0 ≤ reach ≤ length and count ≥ 0.
    """
    length, reach, count = cells.T
    is_wrong = (reach < 0) | (reach > length) | (count < 0)
    if is_wrong.any():
        raise ValueError(
            f"cells: {cells[is_wrong][0].tolist()} is not a (length, reach, count) "
            "with 0 <= reach <= length and 0 <= count"
        )
    num_paths = int(count.sum())
    sizes: dict[str, int | float] = {
        "num_paths": num_paths,
        "num_sources": num_sources,
        "num_targets": num_targets,
    }
    if num_paths == 0:
        return sizes

    if num_zero_length is None:
        num_zero_length = count_zero_length(cells)
    is_folded = (reach < length) & (count > 0)
    length, reach, count = length[is_folded], reach[is_folded], count[is_folded]
    folding = (length - reach) / length
    folded_rows = row_max[row_max > 0]
    return {
        **sizes,
        "zero_length": num_zero_length / num_paths,
        "folded": int(count.sum()) / num_paths,
        "mean": _total_folding(length, reach, count) / num_paths,
        "max": float(folding.max(initial=0.0)),
        **_quantiles(folding, count),
        **({"row_max_median": float(np.median(folded_rows))} if folded_rows.size else {}),
    }


HISTOGRAM_BINS = 50
"""Of the histogram of foldings above 0, each 0.02 wide. Chosen."""


def folding_histogram(cells: Int64[np.ndarray, "cells 3"]) -> Int64[np.ndarray, "bins"]:
    """Return how many paths fold how far, from the counts of one class pair or of several together.

    The first number is of the paths that do not fold; number b after it of those whose folding lies in
    ((b - 1) / `HISTOGRAM_BINS`, b / `HISTOGRAM_BINS`], decided in integers.

    Args:
        cells: rows (length, reach, number of paths); any order, a (length, reach) may be repeated.
    """
    length, reach, count = cells.T
    bins = -(-HISTOGRAM_BINS * (length - reach) // np.maximum(length, 1))
    histogram = np.zeros(HISTOGRAM_BINS + 1, dtype=np.int64)
    np.add.at(histogram, bins, count)
    return histogram


def _total_folding(
    length: Int64[np.ndarray, "folded"],
    reach: Int64[np.ndarray, "folded"],
    count: Int64[np.ndarray, "folded"],
) -> float:
    """Return Σ count·(length - reach)/length, whatever the order of the cells."""
    # Per length the sum is an integer over that length: one rounding each, then an exact sum.
    lengths, group = np.unique(length, return_inverse=True)
    flips_lost = np.zeros(len(lengths), dtype=np.int64)
    np.add.at(flips_lost, group, count * (length - reach))
    return math.fsum(flips_lost / lengths)


def _quantiles(
    folding: Float64[np.ndarray, "folded"], count: Int64[np.ndarray, "folded"]
) -> dict[str, float]:
    """Return the inverted-CDF quantiles, the ⌈q·n⌉-th smallest of n values.

    Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996, definition 1.
    """
    if not folding.size:
        return {}
    order = np.argsort(folding, kind="stable")
    num_up_to = np.cumsum(count[order])
    # ⌈percent·n / 100⌉ in integers, so that no rounding decides which path is meant.
    ranks = [-(-percent * int(num_up_to[-1]) // 100) for percent in QUANTILE_PERCENTS]
    values = folding[order][np.searchsorted(num_up_to, ranks)]
    return {f"q{p:02d}": float(v) for p, v in zip(QUANTILE_PERCENTS, values, strict=True)}
