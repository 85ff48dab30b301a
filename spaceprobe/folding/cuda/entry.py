"""The kernels: matched paths one by one, and a stretch of a grid's paths as counts.

Warps take the paths in turn. A path of which a warp is not sure is put on a list, for the CPU.
"""

from spaceprobe.folding.cuda.lanes import (
    append,
    lane,
    num_warps,
    pick,
    put,
    raise_atomically,
    sync,
    warp_number,
)
from spaceprobe.folding.cuda.layout import NUM_VALUES, Points, lay_out, view_net
from spaceprobe.folding.cuda.reading import read_walk
from spaceprobe.folding.cuda.tally import close_tally, count_in, open_tally
from spaceprobe.folding.cuda.walk import walk_path


def walk_matched(
    weights, weight_start, unit_start, group_start, groups, fan_in,
    a_z, a_states, a_scale, a_margin, b_z, b_states, b_scale, b_margin,
    capacity, row, floats, integers, tolerance, first, count, values, left, num_left,
):  # fmt: skip
    """Walk ``count`` paths from ``first`` on, from an image to that of the same number, into ``values``."""
    net = view_net(weights, weight_start, unit_start, group_start, groups, fan_in)
    a = Points(a_z, a_states, a_scale, a_margin)
    b = Points(b_z, b_states, b_scale, b_margin)
    work = lay_out(capacity, row, net.depth, warp_number(), floats, integers)
    for path in range(warp_number(), count, num_warps()):
        length, num_back = walk_path(net, work, a, first + path, b, first + path, tolerance)
        if length < 0:
            append(left, num_left, path)
        else:
            reach = length + 0 * lane()
            peak_length = 0 * lane()
            peak_reach = 0 * lane()
            if num_back > 0:
                reach, peak_length, peak_reach = read_walk(work, length)
            at = path * NUM_VALUES
            put(values, at, length, lane() == 0)
            put(values, at + 1 + lane(), reach, lane() < 2)
            put(values, at + 3 + 2 * lane(), peak_length, lane() < 2)
            put(values, at + 4 + 2 * lane(), peak_reach, lane() < 2)
        sync()


def walk_grid(
    weights, weight_start, unit_start, group_start, groups, fan_in,
    a_z, a_states, a_scale, a_margin, b_z, b_states, b_scale, b_margin,
    capacity, row, floats, integers, tolerance, first, count,
    num_sources, num_targets, is_triangle, side, cells, maxima, left, num_left,
):  # fmt: skip
    """Count the paths ``first`` to ``first + count`` of a grid, row by row; of a triangle those with i < j.

    ``cells`` has four tables of ``side`` lengths by ``side`` reaches: χ and peak from a, then from b.
    Unfolded paths have the peak (0, 0) and are not counted in it: their number is the rest. ``maxima`` has
    the largest χ and peak by source, then by target.
    """
    net = view_net(weights, weight_start, unit_start, group_start, groups, fan_in)
    a = Points(a_z, a_states, a_scale, a_margin)
    b = Points(b_z, b_states, b_scale, b_margin)
    work = lay_out(capacity, row, net.depth, warp_number(), floats, integers)
    open_tally(work)
    for path in range(warp_number(), count, num_warps()):
        i = (first + path) // num_targets
        j = (first + path) % num_targets
        if is_triangle == 0 or i < j:
            length, num_back = walk_path(net, work, a, i, b, j, tolerance)
            table = pick(lane() == 0, 0, 2 * side * side)
            if length < 0:
                append(left, num_left, path)
            elif num_back == 0:
                count_in(work, cells, table + length * side + length, lane() < 2)
            else:
                reach, peak_length, peak_reach = read_walk(work, length)
                count_in(work, cells, table + length * side + reach, lane() < 2)
                is_folded = (lane() < 2) & (peak_length > peak_reach)
                count_in(work, cells, table + (side + peak_length) * side + peak_reach, is_folded)
                place = pick(lane() == 0, i, 2 * num_sources + j)
                between = pick(lane() == 0, num_sources, num_targets)
                raise_atomically(maxima, place, (length - reach) / length, (lane() < 2) & (reach < length))
                peak = (peak_length - peak_reach) / pick(is_folded, peak_length, 1)
                raise_atomically(maxima, place + between, peak, is_folded)
        sync()
    close_tally(work, cells)
