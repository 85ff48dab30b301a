"""Reach of a path whose steps are taken in random orders; see `spaceprobe.folding.null_model`."""

import numpy as np

from spaceprobe.folding.kernels.compiling import cached, inner

# SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, "Fast splittable pseudorandom number generators")
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@inner
def _mixed(state):
    """The random number that follows from a state."""
    z = state
    z = (z ^ (z >> _30)) * _MIX1
    z = (z ^ (z >> _27)) * _MIX2
    return z ^ (z >> _31)


@cached
def reach_of_orders(units, step_begin, changes, unit_begin, seed, reach):
    """Fill ``reach`` with the reach of one random order of the steps each.

    ``units`` holds the units of each step, from ``step_begin`` of the step to that of the next; ``changes``
    by how much a unit's first flip takes it away from where it started, then its second, and so on, from
    ``unit_begin`` of the unit. A step has at most 2^32 - 1 others, so that no order is likelier than another
    by more than a share of 2^-32 for each step.
    """
    num_steps = len(step_begin) - 1
    order = np.arange(num_steps)
    next_change = np.empty(len(unit_begin), np.int64)
    state = seed
    for number in range(len(reach)):
        # Fisher and Yates, from the order before: of a random order any is as likely again
        for place in range(num_steps - 1, 0, -1):
            state += _GAMMA
            other = np.int64(((_mixed(state) >> _32) * np.uint64(place + 1)) >> _32)
            order[place], order[other] = order[other], order[place]
        next_change[:] = unit_begin
        distance, farthest = 0, 0
        for place in range(num_steps):
            step = order[place]
            for flip in range(step_begin[step], step_begin[step + 1]):
                unit = units[flip]
                distance += changes[next_change[unit]]
                next_change[unit] += 1
            farthest = max(farthest, distance)
        reach[number] = farthest
