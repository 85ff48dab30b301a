"""What is kept of a grid of paths: counts over (length, reach), row maxima, a few totals.

Counts are kept in hash tables, whose size follows the number of distinct cells and not that of paths
or units: table 0 χ from a, 1 its peak, 2 χ from b, 3 its peak. A slot holds (key, count), the key
being ``length << 32 | reach`` and a count of 0 meaning that it is free.
"""

from typing import Any, NamedTuple

import numpy as np

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.reading import (
    LENGTH,
    PEAK_LENGTH_A,
    PEAK_LENGTH_B,
    PEAK_REACH_A,
    PEAK_REACH_B,
    REACH_A,
    REACH_B,
)
from spaceprobe.folding.kernels.reading import VIOLATIONS as VIOLATED
from spaceprobe.folding.kernels.vectors import pointer, shift

NUM_TABLES = 4
FIRST_SLOTS = 2048  # a power of two; chosen: a trained 2x30 fills about 500
VIOLATIONS, CAREFUL = 0, 1  # of the totals
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing
_SHIFT = np.uint64(32)


class Tally(NamedTuple):
    """Counts of one thread."""

    tables: np.ndarray  # (4, slots, 2)
    used: np.ndarray  # (4,): slots that are filled
    row_max: np.ndarray  # (2, sources): largest χ and peak over the targets
    row_max_back: np.ndarray  # (2, targets): the same from the other ends
    totals: np.ndarray  # intervals that failed the region check, paths that were walked carefully


def new_tally(num_sources: int, num_targets: int) -> Tally:
    """Return a tally of no paths."""
    return Tally(
        np.zeros((NUM_TABLES, FIRST_SLOTS, 2), np.int64),
        np.zeros(NUM_TABLES, np.int64),
        np.zeros((2, num_sources)),
        np.zeros((2, num_targets)),
        np.zeros(2, np.int64),
    )


def is_crowded(tally: Tally) -> bool:
    """Return whether a table is more than half full."""
    return bool(2 * tally.used.max() > tally.tables.shape[1])


def grown(tally: Tally) -> Tally:
    """Return the same counts in tables eight times as large, since this is not compiled."""
    num_slots = 8 * tally.tables.shape[1]
    tables = np.zeros((NUM_TABLES, num_slots, 2), np.int64)
    for old, new in zip(tally.tables, tables, strict=True):
        for key, count in old[old[:, 1] > 0]:
            slot = (int(key) * int(_GOLDEN) % 2**64 >> 32) % num_slots
            while new[slot, 1]:
                slot = (slot + 1) % num_slots
            new[slot] = key, count
    return tally._replace(tables=tables)


def cells(tally: Tally, which: int) -> np.ndarray:
    """Return rows (length, reach, number of paths) of one table, in no order."""
    filled = tally.tables[which][tally.tables[which, :, 1] > 0]
    return np.stack([filled[:, 0] >> 32, filled[:, 0] & 0xFFFFFFFF, filled[:, 1]], axis=1)


class TallyView(NamedTuple):
    """A `Tally` as compiled code sees it: pointers and sizes."""

    tables: Any
    used: Any
    row_max: Any
    row_max_back: Any
    totals: Any
    num_slots: int
    num_sources: int
    num_targets: int


@inner
def view_tally(tally):
    """Pointers to a tally that the caller keeps."""
    return TallyView(
        pointer(tally.tables),
        pointer(tally.used),
        pointer(tally.row_max),
        pointer(tally.row_max_back),
        pointer(tally.totals),
        tally.tables.shape[1],
        tally.row_max.shape[1],
        tally.row_max_back.shape[1],
    )


@inner
def is_full(tally):
    """`is_crowded`, compiled: a table should grow before the next path."""
    fullest = 0
    for which in range(NUM_TABLES):
        fullest = max(fullest, tally.used[which])
    return 2 * fullest > tally.num_slots


@inner
def count_path(tally, source, target, values, careful):
    """Add one path, read from both ends."""
    length = values[LENGTH]
    _count(tally, 0, length, values[REACH_A])
    _count(tally, 1, values[PEAK_LENGTH_A], values[PEAK_REACH_A])
    _count(tally, 2, length, values[REACH_B])
    _count(tally, 3, values[PEAK_LENGTH_B], values[PEAK_REACH_B])
    peak_source = tally.num_sources + source
    peak_target = tally.num_targets + target
    _raise_to(tally.row_max, source, length, values[REACH_A])
    _raise_to(tally.row_max, peak_source, values[PEAK_LENGTH_A], values[PEAK_REACH_A])
    _raise_to(tally.row_max_back, target, length, values[REACH_B])
    _raise_to(tally.row_max_back, peak_target, values[PEAK_LENGTH_B], values[PEAK_REACH_B])
    tally.totals[VIOLATIONS] += values[VIOLATED]
    tally.totals[CAREFUL] += np.int64(careful)


@inner
def _count(tally, which, length, reach):
    last = tally.num_slots - 1
    table = shift(tally.tables, which * tally.num_slots * 2)
    key = (length << 32) | reach
    slot = np.int64((np.uint64(key) * _GOLDEN) >> _SHIFT) & last
    while table[2 * slot + 1] != 0 and table[2 * slot] != key:
        slot = (slot + 1) & last
    if table[2 * slot + 1] == 0:
        table[2 * slot] = key
        tally.used[which] += 1
    table[2 * slot + 1] += 1


@inner
def _raise_to(maxima, at, length, reach):
    if length > reach:
        maxima[at] = max(maxima[at], (length - reach) / length)
