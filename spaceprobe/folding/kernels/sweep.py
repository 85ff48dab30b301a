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
from spaceprobe.folding.kernels.flips import first_flips, merge_flips, order_flips
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
    prefetch,
    shift,
    spread,
    store,
    subtract,
)
from spaceprobe.folding.kernels.workspace import FULL, LINE, UNSURE

AHEAD = 6  # knots; chosen: how early weights are fetched from the second-level cache


@inner
def walk(tag, tile, network, work, a, b, states_a, states_b, slopes, tolerance):
    """Walk one path; the number of flips (see `MONOTONE`), or `UNSURE`, or `FULL`, and their order.

    The flips are left in ``work.flip_*``, and the second result points to their numbers in the order
    of t; not if the path is monotone: then the order does not matter, and the last layer is not merged.

    ``a`` and ``b`` are the pre-activations at the ends, ``slopes`` those of t = 0+, ``tolerance`` is
    relative to nothing: what counts as zero, one number a layer.
    """
    depth = network.depth
    num_knots = first_flips(tag, network, work, a, b, states_a, states_b, tolerance[0])
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
        if not order_flips(network, work, layer, num_knots, num_new, tolerance[layer]):
            return UNSURE, knots
        if layer + 1 < depth:
            _carry_jumps(tag, tile, network, work, layer + 1, knots, num_knots, num_new, jumps, other_jumps)
            jumps, other_jumps = other_jumps, jumps
        merge_flips(work, times, knots, num_knots, num_new, other_times, other_knots)
        times, other_times = other_times, times
        knots, other_knots = other_knots, knots
        num_knots += num_new
    if depth == 1 and num_knots >= 0:
        num_knots += MONOTONE
    return num_knots, knots


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
                    for line in range(0, lanes, LINE):
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
