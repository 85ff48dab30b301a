"""The walk of one path by one warp: layer by layer, sure of every sign or not at all.

How it works is told in `spaceprobe.folding.kernels.sweep`; what it checks is the same, with the same
tolerances, so a path that it is sure of has the counts of the CPU's walk. It differs in last bits: a GPU
fuses a product and a sum.
"""

from spaceprobe.folding.cuda.flips import first_flips, merge_flips
from spaceprobe.folding.cuda.lanes import (
    EVERY,
    LANES,
    ballot,
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
from spaceprobe.folding.cuda.slopes import first_jumps, first_slopes, new_jump, start_slopes, sum_jumps


def walk_path(net, work, a, i, b, j, tolerance):
    """Walk from image i of ``a`` to image j of ``b``.

    Returns the number of flips, or `UNSURE`, or `FULL`, and how many of them lead back to a. Where none leads
    back, the order does not matter, and the flips of the last layer are not merged.
    """
    depth = net.depth
    for layer in range(depth):
        zero = tolerance * max(read(a.scale, i * depth + layer), read(b.scale, j * depth + layer))
        if not min(read(a.margin, i * depth + layer), read(b.margin, j * depth + layer)) > zero:
            return UNSURE, 0
    num_knots = first_flips(
        net, work, a, i, b, j, tolerance * max(read(a.scale, i * depth + 0), read(b.scale, j * depth + 0))
    )
    if num_knots < 0:
        return num_knots, 0
    num_back = 0
    if depth > 1:
        first_slopes(net, work, a, i, b, j)
    for layer in range(1, depth):
        zero = tolerance * max(read(a.scale, i * depth + layer), read(b.scale, j * depth + layer))
        put(work.times, num_knots, 1.0, lane() == 0)
        sync()
        start_slopes(net, work, layer, a, i)
        num_new, back = sweep(net, work, layer, num_knots, a, i, b, j, zero)
        if num_new < 0:
            return num_new, 0
        num_back += back
        if layer + 1 == depth and num_back == 0:
            return num_knots + num_new, 0
        sync()
        if not merge_flips(work, num_knots, num_new, zero):
            return UNSURE, 0
        num_knots += num_new
    return num_knots, num_back


def sweep(net, work, layer, num_knots, a, i, b, j, tolerance):
    """Move one layer from knot to knot; its number of flips, and how many of them lead back to a."""
    groups = read(net.groups, layer)
    keep_jumps = layer + 1 < net.depth
    num_new = 0
    num_back = 0
    for group in range(groups):
        unit = group * LANES + lane()
        at = read(net.unit_start, layer) + unit
        state = read(a.states, i * net.num_groups + read(net.group_start, layer) + group) & EVERY
        start = state
        end = read(b.states, j * net.num_groups + read(net.group_start, layer) + group) & EVERY
        z = read(a.z, i * net.num_units + at)
        slope = read(work.floats, work.slopes + (layer % 2) * work.row + unit)
        column = read(net.weight_start, layer) + group * read(net.fan_in, layer) * LANES + lane()
        jumps = work.jumps + (layer % 2) * (work.capacity + 1) * work.row + unit
        gates = work.gates + (layer % 2) * (work.capacity + 1) * (work.row // LANES) + group
        past = 0.0
        # a unit that is on stays so above `tolerance`; one that is off may have changed above `-tolerance`
        threshold = pick(is_set(state), tolerance, -tolerance)
        for first in range(0, num_knots + 1, TILE):
            if first < num_knots:
                if layer == 1:
                    first_jumps(net, work, group, first)
                else:
                    sum_jumps(net, work, layer, group, first)
            place = first
            last = min(first + TILE, num_knots + 1)
            while place < last:  # fewer instructions than a range, whose length has to be counted
                time = read(work.times, place)
                moved = z + slope * (time - past)
                changed = ballot(moved > threshold) ^ state
                if changed:
                    if (ballot(moved > tolerance) | ballot(moved < -tolerance)) & changed != changed:
                        return UNSURE, 0
                    if num_knots + num_new + popcount(changed) > work.capacity:
                        return FULL, 0
                    is_flip = is_set(changed)
                    fall = pick(is_flip, z - moved, 1.0)
                    from_a = pick(is_set(state ^ start), 1, 0)
                    from_b = pick(is_set(state ^ end), 1, 0)
                    new = num_new + ones_below(changed)
                    put(work.floats, work.raw_time + new, past + (time - past) * (z / fall), is_flip)
                    put(work.floats, work.raw_speed + new, abs(fall) / (time - past), is_flip)
                    code = 4 * unit + 2 * (1 - from_a) + from_b
                    put(work.integers, work.raw_mark + new, mark(code, place), is_flip)
                    num_back += popcount((state ^ start) & changed)
                    num_new += popcount(changed)
                    state ^= changed
                    threshold = pick(is_set(state), tolerance, -tolerance)
                z = moved
                past = time
                if place < num_knots:
                    jump = read(work.tile, (place - first) * LANES + lane())
                    if layer > 1 and read(work.origins, place) == work.capacity:
                        jump = new_jump(net, work, column, place)
                    slope = slope + jump
                    if keep_jumps:
                        put(work.floats, jumps + place * work.row, jump, lane() >= 0)
                        # Another lane each time: for always the same one the compiler makes a loop of its
                        # own, and a warp that is apart is slow at the ballots.
                        writer = place & (LANES - 1)
                        put(work.integers, gates + place * (work.row // LANES), state, lane() == writer)
                place += 1
        error = z - read(b.z, j * net.num_units + at)
        if ballot((error < tolerance) & (error > -tolerance)) != EVERY:
            return UNSURE, 0
    return num_new, num_back
