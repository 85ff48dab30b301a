"""The walk of one path by one warp: layer by layer, sure of every sign or not at all.

How it works is told in `spaceprobe.folding.kernels.sweep`; what it checks is the same, with the same
tolerances, so a path that it is sure of has the counts of the CPU's walk. It differs in last bits: a GPU
fuses a product and a sum.
"""

from spaceprobe.folding.cuda.flips import first_flips, merge_flips, order_flips
from spaceprobe.folding.cuda.lanes import (
    EVERY,
    LANES,
    ballot,
    is_set,
    lane,
    lowest,
    ones_below,
    pick,
    popcount,
    put,
    read,
    sync,
    without_lowest,
)
from spaceprobe.folding.cuda.layout import FULL, UNSURE


def walk_path(net, work, a, i, b, j, tolerance):
    """Walk from image i of ``a`` to image j of ``b``.

    Returns the number of flips, or `UNSURE`, or `FULL`; how many of them lead back to a; and in which of the
    two lists of knots their order is. Where none leads back, the order does not matter, and the flips of the
    last layer are not merged.
    """
    depth = net.depth
    for layer in range(depth):
        zero = tolerance * max(read(a.scale, i * depth + layer), read(b.scale, j * depth + layer))
        if not min(read(a.margin, i * depth + layer), read(b.margin, j * depth + layer)) > zero:
            return UNSURE, 0, 0
    num_knots = first_flips(
        net, work, a, i, b, j, tolerance * max(read(a.scale, i * depth + 0), read(b.scale, j * depth + 0))
    )
    if num_knots < 0:
        return num_knots, 0, 0
    times, other_times = work.times, work.other_times
    knots, other_knots = work.knots, work.other_knots
    num_back = 0
    which = 0
    if depth > 1:
        for at in range(0, read(net.unit_start, 1), LANES):
            unit = at + lane()
            put(
                work.slopes,
                unit,
                read(b.z, j * net.num_units + unit) - read(a.z, i * net.num_units + unit),
                unit >= 0,
            )
    for layer in range(1, depth):
        zero = tolerance * max(read(a.scale, i * depth + layer), read(b.scale, j * depth + layer))
        put(times, num_knots, 1.0, lane() == 0)
        sync()
        num_new, back = sweep(net, work, layer, times, knots, num_knots, a, i, b, j, zero)
        if num_new < 0:
            return num_new, 0, 0
        num_back += back
        if layer + 1 == depth and num_back == 0:
            return num_knots + num_new, 0, which
        sync()
        if not order_flips(work, num_knots, num_new, zero):
            return UNSURE, 0, 0
        if layer + 1 < depth:
            carry_jumps(net, work, layer + 1, knots, num_knots, num_new)
        merge_flips(work, times, knots, num_knots, num_new, other_times, other_knots)
        times, other_times = other_times, times
        knots, other_knots = other_knots, knots
        which = 1 - which
        num_knots += num_new
    return num_knots, num_back, which


def sweep(net, work, layer, times, knots, num_knots, a, i, b, j, tolerance):
    """Move one layer from knot to knot; its number of flips, and how many of them lead back to a."""
    groups = read(net.groups, layer)
    keep_jumps = layer + 1 < net.depth
    of_layer = (layer - 1) % 2
    num_new = 0
    num_back = 0
    for group in range(groups):
        unit = group * LANES + lane()
        at = read(net.unit_start, layer) + unit
        state = read(a.states, i * net.num_groups + read(net.group_start, layer) + group)
        start = state
        end = read(b.states, j * net.num_groups + read(net.group_start, layer) + group)
        column = read(net.weight_start, layer) + group * read(net.fan_in, layer) * LANES + lane()
        z = read(a.z, i * net.num_units + at)
        slope = starting_slope(net, work, layer, column, a, i)
        if keep_jumps:
            put(work.slopes, (1 - of_layer) * work.row + unit, slope, unit >= 0)
        past = 0.0
        # a unit that is on stays so above `tolerance`; one that is off may have changed above `-tolerance`
        threshold = pick(is_set(state), tolerance, -tolerance)
        for position in range(num_knots + 1):
            time = read(times, position)
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
                place = num_new + ones_below(changed)
                put(work.raw_time, place, past + (time - past) * (z / fall), is_flip)
                put(work.raw_speed, place, abs(fall) / (time - past), is_flip)
                put(work.raw_unit, place, 4 * unit + 2 * (1 - from_a) + from_b, is_flip)
                put(work.raw_interval, place, position, is_flip)
                num_back += popcount((state ^ start) & changed)
                num_new += popcount(changed)
                state ^= changed
                threshold = pick(is_set(state), tolerance, -tolerance)
            z = moved
            past = time
            if position < num_knots:
                knot = read(knots, position)
                if layer == 1:
                    source = read(work.flip_unit, knot) >> 2
                    jump = read(net.weights, column + source * LANES) * read(work.flip_speed, knot)
                else:
                    jump = read(work.jumps, jump_at(work, of_layer, knot, unit))
                slope = slope + jump
                if keep_jumps:
                    put_jump(work, of_layer, knot, unit, pick(is_set(state), jump, 0.0))
                    put_gate(work, position * groups + group, state)
        error = z - read(b.z, j * net.num_units + at)
        if ballot((error < tolerance) & (error > -tolerance)) != EVERY:
            return UNSURE, 0
    return num_new, num_back


