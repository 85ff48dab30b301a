"""A null model of folding: the steps of a path in random order.

How much a path folds depends on how often its units flip: where each flips once, χ is 0 in any order. So χ
stands beside what the same flips show on average in shuffled order (docs/definitions.md, "Null model"). Whole
steps are shuffled: what flips at one t has no order, and reach is read after steps. Every unit starts as it
does on the path and passes through the same symbols, so that bits toggle: the length, the patterns of both
ends and how often each unit flips are those of the path.

Of bits that flip one a step, only how many units flip how often matters, and paths that agree in that share
their shuffled orders, from whichever end they are read.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from spaceprobe.folding.kernels.shuffles import reach_of_orders
from spaceprobe.folding.path_flips import PathFlips

NUM_SHUFFLES = 100
"""Chosen: the standard error of a mean over so many orders is a tenth of their standard deviation, which is
below 0.04 on paths of trained networks."""

MAX_KEPT = 1 << 15
"""Chosen: null values that are kept; the paths of a small network have some hundred."""


@dataclass(frozen=True)
class NullFolding:
    """χ of the shuffled orders of paths; arrays have shape ``(num_paths,)``.

    Attributes:
        mean: over the orders, in [0, 1); 0 for length 0.
        deviation: its standard deviation (n) over them. That of the mean is this over √(number of orders).
    """

    mean: Float64[np.ndarray, " paths"]
    deviation: Float64[np.ndarray, " paths"]


class FlipTable(NamedTuple):
    """The flips of one path, ordered by unit, then step; arrays have shape ``(num_flips,)``.

    Attributes:
        unit: numbers of units, from 0.
        step: numbers of steps, from 0.
        change: by how much each flip takes its unit away from where it started: 1, -1 or 0.
    """

    unit: Int64[np.ndarray, " flips"]
    step: Int64[np.ndarray, " flips"]
    change: Int64[np.ndarray, " flips"]


def null_folding(flips: PathFlips, num_shuffles: int = NUM_SHUFFLES) -> NullFolding:
    """Return mean and deviation of χ over shuffled orders of the steps of each path.

    A path's values follow from its own flips alone: they are the same whatever else is in the batch, and do
    not depend on how units are numbered where one flips a step.

    Args:
        flips: of the paths.
        num_shuffles: at least 1.

    >>> columns = np.array([[0, 0, 0], [0, 1, 2], [5, 7, 5], [0, 0, 1], [1, 1, 0]])
    >>> null_folding(PathFlips(*columns, num_paths=1), 10_000).mean.round(1)  # of 1/3, 1/3 and 2/3
    array([0.4])
    """
    moments = [_moments(table, num_shuffles) for table in _tables(flips)]
    mean, deviation = np.array(moments, dtype=np.float64).reshape(len(moments), 2).T
    return NullFolding(mean.copy(), deviation.copy())


def shuffled_reach(table: FlipTable, num_shuffles: int) -> Int64[np.ndarray, " shuffles"]:
    """Return the reach of a path whose steps are taken in each of some random orders.

    The random numbers follow from the table, so that the same flips have the same orders everywhere.

    Args:
        table: of the path.
        num_shuffles: at least 1.
    """
    reach = np.zeros(num_shuffles, dtype=np.int64)
    if len(table.unit) == 0:
        return reach
    text = b"".join(column.astype("<i8").tobytes() for column in table)
    seed = np.frombuffer(hashlib.sha256(text).digest()[:8], dtype="<u8")[0].astype(np.uint64)
    by_step = np.argsort(table.step, kind="stable")
    step_begin = np.searchsorted(table.step[by_step], np.arange(table.step.max() + 2))
    unit_begin = np.searchsorted(table.unit, np.arange(table.unit.max() + 1))
    reach_of_orders(table.unit[by_step], step_begin, table.change, unit_begin, seed, reach)
    return reach


def compile_shuffles() -> None:
    """Compile what shuffles, for callers that time what comes next."""
    ones = np.ones(2, dtype=np.int64)
    shuffled_reach(FlipTable(np.zeros(2, dtype=np.int64), np.arange(2), ones), 1)


def _moments(table: FlipTable, num_shuffles: int) -> tuple[float, float]:
    """Return mean and deviation of χ over the shuffled orders of a path."""
    num_times = np.bincount(table.unit)
    if (num_times <= 1).all():
        return 0.0, 0.0  # each flip leads away from the start, in any order
    occurrence = np.arange(len(table.unit)) - np.repeat(np.cumsum(num_times) - num_times, num_times)
    is_toggled = bool((table.change == 1 - 2 * (occurrence % 2)).all())
    if is_toggled and table.step.max() + 1 == len(table.step):
        return _moments_of_counts(tuple(np.bincount(num_times).tolist()), num_shuffles)
    return _moments_of(table, num_shuffles)


@lru_cache(maxsize=MAX_KEPT)
def _moments_of_counts(num_units: tuple[int, ...], num_shuffles: int) -> tuple[float, float]:
    """Return the same where bits flip one a step, given how many units flip 0, 1, 2, … times."""
    num_times = np.repeat(np.arange(len(num_units)), num_units)
    unit = np.repeat(np.arange(len(num_times)), num_times)
    occurrence = np.concatenate([np.arange(number) for number in num_times])
    return _moments_of(FlipTable(unit, np.arange(len(unit)), 1 - 2 * (occurrence % 2)), num_shuffles)


def _moments_of(table: FlipTable, num_shuffles: int) -> tuple[float, float]:
    length = len(table.unit)
    lost = length - shuffled_reach(table, num_shuffles)
    # sums of integers, so that the order of the shuffles does not matter
    total, of_squares = int(lost.sum()), int((lost * lost).sum())
    scale = num_shuffles * length
    return total / scale, math.sqrt(num_shuffles * of_squares - total * total) / scale


def _tables(flips: PathFlips) -> Iterator[FlipTable]:
    """Yield the flips of each path, its units numbered in the order of their first flips."""
    order = np.lexsort((flips.step, flips.unit, flips.path))
    path, step, unit, before, after = (
        column[order] for column in (flips.path, flips.step, flips.unit, flips.before, flips.after)
    )
    is_first = np.ones(len(path), dtype=bool)
    is_first[1:] = (path[1:] != path[:-1]) | (unit[1:] != unit[:-1])
    first, group = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    start = before[first][group]
    change = (after != start).astype(np.int64) - (before != start)
    # the same once more, the units of a path by their first flips
    order = np.lexsort((step, unit, step[first][group], path))
    path, step, change, group = (column[order] for column in (path, step, change, group))
    ends = np.searchsorted(path, np.arange(flips.num_paths + 1))
    for begin, end in pairwise(ends.tolist()):
        of_path = group[begin:end]
        number = np.cumsum(np.diff(of_path, prepend=of_path[:1]) != 0)
        yield FlipTable(number, step[begin:end], change[begin:end])
