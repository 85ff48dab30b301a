"""Counts instead of paths: what a grid of paths leaves behind, in memory that does not grow with it."""

from collections import Counter

import numpy as np
from jaxtyping import Int64

from spaceprobe.folding.counts import FoldingCounts
from spaceprobe.folding.measure import space_folding

REACH_BITS = 31
"""A cell (length, reach) is counted as one number, length·2^31 + reach."""


class Tally:
    """Counts paths by (length, reach) and keeps the largest χ of each source."""

    def __init__(self, num_sources: int) -> None:
        self.counts: Counter[int] = Counter()
        self.row_max = np.zeros(num_sources)

    def add(
        self,
        length: Int64[np.ndarray, " paths"],
        reach: Int64[np.ndarray, " paths"],
        source: Int64[np.ndarray, " paths"],
    ) -> None:
        """Add paths, each with the number of its source."""
        cells, counts = np.unique((length << REACH_BITS) + reach, return_counts=True)
        self.counts.update(dict(zip(cells.tolist(), counts.tolist(), strict=True)))
        np.maximum.at(self.row_max, source, space_folding(length, reach))

    def result(self) -> FoldingCounts:
        """Return the counts so far."""
        mask = (1 << REACH_BITS) - 1
        rows = [(cell >> REACH_BITS, cell & mask, n) for cell, n in sorted(self.counts.items())]
        return FoldingCounts(np.array(rows, dtype=np.int64).reshape(-1, 3), self.row_max)
