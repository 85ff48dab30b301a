"""The fast walk: layer by layer, sure of every sign or not at all.

Along a path the first layer's pre-activations are affine in t. So a unit that has different signs at
the ends flips once, at a known t: the first *knots*. The next layer is affine between knots. It is
moved from knot to knot; a unit whose sign differs at two neighbouring knots flips once between them,
where its line crosses zero. These flips are merged into the knots, and so on down the layers.

At a knot the slopes of a layer jump. Let d be the slope of the unit that flips there. One layer down,
the slopes jump by |d| times that unit's column (it brings +d when it turns on, which is when d > 0, and
takes d away when it turns off). A jump J of one layer's slopes is W·(J of the active units) one layer
further down. So a knot costs one column in the layer below it and one product in each after that.

The walk gives up (`UNSURE`) where a rounding error could decide: an end, or a layer at a knot, has a
unit within tolerance of zero; two units of a layer flip closer than tolerance; the layer does not
arrive at t = 1 at the pre-activations of b's own forward pass. Such a path is left to the careful walk.
What remains is certified: in each interval every unit has at both ends the sign of its state.
"""

import numpy as np

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.product import four_products
from spaceprobe.folding.kernels.reading import MONOTONE, UP_FROM_A, UP_FROM_B
from spaceprobe.folding.kernels.vectors import (
    add,
    choose,
    greater,
    keep,
    load,
    lowest,
    multiply,
    multiply_add,
    popcount,
    prefetch,
    shift,
    spread,
    store,
    subtract,
)

UNSURE = -1  # a tie, a touch or an end on a boundary: walk carefully
AHEAD = 6  # knots; chosen: how early weights are fetched from the second-level cache
_LINE = 8  # numbers of a cache line
FULL = -2  # more flips than the workspace holds: walk again with a larger one


@inner
def walk(tag, tile, network, work, a, b, states_a, states_b, slopes, tolerance):
    """Walk one path; the number of flips (see `MONOTONE`), or `UNSURE`, or `FULL`, and their order.

    The flips are left in ``work.flip_*``, and the second result points to their numbers in the order
    of t; not if the path is monotone: then the order does not matter, and the last layer is not merged.

    ``a`` and ``b`` are the pre-activations at the ends, ``slopes`` those of t = 0+, ``tolerance`` is
    relative to nothing: what counts as zero, one number a layer.
    """
    depth = network.depth
    num_knots = _first_layer(tag, network, work, a, b, states_a, states_b, tolerance[0])
    times, knots = work.times, work.knots
    other_times, other_knots = work.other_times, work.other_knots
    jumps, other_jumps = work.jumps, work.other_jumps
    num_back = 0
    for layer in range(1, depth):
        if num_knots < 0:
            return num_knots, knots
        times[num_knots] = 1.0
        num_new, back = _sweep(
            tag, network, work, layer, times, knots, num_knots, jumps,
            a, b, states_a, states_b, slopes, tolerance[layer],
        )  # fmt: skip
        if num_new < 0:
            return num_new, knots
        num_back += back
        if layer + 1 == depth and num_back == 0:
            return num_knots + num_new + MONOTONE, knots
        if not _order_flips(network, work, layer, num_knots, num_new, tolerance[layer]):
            return UNSURE, knots
        if layer + 1 < depth:
            _carry_jumps(tag, tile, network, work, layer + 1, knots, num_knots, num_new, jumps, other_jumps)
            jumps, other_jumps = other_jumps, jumps
        _merge(work, times, knots, num_knots, num_new, other_times, other_knots)
        times, other_times = other_times, times
        knots, other_knots = other_knots, knots
        num_knots += num_new
    if depth == 1 and num_knots >= 0:
        num_knots += MONOTONE
    return num_knots, knots


@inner
def _first_layer(tag, network, work, a, b, states_a, states_b, tolerance):
    """Flips of the first layer in order of t; their number, or `UNSURE`, or `FULL`."""
    lanes = len(tag)
    num_flips = np.int64(0)
    for group in range(network.groups[0]):
        changed = states_a[group] ^ states_b[group]
        if num_flips + popcount(changed) > work.capacity:
            return FULL
        while changed:
            unit = group * lanes + lowest(changed)
            changed &= changed - np.uint64(1)
            start = np.float64(a[unit])
            slope = np.float64(b[unit]) - start
            work.raw_time[num_flips] = -start / slope
            work.raw_speed[num_flips] = abs(slope)
            work.raw_unit[num_flips] = 4 * unit + UP_FROM_A + UP_FROM_B
            num_flips += 1
    _sort_by_time(work, num_flips)
    unsure = False
    for i in range(num_flips):
        work.times[i] = work.flip_time[i]
        work.knots[i] = i
        if i > 0:
            gap = work.flip_time[i] - work.flip_time[i - 1]
            unsure |= not gap * min(work.flip_speed[i], work.flip_speed[i - 1]) > tolerance
    return UNSURE if unsure else num_flips


