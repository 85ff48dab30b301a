"""Counts paths instead of keeping them, in memory that does not grow with their number."""

from collections import Counter

import numpy as np
from jaxtyping import Int64

from spaceprobe.folding.counts import AdaptiveFolding, CountedFolding, FoldingCounts, PathFolding
from spaceprobe.folding.measure import space_folding

REACH_BITS = 31
"""A cell (length, reach) is counted as one number, length·2^31 + reach."""


class PathCounter:
    """Counts paths by (length, reach) and, for paths of a grid, keeps the largest χ of each source."""

    def __init__(self, num_sources: int | None = None) -> None:
        self.counts: Counter[int] = Counter()
        self.row_max = None if num_sources is None else np.zeros(num_sources)

    def add(
        self,
        length: Int64[np.ndarray, " paths"],
        reach: Int64[np.ndarray, " paths"],
        source: Int64[np.ndarray, " paths"] | None = None,
    ) -> None:
        """Add paths; those of a grid with the number of the source of each."""
        cells, counts = np.unique((length << REACH_BITS) + reach, return_counts=True)
        self.counts.update(dict(zip(cells.tolist(), counts.tolist(), strict=True)))
        if self.row_max is not None and source is not None:
            np.maximum.at(self.row_max, source, space_folding(length, reach))

    def result(self) -> FoldingCounts:
        """Return the counts so far."""
        mask = (1 << REACH_BITS) - 1
        rows = [(cell >> REACH_BITS, cell & mask, n) for cell, n in sorted(self.counts.items())]
        return FoldingCounts(np.array(rows, dtype=np.int64).reshape(-1, 3), self.row_max)


class TwoWayCounter:
    """Counts paths in both directions, each by its χ and its peak folding."""

    def __init__(
        self, chi: PathCounter, peak: PathCounter, chi_back: PathCounter, peak_back: PathCounter
    ) -> None:
        self.chi, self.peak, self.chi_back, self.peak_back = chi, peak, chi_back, peak_back
        self.num_violations = 0
        self.num_unresolved: int | None = None

    @classmethod
    def of_grid(cls, num_sources: int, num_targets: int | None) -> "TwoWayCounter":
        """Return a counter for a grid; without targets both directions of a path count as one."""
        chi, peak = PathCounter(num_sources), PathCounter(num_sources)
        if num_targets is None:
            return cls(chi, peak, chi, peak)
        return cls(chi, peak, PathCounter(num_targets), PathCounter(num_targets))

    @classmethod
    def of_matched(cls) -> "TwoWayCounter":
        """Return a counter for paths from each source to its own target."""
        return cls(PathCounter(), PathCounter(), PathCounter(), PathCounter())

    def add(
        self,
        folding: PathFolding,
        source: Int64[np.ndarray, " paths"] | None = None,
        target: Int64[np.ndarray, " paths"] | None = None,
    ) -> None:
        """Add paths; those of a grid with the numbers of their sources and targets."""
        self.chi.add(folding.length, folding.reach_from_a, source)
        self.chi_back.add(folding.length, folding.reach_from_b, target)
        self.peak.add(folding.peak_length_from_a, folding.peak_reach_from_a, source)
        self.peak_back.add(folding.peak_length_from_b, folding.peak_reach_from_b, target)
        self.num_violations += int(folding.num_violations.sum())
        if isinstance(folding, AdaptiveFolding):
            self.num_unresolved = (self.num_unresolved or 0) + int(folding.num_unresolved.sum())

    def result(self, num_paths: int) -> CountedFolding:
        """Return the counts so far, of a number of paths in each direction."""
        return CountedFolding(
            chi=self.chi.result(),
            peak=self.peak.result(),
            chi_back=self.chi_back.result(),
            peak_back=self.peak_back.result(),
            num_paths=num_paths,
            num_violations=self.num_violations,
            num_unresolved=self.num_unresolved,
        )