def starting_slope(net, work, layer, column, a, i):
    """Slope at t = 0+ of a lane's unit, from those of the layer above."""
    above = ((layer - 1) % 2) * work.row
    slope = 0.0 * lane()
    for group in range(read(net.groups, layer - 1)):
        active = read(a.states, i * net.num_groups + read(net.group_start, layer - 1) + group)
        while active:
            source = group * LANES + lowest(active)
            active = without_lowest(active)
            slope = slope + read(net.weights, column + source * LANES) * read(work.slopes, above + source)
    return slope


def carry_jumps(net, work, layer, knots, num_knots, num_new):
    """Jumps of ``layer`` at all knots, from those of the active units of the layer above it.

    Four knots at a time, neighbours in t: they share most active units, and the reading of their weights.
    """
    above = read(net.groups, layer - 1)
    source_row = (layer - 2) % 2
    into = 1 - source_row
    for group in range(read(net.groups, layer)):
        unit = group * LANES + lane()
        column = read(net.weight_start, layer) + group * read(net.fan_in, layer) * LANES + lane()
        for position in range(0, num_knots, 4):
            position1 = min(position + 1, num_knots - 1)  # at the end, a knot again
            position2 = min(position + 2, num_knots - 1)
            position3 = min(position + 3, num_knots - 1)
            knot0 = read(knots, position)
            knot1 = read(knots, position1)
            knot2 = read(knots, position2)
            knot3 = read(knots, position3)
            jump0 = 0.0 * lane()
            jump1 = 0.0 * lane()
            jump2 = 0.0 * lane()
            jump3 = 0.0 * lane()
            for part in range(above):
                active = (
                    read(work.gates, work.first_gate + position * above + part)
                    | read(work.gates, work.first_gate + position1 * above + part)
                    | read(work.gates, work.first_gate + position2 * above + part)
                    | read(work.gates, work.first_gate + position3 * above + part)
                )
                while active:
                    source = part * LANES + lowest(active)
                    active = without_lowest(active)
                    weight = read(net.weights, column + source * LANES)
                    jump0 = jump0 + weight * read(work.jumps, jump_at(work, source_row, knot0, source))
                    jump1 = jump1 + weight * read(work.jumps, jump_at(work, source_row, knot1, source))
                    jump2 = jump2 + weight * read(work.jumps, jump_at(work, source_row, knot2, source))
                    jump3 = jump3 + weight * read(work.jumps, jump_at(work, source_row, knot3, source))
            put_jump(work, into, knot0, unit, jump0)
            put_jump(work, into, knot1, unit, jump1)
            put_jump(work, into, knot2, unit, jump2)
            put_jump(work, into, knot3, unit, jump3)
        for new in range(num_knots, num_knots + num_new):
            weight = read(net.weights, column + (read(work.flip_unit, new) >> 2) * LANES)
            put_jump(work, into, new, unit, weight * read(work.flip_speed, new))


def jump_at(work, which, knot, unit):
    """Return where a jump is kept."""
    return work.first_jump + (which * work.capacity + knot) * work.row + unit


def put_jump(work, which, knot, unit, jump):
    """Keep the jump of each lane's unit at a knot."""
    put(work.jumps, jump_at(work, which, knot, unit), jump, unit >= 0)


def put_gate(work, place, state):
    """Keep the states of a group at a knot."""
    put(work.gates, work.first_gate + place, state, lane() == 0)