@inner
def _sort_by_time(work, num_flips):
    """Sort flips spread over (0, 1): into as many bins as flips, then by insertion."""
    bins = work.before
    for i in range(num_flips + 1):
        bins[i] = 0
    for i in range(num_flips):
        place = int(work.raw_time[i] * num_flips)
        place = min(max(place, 0), num_flips - 1)
        work.raw_interval[i] = place
        bins[place + 1] += 1
    for i in range(num_flips):
        bins[i + 1] += bins[i]
    for i in range(num_flips):
        place = bins[work.raw_interval[i]]
        bins[work.raw_interval[i]] += 1
        work.flip_time[place] = work.raw_time[i]
        work.flip_speed[place] = work.raw_speed[i]
        work.flip_unit[place] = work.raw_unit[i]
    _insertion_sort(work, 0, num_flips)


@inner
def _insertion_sort(work, first, last):
    """Sort flips ``first`` to ``last`` by time; quick where they nearly are."""
    for i in range(first + 1, last):
        time = work.flip_time[i]
        if time < work.flip_time[i - 1]:
            speed = work.flip_speed[i]
            unit = work.flip_unit[i]
            j = i
            while j > first and work.flip_time[j - 1] > time:
                work.flip_time[j] = work.flip_time[j - 1]
                work.flip_speed[j] = work.flip_speed[j - 1]
                work.flip_unit[j] = work.flip_unit[j - 1]
                j -= 1
            work.flip_time[j] = time
            work.flip_speed[j] = speed
            work.flip_unit[j] = unit


@inner
def _sweep(
    tag, network, work, layer, times, knots, num_knots, jumps,
    a, b, states_a, states_b, slopes, tolerance,
):  # fmt: skip
    """Move one layer from knot to knot; its number of flips, and how many of them lead back to a."""
    lanes = len(tag)
    groups = network.groups[layer]
    below_first = layer == 1
    keep_jumps = layer + 1 < network.depth
    every = ~np.uint64(0) >> np.uint64(64 - lanes)
    plus = spread(tag, tolerance)
    minus = spread(tag, -tolerance)
    num_new = 0
    num_back = 0
    for group in range(groups):
        at = network.unit_start[layer] + group * lanes
        state = states_a[network.group_start[layer] + group]
        start = state
        end = states_b[network.group_start[layer] + group]
        columns = shift(network.weights, network.weight_start[layer] + group * network.fan_in[layer] * lanes)
        # a unit that is on stays so above `plus`; one that is off may have changed above `minus`
        threshold = choose(state, plus, minus)
        z = load(tag, a, at)
        slope = load(tag, slopes, at)
        past = 0.0
        i = 0
        while True:
            time = times[i]
            moved = multiply_add(slope, spread(tag, time - past), z)
            changed = greater(moved, threshold) ^ state
            if changed:
                if (greater(moved, plus) | greater(minus, moved)) & changed != changed:
                    return UNSURE, 0
                if num_knots + num_new + lanes > work.capacity:
                    return FULL, 0
                store(work.crossing, 0, z)
                store(work.crossing, lanes, moved)
                left = changed
                while left:
                    lane = lowest(left)
                    bit = np.uint64(lane)
                    left &= left - np.uint64(1)
                    height = np.float64(work.crossing[lane])
                    fall = height - np.float64(work.crossing[lanes + lane])
                    from_a = np.int64(((state ^ start) >> bit) & np.uint64(1))
                    from_b = np.int64(((state ^ end) >> bit) & np.uint64(1))
                    new = num_knots + num_new
                    work.flip_time[new] = past + (time - past) * (height / fall)
                    work.flip_speed[new] = abs(fall) / (time - past)
                    work.flip_unit[new] = (
                        4 * (group * lanes + lane) + UP_FROM_A * (1 - from_a) + UP_FROM_B * from_b
                    )
                    work.flip_interval[new] = i
                    num_back += from_a
                    num_new += 1
                state ^= changed
                threshold = choose(state, plus, minus)
            work.before[i] = num_new
            z = moved
            past = time
            if i == num_knots:
                break
            knot = knots[i]
            row = (knot * groups + group) * lanes
            if below_first:
                if groups > 1:  # too many weights for the first-level cache
                    ahead = (work.flip_unit[min(i + AHEAD, num_knots - 1)] >> 2) * lanes
                    for line in range(0, lanes, _LINE):
                        prefetch(columns, ahead + line)
                weight = load(tag, columns, (work.flip_unit[knot] >> 2) * lanes)
                speed = spread(tag, work.flip_speed[knot])
                slope = multiply_add(weight, speed, slope)
                if keep_jumps:
                    store(jumps, row, keep(multiply(weight, speed), state))
            else:
                jump = load(tag, jumps, row)
                slope = add(slope, jump)
                if keep_jumps:
                    store(jumps, row, keep(jump, state))
            if keep_jumps:
                work.gates[i * groups + group] = state
            i += 1
        error = subtract(z, load(tag, b, at))
        if greater(plus, error) & greater(error, minus) != every:
            return UNSURE, 0
    return num_new, num_back


