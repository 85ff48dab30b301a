"""Scratch memory of one walking thread; the walk says so when a path has more flips than it holds."""

from typing import Any, NamedTuple

import numpy as np

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.network import Network, aligned_zeros
from spaceprobe.folding.kernels.reading import NUM_VALUES
from spaceprobe.folding.kernels.vectors import pointer, recast, shift

FIRST_CAPACITY = 256  # flips; chosen: a trained 10x60 crosses 169 regions a path
LINE = 8  # doubles of a cache line: a vector that crosses one is read twice

UNSURE = -1  # instead of a number of flips: a tie, a touch or an end on a boundary; walk carefully
FULL = -2  # the same: more flips than the workspace holds; walk again with a larger one


class Workspace(NamedTuple):
    """Pointers to arrays over *knots*: the flips found so far, in the layers walked so far.

    A knot keeps the number under which it was found. ``times`` and ``knots`` list the knots in the
    order of t; the two ``other_`` arrays are where the next merge writes to.
    """

    capacity: int
    times: Any
    other_times: Any
    knots: Any
    other_knots: Any
    flip_time: Any  # by knot
    flip_speed: Any  # by knot: |slope| of the unit where it crosses zero
    flip_unit: Any  # by knot: 4 * unit in its layer, + `UP_FROM_A`, + `UP_FROM_B`
    flip_interval: Any  # by knot: between which knots of the layers above
    raw_time: Any  # the same four, of a layer that is found in another order
    raw_speed: Any
    raw_unit: Any
    raw_interval: Any
    before: Any  # by position in time: flips of the new layer up to this knot
    jumps: Any  # (knot, padded unit): change of a layer's slopes at a knot, active units only
    other_jumps: Any
    gates: Any  # (position in time, group): states of a layer at a knot
    crossing: Any  # two vectors, put down while a crossing is read


class Scratch(NamedTuple):
    """The memory behind a workspace, and what a loop over paths needs beside it."""

    capacity: int
    knots: np.ndarray
    slopes: np.ndarray  # first slopes of a block of targets
    exact_slopes: np.ndarray  # those of one target, in float64
    zero: np.ndarray  # by layer: what counts as zero
    values: np.ndarray  # of one path


def new_scratch(network: Network, lanes: int, block: int, capacity: int) -> Scratch:
    """Return scratch memory for paths of ``capacity`` flips; jumps only where a third layer reads them."""
    rows = capacity if len(network.widths) > 2 else 0
    widest = int(network.groups.max())
    row = -(-(capacity + 1) // LINE) * LINE
    return Scratch(
        capacity,
        aligned_zeros((13 * row + 2 * rows * widest * lanes + 2 * lanes + rows * widest,), float),
        aligned_zeros((block * len(network.biases),), network.biases.dtype),
        aligned_zeros((len(network.biases),), np.float64),
        np.zeros(len(network.widths)),
        np.zeros(NUM_VALUES, np.int64),
    )


@inner
def view_workspace(network, lanes, scratch, states):
    """Pointers into ``scratch``, which the caller keeps; ``states`` is any pointer to states."""
    start = pointer(scratch.knots)
    integers = recast(start, network.widths)
    row = -(-(scratch.capacity + 1) // LINE) * LINE
    rows = scratch.capacity if network.depth > 2 else 0
    size = rows * network.widest * lanes
    jumps = shift(start, 13 * row)
    crossing = shift(jumps, 2 * size)
    return Workspace(
        scratch.capacity,
        start,
        shift(start, row),
        shift(integers, 2 * row),
        shift(integers, 3 * row),
        shift(start, 4 * row),
        shift(start, 5 * row),
        shift(integers, 6 * row),
        shift(integers, 7 * row),
        shift(start, 8 * row),
        shift(start, 9 * row),
        shift(integers, 10 * row),
        shift(integers, 11 * row),
        shift(integers, 12 * row),
        recast(jumps, network.weights),
        recast(shift(jumps, size), network.weights),
        recast(shift(crossing, 2 * lanes), states),
        recast(crossing, network.weights),
    )
