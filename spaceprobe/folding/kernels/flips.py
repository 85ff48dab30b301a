"""Lists of flips: those of the first layer in closed form, how flips are ordered, how they are merged."""

import numpy as np

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.reading import UP_FROM_A, UP_FROM_B
from spaceprobe.folding.kernels.vectors import lowest, popcount
from spaceprobe.folding.kernels.workspace import FULL, UNSURE


@inner
def first_flips(tag, network, work, a, b, states_a, states_b, tolerance):
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
def order_flips(network, work, layer, num_knots, num_new, tolerance):
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
def merge_flips(work, times, knots, num_knots, num_new, into_times, into_knots):
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
