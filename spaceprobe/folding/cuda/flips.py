"""Lists of flips, by rank: each lane counts how many entries come before its own, and knows its place."""

from spaceprobe.folding.cuda.lanes import (
    EVERY,
    LANES,
    ballot,
    get,
    is_set,
    lane,
    ones_below,
    pick,
    popcount,
    put,
    read,
    sync,
)
from spaceprobe.folding.cuda.layout import FULL, TILE, UNSURE, mark


def first_flips(net, work, a, i, b, j, tolerance):
    """Find the flips of the first layer, in closed form, in order of t; return their number or why not."""
    num_flips = 0
    for group in range(read(net.groups, 0)):
        start = read(a.states, i * net.num_groups + group) & EVERY
        changed = start ^ (read(b.states, j * net.num_groups + group) & EVERY)
        if num_flips + popcount(changed) > work.capacity:
            return FULL
        if changed:
            unit = group * LANES + lane()
            height = read(a.z, i * net.num_units + unit)
            slope = read(b.z, j * net.num_units + unit) - height
            is_flip = is_set(changed)
            place = num_flips + ones_below(changed)
            put(work.floats, work.raw_time + place, -height / pick(is_flip, slope, 1.0), is_flip)
            put(work.floats, work.raw_speed + place, abs(slope), is_flip)
            put(work.integers, work.raw_mark + place, mark(4 * unit + 3, 0), is_flip)  # away from both ends
            num_flips += popcount(changed)
    sync()
    if not merge_flips(work, 0, num_flips, tolerance):
        return UNSURE
    return num_flips


def merge_flips(work, num_knots, num_new, tolerance):
    """Put a layer's flips among the knots; False where two of them are too close to tell.

    Their intervals tell every place, so the times of flips and of knots are not compared. The knots move
    within their list, the last first: none moves down, so what is overwritten has been moved already.
    """
    for chunk in range((num_knots + LANES - 1) // LANES):
        place = (num_knots - 1) // LANES * LANES - chunk * LANES + lane()
        is_there = place < num_knots
        moved_to = place + 0
        for k in range(num_new):
            moved_to = moved_to + pick((read(work.integers, work.raw_mark + k) >> 16) <= place, 1, 0)
        time = get(work.times, place, is_there, 0.0)
        code = get(work.codes, place, is_there, 0)
        sync()
        put(work.times, moved_to, time, is_there)
        put(work.codes, moved_to, code, is_there)
        put(work.origins, moved_to, place, is_there)
    sync()
    for first in range(0, num_new, LANES):
        found = first + lane()
        is_there = found < num_new
        time = get(work.floats, work.raw_time + found, is_there, 0.0)
        rank = 0 * found
        for k in range(num_new):
            other = read(work.floats, work.raw_time + k)
            rank = rank + pick((other < time) | ((other == time) & (k < found)), 1, 0)
        known = get(work.integers, work.raw_mark + found, is_there, 0)
        place = (known >> 16) + rank
        put(work.times, place, time, is_there)
        put(work.codes, place, known & 0xFFFF, is_there)
        put(work.origins, place, work.capacity, is_there)
        put(work.floats, work.flip_time + rank, time, is_there)
        speed = get(work.floats, work.raw_speed + found, is_there, 0.0)
        put(work.floats, work.flip_speed + rank, speed, is_there)
        put(work.floats, work.speeds + place, speed, is_there)
    behind = num_knots + num_new + lane()  # so that the last tile of knots may end beyond the last knot
    put(work.codes, behind, 0, lane() < TILE)
    put(work.origins, behind, work.capacity, lane() < TILE)
    sync()
    return are_apart(work, num_new, tolerance)


def are_apart(work, num_new, tolerance):
    """Return whether no two neighbours among a layer's flips are too close to tell which comes first."""
    for first in range(1, num_new, LANES):
        rank = first + lane()
        is_there = rank < num_new
        time = get(work.floats, work.flip_time + rank, is_there, 1.0)
        gap = time - get(work.floats, work.flip_time + rank - 1, is_there, 0.0)
        speed = get(work.floats, work.flip_speed + rank, is_there, 1.0)
        before = get(work.floats, work.flip_speed + rank - 1, is_there, 1.0)
        is_apart = gap * pick(speed < before, speed, before) > tolerance
        # a NaN is not apart
        if ballot(is_there & is_apart) != ballot(is_there):
            return False
    return True
