"""Counts of paths: first in a warp's shared memory, then, added by atomics, in the table of all warps.

A table of lengths by reaches does not fit into a warp's share of shared memory, but most paths of a network
fall into few of its cells. So a warp holds some cells: a path whose cell is held costs no atomic, and one
whose slot holds another cell sends that one's number to the table. Lane 0 counts what is read from a, lane 1
what is read from b, each in slots of its own: no two lanes touch one slot before the last `sync`. All of
this is sums of whole numbers, so nothing depends on the order, or on which cells were held.
"""

from spaceprobe.folding.cuda.lanes import LANES, add_atomically, get, lane, pick, put, read, sync

SLOTS = 64
"""Cells that a warp holds for each direction; a power of two, at least 16. Chosen: 1 KB in all. Of the counts
of a trained 2x30, 5 % meet another cell in their slot, and 10 % are the last of theirs: 15 % reach the table.
"""

SPREAD = 40503
"""Neighbouring cells get slots far from each other: 2^16 over the golden ratio."""


def open_tally(work):
    """Empty the slots."""
    for first in range(0, 2 * SLOTS, LANES):
        put(work.slot_cell, first + lane(), 0, lane() >= 0)
        put(work.slot_number, first + lane(), 0, lane() >= 0)
    sync()


def count_in(work, cells, cell, condition):
    """Count a path in the cells of lanes 0 and 1, where the condition holds; it holds in no other lane."""
    slot = (lane() & 1) * SLOTS + (((cell * SPREAD) >> 8) & (SLOTS - 1))
    held = get(work.slot_cell, slot, condition, 0)
    number = get(work.slot_number, slot, condition, 0)
    add_atomically(cells, held, number, condition & (held != cell) & (number > 0))
    put(work.slot_cell, slot, cell, condition)
    put(work.slot_number, slot, pick(held == cell, number, 0) + 1, condition)


def close_tally(work, cells):
    """Add what the slots hold to the table."""
    sync()
    for first in range(0, 2 * SLOTS, LANES):
        number = read(work.slot_number, first + lane())
        add_atomically(cells, read(work.slot_cell, first + lane()), number, number > 0)
