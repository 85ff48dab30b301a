"""The measure: from activation patterns along a path to length, reach and space folding.

Definitions are those of docs/definitions.md, "Length, reach and space folding", after "On Space Folds of
ReLU Neural Networks" (arXiv 2502.09954): for the patterns π_1, π_2, ... of a path Γ, length r2(Γ) = Σ
d_H(π_i, π_{i+1}), reach r1(Γ) = max_i d_H(π_i, π_1) and space folding χ(Γ) = 1 - r1(Γ) / r2(Γ).
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from jaxtyping import Float64, Int32, Int64, Shaped
from torch import Tensor

from spaceprobe.folding.counts import AdaptiveFolding, PathFolding


def space_folding(
    length: Int64[np.ndarray, "*paths"], reach: Int64[np.ndarray, "*paths"]
) -> Float64[np.ndarray, "*paths"]:
    """Return χ = 1 - reach / length, in [0, 1); 0 for length 0.

    Computed as (length - reach) / length, which rounds once: equal shares give equal numbers.

    >>> space_folding(np.array([4, 3, 0]), np.array([2, 3, 0]))
    array([0.5, 0. , 0. ])
    """
    return np.where(length > 0, (length - reach) / np.maximum(length, 1), 0.0)


def hamming_distance(
    first: Shaped[Tensor, "*#rows padded"], second: Shaped[Tensor, "*#rows padded"]
) -> Int32[Tensor, "*rows"]:
    """Return the number of units in which patterns differ, as `relus.empty_patterns` holds them.

    Symbols are compared one by one. Of bits eight units are counted at a time: in a word of eight bytes, each
    0 or 1, the product with 0x0101010101010101 has their sum in its top byte.
    """
    if first.dtype != torch.bool:
        return (first != second).sum(-1, dtype=torch.int32)
    words = first.view(torch.int64) ^ second.view(torch.int64)
    return ((words * 0x0101010101010101) >> 56).sum(-1, dtype=torch.int32)


@dataclass(frozen=True)
class History:
    """What was seen along a batch of paths, one row for each step that the longest path took.

    The first row is the start. A path that takes fewer steps has zeros after its last one, or rows in
    which nothing changes.

    Attributes:
        t: where the step ends, in [0, 1].
        length: all flips so far.
        from_a: Hamming distance from the pattern at the start a.
        from_b: Hamming distance from the pattern at the end b; 0 in the last row.
        num_violations: intervals that failed the region check (see `PathFolding`).
        num_unresolved: intervals that an adaptive walk left (see `AdaptiveFolding`); None of other walks.
        num_evaluated: points at which it took patterns; None of other walks.
    """

    t: Float64[Tensor, "steps paths"]
    length: Int32[Tensor, "steps paths"]
    from_a: Int32[Tensor, "steps paths"]
    from_b: Int32[Tensor, "steps paths"]
    num_violations: Int64[Tensor, " paths"]
    num_unresolved: Int64[Tensor, " paths"] | None = None
    num_evaluated: Int64[Tensor, " paths"] | None = None


def join_histories(histories: list[History]) -> History:
    """Return what was seen along the paths of several batches."""
    if len(histories) == 1:
        return histories[0]
    num_steps = max(len(history.t) for history in histories)

    def beside(name: str) -> Tensor:
        columns = [getattr(history, name) for history in histories]
        return torch.cat([F.pad(one, (0, 0, 0, num_steps - len(one))) for one in columns], dim=1)

    return History(
        t=beside("t"),
        length=beside("length"),
        from_a=beside("from_a"),
        from_b=beside("from_b"),
        num_violations=torch.cat([history.num_violations for history in histories]),
    )


def fold_history(history: History) -> PathFolding:
    """Return the folding of each path, read from both ends."""
    # carried on over the zeros behind the last step
    length = history.length.cummax(0).values
    reach_a, *peak_a = read_from_start(length, history.from_a)
    # read from b, a prefix is a suffix read from a
    length_from_b = (length[-1] - length).flip(0)
    reach_b, *peak_b = read_from_start(length_from_b, history.from_b.flip(0))
    columns = [length[-1], reach_a, reach_b, *peak_a, *peak_b, history.num_violations]
    of_adaptive = [each for each in (history.num_unresolved, history.num_evaluated) if each is not None]
    kind = AdaptiveFolding if of_adaptive else PathFolding
    columns += of_adaptive
    return kind(*torch.stack([column.to(torch.int64) for column in columns]).cpu().numpy())


def read_from_start(
    length: Int32[Tensor, "steps paths"], distance: Int32[Tensor, "steps paths"]
) -> tuple[Int32[Tensor, " paths"], Int32[Tensor, " paths"], Int32[Tensor, " paths"]]:
    """Return the reach, and length and reach of the first prefix with the largest χ.

    Args:
        length: all flips so far.
        distance: Hamming distance from the start.
    """
    reach = distance.cummax(0).values
    # Ratios of integers below 2^26 that differ do so by at least 2^-52, so their float64 quotients
    # differ as well: the smallest quotient, the first of them, is the one that integers would choose.
    ratio = torch.where(length > 0, reach.double() / length.clamp_min(1), 1.0)
    best = ratio.argmin(0, keepdim=True)
    is_folded = ratio.gather(0, best)[0] < 1
    return (
        reach[-1],
        length.gather(0, best)[0] * is_folded,
        reach.gather(0, best)[0] * is_folded,
    )