@inner
def _order_flips(network, work, layer, num_knots, num_new, tolerance):
    """Order a layer's flips by t; False where two of them are too close to tell their order."""
    if network.groups[layer] > 1:
        _collect_groups(work, num_knots, num_new)
    last = num_knots + num_new
    _insertion_sort(work, num_knots, last)
    sure = True
    for i in range(num_knots + 1, last):
        gap = work.flip_time[i] - work.flip_time[i - 1]
        sure &= gap * min(work.flip_speed[i], work.flip_speed[i - 1]) > tolerance
    return sure


@inner
def _collect_groups(work, num_knots, num_new):
    """Order a layer's flips, found group by group, by their interval; count them by interval."""
    before = work.before
    for i in range(num_knots + 1):
        before[i] = 0
    for i in range(num_new):
        new = num_knots + i
        before[work.flip_interval[new]] += 1
        work.raw_time[i] = work.flip_time[new]
        work.raw_speed[i] = work.flip_speed[new]
        work.raw_unit[i] = work.flip_unit[new]
        work.raw_interval[i] = work.flip_interval[new]
    total = 0
    for i in range(num_knots + 1):
        total += before[i]
        before[i] = total - before[i]
    for i in range(num_new):
        interval = work.raw_interval[i]
        place = num_knots + before[interval]
        before[interval] += 1  # ends as the number of flips up to this knot
        work.flip_time[place] = work.raw_time[i]
        work.flip_speed[place] = work.raw_speed[i]
        work.flip_unit[place] = work.raw_unit[i]
        work.flip_interval[place] = interval


@inner
def _merge(work, times, knots, num_knots, num_new, into_times, into_knots):
    """Put a layer's flips among the knots; every place is known, so nothing is compared."""
    for i in range(num_knots):
        place = i + work.before[i]
        into_times[place] = times[i]
        into_knots[place] = knots[i]
    for i in range(num_new):
        new = num_knots + i
        place = work.flip_interval[new] + i
        into_times[place] = work.flip_time[new]
        into_knots[place] = new


@inner
def _carry_jumps(tag, tile, network, work, layer, knots, num_knots, num_new, jumps, into):
    """Jumps of ``layer`` at all knots, from those of the active units of the layer above it.

    Four knots at a time, neighbours in t: they share most active units.
    """
    lanes = len(tag)
    groups = network.groups[layer]
    above = network.groups[layer - 1]
    for group in range(groups):
        column = network.weight_start[layer] + group * network.fan_in[layer] * lanes
        weights = shift(network.weights, column)
        into_group = shift(into, group * lanes)
        row = above * lanes
        into_row = groups * lanes
        for i in range(0, num_knots, 4):
            i1 = min(i + 1, num_knots - 1)  # at the end, a knot again
            i2 = min(i + 2, num_knots - 1)
            i3 = min(i + 3, num_knots - 1)
            k0 = knots[i]
            k1 = knots[i1]
            k2 = knots[i2]
            k3 = knots[i3]
            four_products(
                tile, lanes, weights, above,
                shift(work.gates, i * above), shift(work.gates, i1 * above),
                shift(work.gates, i2 * above), shift(work.gates, i3 * above),
                shift(jumps, k0 * row), shift(jumps, k1 * row),
                shift(jumps, k2 * row), shift(jumps, k3 * row),
                shift(into_group, k0 * into_row), shift(into_group, k1 * into_row),
                shift(into_group, k2 * into_row), shift(into_group, k3 * into_row),
            )  # fmt: skip
        for new in range(num_knots, num_knots + num_new):
            weight = load(tag, weights, (work.flip_unit[new] >> 2) * lanes)
            store(into_group, new * into_row, multiply(weight, spread(tag, work.flip_speed[new])))
