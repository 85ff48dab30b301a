"""From a walk to length, reach and peak folding, seen from either end.

Its numbers are those of docs/definitions.md, "Length, reach and space folding".
"""

import numpy as np

from spaceprobe.folding.kernels.compiling import inner

UP_FROM_A = 2  # set in a flip that takes the pattern farther from the one at a
UP_FROM_B = 1  # the same, seen on the way back from b
MONOTONE = 1 << 40  # added to the number of flips when no unit flipped twice

LENGTH, REACH_A, REACH_B, PEAK_LENGTH_A, PEAK_REACH_A, PEAK_LENGTH_B, PEAK_REACH_B, VIOLATIONS = range(8)
NUM_VALUES = 8


@inner
def read_walk(work, num_flips, knots, out):
    """Values of a sure walk, in which every step is one flip, into ``out``."""
    for i in range(NUM_VALUES):
        out[i] = 0
    if num_flips >= MONOTONE:  # the pattern only ever gets farther: reach is length
        out[LENGTH] = num_flips - MONOTONE
        out[REACH_A] = num_flips - MONOTONE
        out[REACH_B] = num_flips - MONOTONE
        return
    out[LENGTH] = num_flips
    unit = work.flip_unit
    distance = 0
    reach = 0
    peak_length = 1  # 1 over 1 stands for the empty prefix: χ = 0
    peak_reach = 1
    for i in range(num_flips):
        distance += (unit[knots[i]] & UP_FROM_A) - 1
        reach = max(reach, distance)
        if reach * peak_length < peak_reach * (i + 1):
            peak_reach = reach
            peak_length = i + 1
    out[REACH_A] = reach
    if peak_length > peak_reach:
        out[PEAK_LENGTH_A] = peak_length
        out[PEAK_REACH_A] = peak_reach
    distance = 0
    reach = 0
    peak_length = 1
    peak_reach = 1
    for i in range(num_flips):
        distance += 2 * (unit[knots[num_flips - 1 - i]] & UP_FROM_B) - 1
        reach = max(reach, distance)
        if reach * peak_length < peak_reach * (i + 1):
            peak_reach = reach
            peak_length = i + 1
    out[REACH_B] = reach
    if peak_length > peak_reach:
        out[PEAK_LENGTH_B] = peak_length
        out[PEAK_REACH_B] = peak_reach


@inner
def read_steps(units, step_starts, num_steps, num_units):
    """Length, reach and peak from the start of a walk whose steps may hold several flips.

    Step i flips ``units[step_starts[i] : step_starts[i + 1]]``; a negative number of steps reads the
    walk backwards, from its end.
    """
    away = np.zeros(num_units, np.bool_)
    backwards = num_steps < 0
    num_steps = abs(num_steps)
    length = 0
    distance = 0
    reach = 0
    peak_length = 1
    peak_reach = 1
    for i in range(num_steps):
        step = num_steps - 1 - i if backwards else i
        for j in range(step_starts[step], step_starts[step + 1]):
            away[units[j]] = not away[units[j]]
            distance += 1 if away[units[j]] else -1
            length += 1
        reach = max(reach, distance)
        if reach * peak_length < peak_reach * length:
            peak_reach = reach
            peak_length = length
    if peak_length == peak_reach:
        peak_length = 0
        peak_reach = 0
    return length, reach, peak_length, peak_reach
