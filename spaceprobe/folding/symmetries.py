"""Symmetric pairs of the activation patterns that a path visits.

Two patterns are a symmetric pair if a pattern between them is farther from both than they are from each
other: the path leads away and back, as across a mirror. arXiv 2503.08502 describes such pairs and counts
none; the definition is ours (docs/definitions.md, "Symmetric pairs").
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int64, Shaped

from spaceprobe.folding.path_flips import PathFlips


@dataclass(frozen=True)
class SymmetricPairs:
    """The pairs of patterns of paths; arrays have shape ``(num_paths,)``.

    Attributes:
        num_patterns: that follow one another on the path: its steps, and one.
        num_pairs: of them with another between.
        num_symmetric: of these pairs.
    """

    num_patterns: Int64[np.ndarray, " paths"]
    num_pairs: Int64[np.ndarray, " paths"]
    num_symmetric: Int64[np.ndarray, " paths"]


def symmetric_pairs(flips: PathFlips) -> SymmetricPairs:
    """Return how many pairs of the patterns of each path are symmetric.

    Of patterns π_1, …, π_n the pair i < k is symmetric if d(π_i, π_k) < min(d(π_i, π_j), d(π_j, π_k)) for
    some i < j < k, with the Hamming distance d over all units. The time grows with n³.

    Args:
        flips: of the paths.

    >>> columns = np.array([[0, 0, 0], [0, 1, 2], [5, 7, 7], [0, 0, 1], [1, 1, 0]])
    >>> pairs = symmetric_pairs(PathFlips(*columns, num_paths=1))  # 00, 10, 11, 10
    >>> pairs.num_pairs, pairs.num_symmetric  # the second 10 is that of before
    (array([3]), array([1]))
    """
    ends = np.searchsorted(flips.path, np.arange(flips.num_paths + 1))
    counts = [
        _count(_distances(_patterns(*(column[first:last] for column in _columns(flips)))))
        for first, last in pairwise(ends)
    ]
    patterns, symmetric = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    return SymmetricPairs(patterns.copy(), (patterns - 1) * (patterns - 2) // 2, symmetric.copy())


def _columns(flips: PathFlips) -> tuple[np.ndarray, ...]:
    return flips.step, flips.unit, flips.before, flips.after


def _patterns(
    step: Int64[np.ndarray, " flips"],
    unit: Int64[np.ndarray, " flips"],
    before: Int64[np.ndarray, " flips"],
    after: Int64[np.ndarray, " flips"],
) -> Int64[np.ndarray, "patterns units"]:
    """Return the symbols of the units that flip, before the first step of a path and after each."""
    _, first, column = np.unique(unit, return_index=True, return_inverse=True)
    patterns = np.repeat(before[first][None], int(step.max(initial=-1)) + 2, axis=0)
    for at, where, symbol in zip(step, column, after, strict=True):  # in the order of steps
        patterns[at + 1 :, where] = symbol
    return patterns


def _distances(patterns: Shaped[np.ndarray, "patterns units"]) -> Int64[np.ndarray, "patterns patterns"]:
    return np.array([(patterns != pattern).sum(axis=1) for pattern in patterns], dtype=np.int64)


def _count(distance: Int64[np.ndarray, "patterns patterns"]) -> tuple[int, int]:
    """Return the number of patterns, and that of symmetric pairs."""
    number = len(distance)
    num_symmetric = 0
    for i in range(number - 2):
        later = distance[i + 1 :, i + 1 :]  # of j and k, both behind i
        nearer = np.minimum(distance[i, i + 1 :, None], later)
        farthest = np.triu(nearer, 1).max(axis=0)  # over j < k
        num_symmetric += int((distance[i, i + 1 :] < farthest).sum())
    return number, num_symmetric
