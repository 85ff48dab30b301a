"""What a kernel works on: the network, the images, and a warp's memory."""

from typing import Any, NamedTuple

from spaceprobe.folding.cuda.lanes import LANES, read, shared_floats, shared_integers, shared_shorts
from spaceprobe.folding.cuda.tally import SLOTS

UNSURE = -1  # instead of a number of flips: a tie, a touch or an end on a boundary
FULL = -2  # the same: more flips than the warp's memory holds

NUM_VALUES = 7  # of a path: length, both reaches, length and reach of both peaks

TILE = 8
"""Knots whose jumps are summed at a time. They are neighbours in t, and share most active units and the
reading of their weights. Chosen: 8 sums of a lane are 16 registers."""

STRIDE = TILE + 1
"""Of the units in a tile's memory: odd, so that the lanes write to 32 different banks."""

MOST_UNITS = (1 << 16) // 4
"""Of a layer: a flip's unit and where it leads to are kept in 16 bits."""


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
    """A warp's memory: what is read at every knot in shared memory, the rest in global memory.

    A flip is a *knot* of the layers below its own. What counts is a knot's place in the order of t, which
    changes from layer to layer as flips are merged.
    """

    capacity: int  # flips
    row: int  # padded units of the widest layer
    # in shared memory
    times: Any  # by place, and the end of the path behind them
    tile: Any  # of some knots and 32 units: jumps of the layer above, then those of this layer
    codes: Any  # by place: 4 * unit in its layer, + 2 if it leads away from a, + 1 if it does from b
    origins: Any  # by place: place in the layer above; ``capacity`` for flips of that layer
    slot_cell: Any  # of counts: see `tally`
    slot_number: Any
    # in global memory: one array of all warps, and where lists of this one start
    floats: Any
    raw_time: int  # of the flips of a layer, in the order of being found
    raw_speed: int  # |slope| of the unit where it crosses zero
    flip_time: int  # of the same flips, by rank in t
    flip_speed: int
    speeds: int  # of the same flips, by place
    slopes: int  # two rows of a layer's slopes at t = 0+
    jumps: int  # two of (place, unit): changes of a layer's slopes at the knots
    integers: Any
    raw_mark: int  # of the same flips: see `mark`
    gates: int  # two of (place, group): states of a layer at the knots; 0 at the place ``capacity``


def mark(code, interval):
    """Return a flip's code, and between which places of the layer above it happens, as one number."""
    return (interval << 16) | code


def shared_bytes(capacity: int) -> int:
    """Return the size of a warp's shared memory."""
    return 8 * (capacity + 1 + STRIDE * LANES) + 4 * 4 * SLOTS + 2 * 2 * (capacity + TILE)


def num_floats(capacity: int, row: int, depth: int) -> int:
    """Return the float64 of a warp's global memory; jumps are kept from three hidden layers on."""
    return 5 * capacity + TILE + 2 * row + (2 * (capacity + 1) * row if depth > 2 else 0)


def num_integers(capacity: int, row: int, depth: int) -> int:
    """Return the int64 of a warp's global memory; they are 0 at first."""
    return capacity + (2 * (capacity + 1) * (row // LANES) if depth > 2 else 0)


def lay_out(capacity, row, depth, slot, floats, integers):
    """Return the memory of a warp; part of a kernel."""
    shared = shared_floats(capacity + 1 + STRIDE * LANES)
    slots = shared_integers(4 * SLOTS, 8 * (capacity + 1 + STRIDE * LANES))
    shorts = shared_shorts(2 * (capacity + TILE), 8 * (capacity + 1 + STRIDE * LANES) + 4 * 4 * SLOTS)
    jumps = 2 * (capacity + 1) * row if depth > 2 else 0
    gates = 2 * (capacity + 1) * (row // LANES) if depth > 2 else 0
    first = slot * (5 * capacity + TILE + 2 * row + jumps)
    first_integer = slot * (capacity + gates)
    return Work(
        capacity,
        row,
        shared[: capacity + 1],
        shared[capacity + 1 : capacity + 1 + STRIDE * LANES],
        shorts[: capacity + TILE],
        shorts[capacity + TILE : 2 * (capacity + TILE)],
        slots[: 2 * SLOTS],
        slots[2 * SLOTS : 4 * SLOTS],
        floats,
        first,
        first + capacity,
        first + 2 * capacity,
        first + 3 * capacity,
        first + 4 * capacity,
        first + 5 * capacity + TILE,
        first + 5 * capacity + TILE + 2 * row,
        integers,
        first_integer,
        first_integer + capacity,
    )


def view_net(weights, weight_start, unit_start, group_start, groups, fan_in):
    """Return the network of a kernel's arguments; part of a kernel."""
    depth = len(groups)
    return Net(
        weights, weight_start, unit_start, group_start, groups, fan_in,
        depth, read(unit_start, depth), read(group_start, depth),
    )  # fmt: skip
