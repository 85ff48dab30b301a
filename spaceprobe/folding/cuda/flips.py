"""Lists of flips, by rank: each lane counts how many entries come before its own, and knows its place."""

from spaceprobe.folding.cuda.lanes import (
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
from spaceprobe.folding.cuda.layout import FULL, UNSURE


def first_flips(net, work, a, i, b, j, tolerance):
    """Find the flips of the first layer, in closed form, in order of t; return their number or why not."""
    num_flips = 0
    for group in range(read(net.groups, 0)):
        changed = read(a.states, i * net.num_groups + group) ^ read(b.states, j * net.num_groups + group)
        if num_flips + popcount(changed) > work.capacity:
            return FULL
        if changed:
            unit = group * LANES + lane()
            start = read(a.z, i * net.num_units + unit)
            slope = read(b.z, j * net.num_units + unit) - start
            is_flip = is_set(changed)
            place = num_flips + ones_below(changed)
            put(work.raw_time, place, -start / pick(is_flip, slope, 1.0), is_flip)
            put(work.raw_speed, place, abs(slope), is_flip)
            put(work.raw_unit, place, 4 * unit + 3, is_flip)  # away from both ends
            put(work.raw_interval, place, 0, is_flip)
            num_flips += popcount(changed)
    sync()
    if not order_flips(work, 0, num_flips, tolerance):
        return UNSURE
    for first in range(0, num_flips, LANES):
        place = first + lane()
        is_there = place < num_flips
        put(work.times, place, get(work.flip_time, place, is_there, 0.0), is_there)
        put(work.knots, place, place, is_there)
    sync()
    return num_flips


def order_flips(work, num_knots, num_new, tolerance):
    """Number the flips of a layer by t, behind the knots; False where two are too close to tell."""
    for first in range(0, num_new, LANES):
        place = first + lane()
        is_there = place < num_new
        time = get(work.raw_time, place, is_there, 0.0)
        rank = num_knots + 0 * place
        for k in range(num_new):
            other = read(work.raw_time, k)
            rank = rank + pick((other < time) | ((other == time) & (k < place)), 1, 0)
        put(work.flip_time, rank, time, is_there)
        put(work.flip_speed, rank, get(work.raw_speed, place, is_there, 0.0), is_there)
        put(work.flip_unit, rank, get(work.raw_unit, place, is_there, 0), is_there)
        put(work.flip_interval, rank, get(work.raw_interval, place, is_there, 0), is_there)
    sync()
    last = num_knots + num_new
    for first in range(num_knots + 1, last, LANES):
        place = first + lane()
        is_there = place < last
        time = get(work.flip_time, place, is_there, 1.0)
        gap = time - get(work.flip_time, place - 1, is_there, 0.0)
        speed = get(work.flip_speed, place, is_there, 1.0)
        before = get(work.flip_speed, place - 1, is_there, 1.0)
        is_apart = gap * pick(speed < before, speed, before) > tolerance
        # a NaN is not apart
        if ballot(is_there & is_apart) != ballot(is_there):
            return False
    return True


def merge_flips(work, times, knots, num_knots, num_new, into_times, into_knots):
    """Put a layer's flips among the knots; their intervals tell every place, so no times are compared."""
    for first in range(0, num_knots, LANES):
        place = first + lane()
        is_there = place < num_knots
        moved_to = place + 0
        for k in range(num_new):
            moved_to = moved_to + pick(read(work.flip_interval, num_knots + k) <= place, 1, 0)
        put(into_times, moved_to, get(times, place, is_there, 0.0), is_there)
        put(into_knots, moved_to, get(knots, place, is_there, 0), is_there)
    for first in range(0, num_new, LANES):
        place = first + lane()
        is_there = place < num_new
        new = num_knots + place
        moved_to = get(work.flip_interval, new, is_there, 0) + place
        put(into_times, moved_to, get(work.flip_time, new, is_there, 0.0), is_there)
        put(into_knots, moved_to, new, is_there)
    sync()
