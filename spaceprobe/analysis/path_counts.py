"""The counts of many paths, and what follows from them without a list of the paths.

A pair of classes has up to a million paths, but length and reach are small integers. How many paths
share each (length, reach), and the largest value of each source over its targets, give every column
of `docs/definitions.md`, "From paths to class pairs", exactly as the list of all paths would.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

HISTOGRAM_BINS = 50
"""Of the histogram of foldings above 0, each 0.02 wide. Chosen."""


@dataclass(frozen=True)
class PathCounts:
    """How many paths have which length and reach.

    The folding of a path is (length - reach) / length, rounded once, and 0 for length 0. Compute
    ``row_max`` by the same expression, or the largest folding is one of its entries only up to the last bit.

    For peak folding the cells hold length and reach of the best prefix, which are (0, 0) for a path
    that never folds, so they cannot tell it from a path of length 0: give ``num_zero_length``, counted in
    the cells of χ (`count_zero_length`).

    Attributes:
        cells: rows (length, reach, number of paths); any order, a (length, reach) may be repeated.
        num_zero_length: paths of length 0; None counts them in ``cells``, right for χ only.
        row_max: for paths of a grid, the largest folding of each source over its targets, in [0, 1); 0 for a
            source without a folded path. None for matched paths.
        num_sources: points where paths of a grid start; None for matched paths.
        num_targets: points where they end; None for matched paths.

    Raises:
        ValueError: if a row is not a (length, reach, count) with 0 ≤ reach ≤ length and count ≥ 0.
    """

    cells: Int64[np.ndarray, "cells 3"]
    num_zero_length: int | None = None
    row_max: Float64[np.ndarray, "sources"] | None = None
    num_sources: int | None = None
    num_targets: int | None = None

    def __post_init__(self) -> None:
        """Check the cells."""
        is_wrong = (self.reach < 0) | (self.reach > self.length) | (self.count < 0)
        if is_wrong.any():
            raise ValueError(
                f"cells: {self.cells[is_wrong][0].tolist()} is not a (length, reach, count) "
                "with 0 <= reach <= length and 0 <= count"
            )
        if self.num_zero_length is None:
            object.__setattr__(self, "num_zero_length", count_zero_length(self.cells))

    @property
    def length(self) -> Int64[np.ndarray, "cells"]:
        """The length of each cell."""
        return self.cells[:, 0]

    @property
    def reach(self) -> Int64[np.ndarray, "cells"]:
        """The reach of each cell."""
        return self.cells[:, 1]

    @property
    def count(self) -> Int64[np.ndarray, "cells"]:
        """The number of paths of each cell."""
        return self.cells[:, 2]

    @cached_property
    def num_paths(self) -> int:
        """The number of paths."""
        return int(self.count.sum())

    @cached_property
    def is_folded(self) -> Bool[np.ndarray, "cells"]:
        """Whether the paths of each cell fold; False for a cell without paths."""
        return (self.reach < self.length) & (self.count > 0)

    @cached_property
    def folding(self) -> Float64[np.ndarray, "folded"]:
        """The folding of each cell whose paths fold."""
        length, reach = self.length[self.is_folded], self.reach[self.is_folded]
        folding: np.ndarray = (length - reach) / length
        return folding

    @cached_property
    def num_folded(self) -> int:
        """The number of paths that fold."""
        return int(self.count[self.is_folded].sum())

    @cached_property
    def total_folding(self) -> float:
        """The sum of the folding of all paths, whatever the order of the cells."""
        length, reach, count = self.cells[self.is_folded].T
        # Per length the sum is an integer over that length: one rounding each, then an exact sum.
        lengths, group = np.unique(length, return_inverse=True)
        flips_lost = np.zeros(len(lengths), dtype=np.int64)
        np.add.at(flips_lost, group, count * (length - reach))
        return math.fsum(flips_lost / lengths)

    def quantile(self, percent: int) -> float | None:
        """Return an inverted-CDF quantile over folded paths, or None if none folds.

        It is the ⌈q·n⌉-th smallest of n values, hence a folding that occurs (Hyndman and Fan, Sample
        Quantiles in Statistical Packages, 1996, definition 1).

        Args:
            percent: from 1 to 100; an integer, so that the rank is exact.
        """
        if not self.num_folded:
            return None
        order, num_up_to = self._ascending
        # ⌈percent·n / 100⌉ in integers, so that no rounding decides which path is meant.
        rank = -(-percent * self.num_folded // 100)
        return float(self.folding[order][np.searchsorted(num_up_to, rank)])

    @cached_property
    def _ascending(self) -> tuple[Int64[np.ndarray, "folded"], Int64[np.ndarray, "folded"]]:
        """The order of the foldings, and how many paths have each or less."""
        order = np.argsort(self.folding, kind="stable")
        return order, np.cumsum(self.count[self.is_folded][order])

    def row_max_median(self) -> float | None:
        """Return the median of the row maxima above 0, or None if there is none.

        It is the middle one, or the mean of the two middle ones.
        """
        folded_rows = self.row_max[self.row_max > 0] if self.row_max is not None else np.zeros(0)
        return float(np.median(folded_rows)) if folded_rows.size else None


def count_zero_length(cells: Int64[np.ndarray, "cells 3"]) -> int:
    """Return the number of paths of length 0 in the counts of χ.

    Args:
        cells: rows (length, reach, number of paths) of χ, not of peak folding.
    """
    return int(cells[cells[:, 0] == 0, 2].sum())


def folding_histogram(cells: Int64[np.ndarray, "cells 3"]) -> Int64[np.ndarray, "bins"]:
    """Return how many paths fold how far, from the counts of one set of paths or of several together.

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
