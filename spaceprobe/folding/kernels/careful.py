"""The careful walk: event by event, settling every unit at every event; for paths with ties.

At t = 0 and at each event the network is run once in order (docs/definitions.md, "Settling"). A unit within
tolerance of zero is at its boundary: its z becomes 0, and it is on exactly if its slope is positive,
the slope computed with the states just settled above it. Every other unit keeps its state. A slope
within tolerance of zero counts as 0. The next event is the earliest crossing of a unit that moves
towards its boundary and is beyond it, by more than tolerance, at t = 1. The net change of the states
is one step, however many units it flips.

Nothing is carried from one event to the next but the states, so this is slow and accumulates no error.
"""

import numpy as np

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.network import PADDING
from spaceprobe.folding.kernels.reading import (
    LENGTH,
    PEAK_LENGTH_A,
    PEAK_LENGTH_B,
    PEAK_REACH_A,
    PEAK_REACH_B,
    REACH_A,
    REACH_B,
    VIOLATIONS,
    read_steps,
)


@inner
def walk_carefully(lanes, network, a, b, tolerance, out):
    """Walk from image ``a`` to image ``b``; values into ``out``."""
    num_units = network.num_units
    z = np.empty(num_units)
    slope = np.empty(num_units)
    zero = np.empty((2, num_units))  # what counts as zero for z and for its slope
    on = np.empty(num_units, np.bool_)
    for unit in range(num_units):
        on[unit] = a.z[unit] > 0.0
    was_on = np.empty(num_units, np.bool_)
    units = np.empty(64, np.int64)
    step_starts = np.zeros(64, np.int64)
    num_steps = 0
    num_flips = 0
    violations = 0
    now = 0.0
    _run(lanes, network, a, b, now, tolerance, True, on, z, slope, zero)
    step = 0.0
    while step < np.inf:
        holds = _agrees(on, z, zero)
        step = _next_event(on, z, slope, zero, 1.0 - now)
        now = min(now + step, 1.0)
        _run(lanes, network, a, b, now, tolerance, False, on, z, slope, zero)
        holds = holds and _agrees(on, z, zero)
        if step == np.inf:
            holds = holds and _arrives(z, b.z, zero)
        if not holds:
            violations += 1
        if step == np.inf:
            continue
        for unit in range(num_units):
            was_on[unit] = on[unit]
        _run(lanes, network, a, b, now, tolerance, True, on, z, slope, zero)
        before = num_flips
        for unit in range(num_units):
            if on[unit] != was_on[unit]:
                if num_flips == len(units):
                    units = _doubled(units)
                units[num_flips] = unit
                num_flips += 1
        if num_flips > before:
            if num_steps + 2 > len(step_starts):
                step_starts = _doubled(step_starts)
            num_steps += 1
            step_starts[num_steps] = num_flips
    length, reach, peak_length, peak_reach = read_steps(units, step_starts, num_steps, num_units)
    out[LENGTH] = length
    out[REACH_A] = reach
    out[PEAK_LENGTH_A] = peak_length
    out[PEAK_REACH_A] = peak_reach
    length, reach, peak_length, peak_reach = read_steps(units, step_starts, -num_steps, num_units)
    out[REACH_B] = reach
    out[PEAK_LENGTH_B] = peak_length
    out[PEAK_REACH_B] = peak_reach
    out[VIOLATIONS] = violations


@inner
def _run(lanes, network, a, b, now, tolerance, settle, on, z, slope, zero):
    """Pre-activations, slopes and what counts as zero at ``now``; settles the states if asked to."""
    for layer in range(network.depth):
        first = network.unit_start[layer]
        for i in range(network.groups[layer] * lanes):
            unit = first + i
            if layer == 0:
                value = (1.0 - now) * a.z[i] + now * b.z[i]
                change = b.z[i] - a.z[i]
                size = max(a.first_scale[i], b.first_scale[i]) ** 2
                change_size = size
            else:
                value = network.biases[unit]
                change = 0.0
                size = value * value if value != PADDING else 0.0
                change_size = 0.0
                above = network.unit_start[layer - 1]
                group = network.fan_in[layer] * (i // lanes)
                for j in range(network.fan_in[layer]):
                    if on[above + j]:
                        place = network.weight_start[layer] + (group + j) * lanes + i % lanes
                        weight = network.weights[place]
                        value += weight * z[above + j]
                        change += weight * slope[above + j]
                        size += (weight * zero[0, above + j] / tolerance) ** 2
                        change_size += (weight * zero[1, above + j] / tolerance) ** 2
            zero[0, unit] = tolerance * np.sqrt(size)
            zero[1, unit] = tolerance * np.sqrt(change_size)
            if settle and abs(value) <= zero[0, unit]:
                value = 0.0
                on[unit] = change > zero[1, unit]
            z[unit] = value
            slope[unit] = change


@inner
def _doubled(numbers):
    larger = np.empty(2 * len(numbers), np.int64)
    for i in range(len(numbers)):
        larger[i] = numbers[i]
    return larger


@inner
def _agrees(on, z, zero):
    """Region check: every unit has the sign of its state or is within tolerance of zero."""
    for unit in range(len(z)):
        outside = z[unit] if not on[unit] else -z[unit]
        if not outside <= zero[0, unit]:
            return False
    return True


@inner
def _arrives(z, target, zero):
    """Region check at t = 1: the values are those of the target's own forward pass."""
    for unit in range(len(z)):
        if not abs(z[unit] - target[unit]) <= zero[0, unit]:
            return False
    return True


@inner
def _next_event(on, z, slope, zero, rest):
    """Time to the next crossing; infinite where none comes before the end, ``rest`` away."""
    first = np.inf
    for unit in range(len(z)):
        height = z[unit] if on[unit] else -z[unit]
        fall = -slope[unit] if on[unit] else slope[unit]
        if height > 0.0 and fall > zero[1, unit] and fall * rest - height > zero[0, unit]:
            first = min(first, height / fall)
    return first
