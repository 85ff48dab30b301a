"""What a kernel works on: the network, the images, and a warp's memory."""

from typing import Any, NamedTuple

from spaceprobe.folding.cuda.lanes import LANES, read, shared_floats, shared_integers
from spaceprobe.folding.cuda.tally import SLOTS

UNSURE = -1  # instead of a number of flips: a tie, a touch or an end on a boundary
FULL = -2  # the same: more flips than the warp's memory holds

NUM_VALUES = 7  # of a path: length, both reaches, length and reach of both peaks


class Net(NamedTuple):
    """The hidden layers, packed in groups of 32 units (`spaceprobe.folding.kernels.network.pack`)."""

    weights: Any  # flat: layer, group, input, lane
    weight_start: Any  # by layer
    unit_start: Any
    group_start: Any
    groups: Any
    fan_in: Any
    depth: int
    num_units: int  # padded, in all layers
    num_groups: int  # in all layers


class Points(NamedTuple):
    """Forward passes of images, flat in a kernel."""

    z: Any  # (image, padded unit): pre-activations
    states: Any  # (image, group): bit 1 where z > 0
    scale: Any  # (image, layer): largest scale of a unit
    margin: Any  # (image, layer): smallest |z|


class Work(NamedTuple):
    """A warp's memory: lists over the flips found so far, in shared memory unless noted.

    A flip is a *knot* of the layers below its own, and keeps the number under which it was found.
    """

    capacity: int
    times: Any  # of the knots, in the order of t
    other_times: Any  # where the next merge writes to
    knots: Any  # their numbers in that order
    other_knots: Any
    flip_time: Any  # by number
    flip_speed: Any  # |slope| of the unit where it crosses zero
    flip_unit: Any  # 4 * unit in its layer, + 2 if it leads away from a, + 1 if it does from b
    flip_interval: Any  # between which knots of the layers above
    raw_time: Any  # the same four of the layer being swept, in the order of being found
    raw_speed: Any
    raw_unit: Any
    raw_interval: Any
    slopes: Any  # two rows of a layer's slopes at t = 0+
    row: int  # padded units of the widest layer
    jumps: Any  # global, two for each warp: (knot, unit): change of a layer's slopes, active units only
    first_jump: int  # of this warp
    gates: Any  # global, for each warp: (position in time, group): states of a layer at a knot
    first_gate: int
    slot_cell: Any  # of counts: see `tally`
    slot_number: Any


def num_floats(capacity: int, row: int) -> int:
    """Return the float64 of a warp's shared memory."""
    return 2 * (capacity + 1) + 4 * capacity + 2 * row


def num_integers(capacity: int) -> int:
    """Return the int32 behind them."""
    return 6 * capacity + 4 * SLOTS


def shared_bytes(capacity: int, row: int) -> int:
    """Return the size of a warp's shared memory."""
    return 8 * num_floats(capacity, row) + 4 * num_integers(capacity)


def global_bytes(capacity: int, row: int) -> int:
    """Return the size of a warp's global memory, needed from three hidden layers on."""
    return 8 * capacity * (2 * row + row // LANES)


def lay_out(capacity, row, slot, jumps, gates):
    """Return the memory of a warp; part of a kernel."""
    floats = shared_floats(2 * (capacity + 1) + 4 * capacity + 2 * row)
    integers = shared_integers(6 * capacity + 4 * SLOTS, 2 * (capacity + 1) + 4 * capacity + 2 * row)
    lists = 2 * (capacity + 1)
    return Work(
        capacity,
        floats[: capacity + 1],
        floats[capacity + 1 : lists],
        integers[:capacity],
        integers[capacity : 2 * capacity],
        floats[lists : lists + capacity],
        floats[lists + capacity : lists + 2 * capacity],
        integers[2 * capacity : 3 * capacity],
        integers[3 * capacity : 4 * capacity],
        floats[lists + 2 * capacity : lists + 3 * capacity],
        floats[lists + 3 * capacity : lists + 4 * capacity],
        integers[4 * capacity : 5 * capacity],
        integers[5 * capacity : 6 * capacity],
        floats[lists + 4 * capacity : lists + 4 * capacity + 2 * row],
        row,
        jumps,
        slot * 2 * capacity * row,
        gates,
        slot * capacity * (row // LANES),
        integers[6 * capacity : 6 * capacity + 2 * SLOTS],
        integers[6 * capacity + 2 * SLOTS : 6 * capacity + 4 * SLOTS],
    )


def view_net(weights, weight_start, unit_start, group_start, groups, fan_in):
    """Return the network of a kernel's arguments; part of a kernel."""
    depth = len(groups)
    return Net(
        weights, weight_start, unit_start, group_start, groups, fan_in,
        depth, read(unit_start, depth), read(group_start, depth),
    )  # fmt: skip
