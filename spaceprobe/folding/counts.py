"""What is kept of paths: small integers, from which every reported number follows.

Length and reach of a path are small integers (docs/definitions.md, "From paths to class pairs"; arXiv
2502.09954). A million paths are kept without loss by counting how many share each (length, reach); those
of a grid also by the largest value of each source over its targets.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True)
class PathFolding:
    """Folding of a batch of paths, read from both ends; every array has shape ``(num_paths,)``.

    A peak starts as the empty prefix (length 0, reach 0, χ = 0), and only a prefix with a strictly
    larger χ replaces it. So a path whose χ is 0 all the way has the peak (0, 0), and of several
    prefixes with the same largest χ the shortest counts.

    Attributes:
        length: all flips along the path, r2(Γ); the same from either end.
        reach_from_a: the farthest Hamming distance from the pattern at the start a, r1(Γ).
        reach_from_b: the same for the reversed path, from the pattern at the end b.
        peak_length_from_a: length of the prefix from a with the largest χ (the first such prefix).
        peak_reach_from_a: reach of that prefix.
        peak_length_from_b: length of the prefix from b with the largest χ (the first from b).
        peak_reach_from_b: reach of that prefix.
        num_violations: intervals of the path that failed the region check; zero everywhere when every
            linear region was certified. Always zero for sampled paths, which have no regions to check.
    """

    length: Int64[np.ndarray, "paths"]
    reach_from_a: Int64[np.ndarray, "paths"]
    reach_from_b: Int64[np.ndarray, "paths"]
    peak_length_from_a: Int64[np.ndarray, "paths"]
    peak_reach_from_a: Int64[np.ndarray, "paths"]
    peak_length_from_b: Int64[np.ndarray, "paths"]
    peak_reach_from_b: Int64[np.ndarray, "paths"]
    num_violations: Int64[np.ndarray, "paths"]


@dataclass(frozen=True)
class AdaptiveFolding(PathFolding):
    """Folding of a batch of paths that were sampled adaptively: lengths are lower bounds.

    Attributes:
        num_unresolved: intervals of 2^-20 of the path, or of a step of a finer grid, in which several bits
            flip; their flips count as one step.
        num_evaluated: points at which patterns were taken: those that a path starts with, and the middles of
            intervals.
    """

    num_unresolved: Int64[np.ndarray, "paths"]
    num_evaluated: Int64[np.ndarray, "paths"]


@dataclass(frozen=True)
class FoldingCounts:
    """Many paths in one direction, without loss for the reported statistics.

    Attributes:
        cells: rows (length, reach, number of paths), sorted by length, then reach; no zero counts.
        row_max: for each source of a grid the largest value over its targets, in [0, 1); shape
            ``(num_sources,)``. None for matched paths.
    """

    cells: Int64[np.ndarray, "cells 3"]
    row_max: Float64[np.ndarray, "sources"] | None


@dataclass(frozen=True)
class CountedFolding:
    """Folding of many paths as counts, in both directions.

    Attributes:
        chi: χ from sources to targets.
        peak: peak folding from sources to targets.
        chi_back: χ from targets to sources.
        peak_back: peak folding from targets to sources.
        num_paths: number of directed paths in each direction.
        num_violations: intervals that failed the region check (see `PathFolding`).
        num_unresolved: intervals in which an adaptive walk left several flips (see `AdaptiveFolding`); None
            of other walks.
    """

    chi: FoldingCounts
    peak: FoldingCounts
    chi_back: FoldingCounts
    peak_back: FoldingCounts
    num_paths: int
    num_violations: int
    num_unresolved: int | None = None


@dataclass(frozen=True)
class PathTrace:
    """A single path, step by step; every array has shape ``(num_steps,)``, the first step is the start.

    Attributes:
        t: where the step is taken, in [0, 1].
        distance: Hamming distance from the pattern at the start.
        length: flips so far.
        chi: χ of the path so far, in [0, 1).
    """

    t: Float64[np.ndarray, "steps"]
    distance: Int64[np.ndarray, "steps"]
    length: Int64[np.ndarray, "steps"]
    chi: Float64[np.ndarray, "steps"]
