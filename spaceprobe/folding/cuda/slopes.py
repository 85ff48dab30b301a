"""Where the slopes of a layer start, and by how much they jump at each knot."""

from spaceprobe.folding.cuda.lanes import (
    EVERY,
    LANES,
    is_set,
    lane,
    lowest,
    pick,
    put,
    read,
    sync,
    without_lowest,
)
from spaceprobe.folding.cuda.layout import STRIDE


def first_slopes(net, work, a, i, b, j):
    """Keep the slopes of the first layer."""
    for at in range(0, read(net.unit_start, 1), LANES):
        unit = at + lane()
        slope = read(b.z, j * net.num_units + unit) - read(a.z, i * net.num_units + unit)
        put(work.floats, work.slopes + unit, slope, lane() >= 0)


def start_slopes(net, work, layer, a, i):
    """Keep the slopes of a layer at t = 0+, from those of the layer above.

    Four groups at a time share the search for active units, which takes longer than the product.
    """
    groups = read(net.groups, layer)
    size = read(net.fan_in, layer) * LANES  # of a group's weights
    above = work.slopes + ((layer - 1) % 2) * work.row
    own = work.slopes + (layer % 2) * work.row + lane()
    column = read(net.weight_start, layer) + lane()
    first_state = i * net.num_groups + read(net.group_start, layer - 1)
    for group in range(0, groups - 3, 4):
        slope0 = 0.0 * lane()
        slope1 = 0.0 * lane()
        slope2 = 0.0 * lane()
        slope3 = 0.0 * lane()
        for part in range(read(net.groups, layer - 1)):
            active = read(a.states, first_state + part) & EVERY
            while active:
                source = part * LANES + lowest(active)
                active = without_lowest(active)
                slope = read(work.floats, above + source)
                at = column + group * size + source * LANES
                slope0 = slope0 + read(net.weights, at) * slope
                slope1 = slope1 + read(net.weights, at + size) * slope
                slope2 = slope2 + read(net.weights, at + 2 * size) * slope
                slope3 = slope3 + read(net.weights, at + 3 * size) * slope
        put(work.floats, own + group * LANES, slope0, lane() >= 0)
        put(work.floats, own + (group + 1) * LANES, slope1, lane() >= 0)
        put(work.floats, own + (group + 2) * LANES, slope2, lane() >= 0)
        put(work.floats, own + (group + 3) * LANES, slope3, lane() >= 0)
    for group in range(groups // 4 * 4, groups):
        slope0 = 0.0 * lane()
        for part in range(read(net.groups, layer - 1)):
            active = read(a.states, first_state + part) & EVERY
            while active:
                source = part * LANES + lowest(active)
                active = without_lowest(active)
                weight = read(net.weights, column + group * size + source * LANES)
                slope0 = slope0 + weight * read(work.floats, above + source)
        put(work.floats, own + group * LANES, slope0, lane() >= 0)


def first_jumps(net, work, group, first):
    """Put the jumps of a group of the second layer at a tile of knots into ``work.tile``, knot by knot.

    A unit's jump is its weight times the speed of the unit that flips at the knot.
    """
    column = read(net.weight_start, 1) + group * read(net.fan_in, 1) * LANES + lane()
    jump0 = new_jump(net, work, column, first)
    jump1 = new_jump(net, work, column, first + 1)
    jump2 = new_jump(net, work, column, first + 2)
    jump3 = new_jump(net, work, column, first + 3)
    jump4 = new_jump(net, work, column, first + 4)
    jump5 = new_jump(net, work, column, first + 5)
    jump6 = new_jump(net, work, column, first + 6)
    jump7 = new_jump(net, work, column, first + 7)
    put(work.tile, lane(), jump0, lane() >= 0)
    put(work.tile, lane() + LANES, jump1, lane() >= 0)
    put(work.tile, lane() + 2 * LANES, jump2, lane() >= 0)
    put(work.tile, lane() + 3 * LANES, jump3, lane() >= 0)
    put(work.tile, lane() + 4 * LANES, jump4, lane() >= 0)
    put(work.tile, lane() + 5 * LANES, jump5, lane() >= 0)
    put(work.tile, lane() + 6 * LANES, jump6, lane() >= 0)
    put(work.tile, lane() + 7 * LANES, jump7, lane() >= 0)


def new_jump(net, work, column, place):
    """Return the jump of each lane's unit at a knot where a unit of the layer above flips."""
    weight = read(net.weights, column + (read(work.codes, place) >> 2) * LANES)
    return weight * read(work.floats, work.speeds + place)


def sum_jumps(net, work, layer, group, first):
    """Put the jumps of a group at a tile of knots of layers further up into ``work.tile``, knot by knot.

    A unit's jump is the sum over the active units of the layer above of weight times jump. At knots that are
    flips of that layer it is 0 here (see `new_jump`).
    """
    column = read(net.weight_start, layer) + group * read(net.fan_in, layer) * LANES + lane()
    above = read(net.groups, layer - 1)
    gates = work.gates + ((layer - 1) % 2) * (work.capacity + 1) * (work.row // LANES)
    jumps = work.jumps + ((layer - 1) % 2) * (work.capacity + 1) * work.row + lane()
    origin0 = read(work.origins, first)
    origin1 = read(work.origins, first + 1)
    origin2 = read(work.origins, first + 2)
    origin3 = read(work.origins, first + 3)
    origin4 = read(work.origins, first + 4)
    origin5 = read(work.origins, first + 5)
    origin6 = read(work.origins, first + 6)
    origin7 = read(work.origins, first + 7)
    jump0 = 0.0 * lane()
    jump1 = 0.0 * lane()
    jump2 = 0.0 * lane()
    jump3 = 0.0 * lane()
    jump4 = 0.0 * lane()
    jump5 = 0.0 * lane()
    jump6 = 0.0 * lane()
    jump7 = 0.0 * lane()
    for part in range(above):
        gate0 = gates_of(work, origin0, gates + part)
        gate1 = gates_of(work, origin1, gates + part)
        gate2 = gates_of(work, origin2, gates + part)
        gate3 = gates_of(work, origin3, gates + part)
        gate4 = gates_of(work, origin4, gates + part)
        gate5 = gates_of(work, origin5, gates + part)
        gate6 = gates_of(work, origin6, gates + part)
        gate7 = gates_of(work, origin7, gates + part)
        sync()  # until the lanes have read what is in the tile
        stage_jump(work, origin0, jumps + part * LANES, gate0, 0)
        stage_jump(work, origin1, jumps + part * LANES, gate1, 1)
        stage_jump(work, origin2, jumps + part * LANES, gate2, 2)
        stage_jump(work, origin3, jumps + part * LANES, gate3, 3)
        stage_jump(work, origin4, jumps + part * LANES, gate4, 4)
        stage_jump(work, origin5, jumps + part * LANES, gate5, 5)
        stage_jump(work, origin6, jumps + part * LANES, gate6, 6)
        stage_jump(work, origin7, jumps + part * LANES, gate7, 7)
        sync()
        weights = column + part * LANES * LANES
        active = gate0 | gate1 | gate2 | gate3 | gate4 | gate5 | gate6 | gate7
        while active:
            unit = lowest(active)
            active = without_lowest(active)
            weight = read(net.weights, weights + unit * LANES)
            at = unit * STRIDE
            jump0 = jump0 + weight * read(work.tile, at)
            jump1 = jump1 + weight * read(work.tile, at + 1)
            jump2 = jump2 + weight * read(work.tile, at + 2)
            jump3 = jump3 + weight * read(work.tile, at + 3)
            jump4 = jump4 + weight * read(work.tile, at + 4)
            jump5 = jump5 + weight * read(work.tile, at + 5)
            jump6 = jump6 + weight * read(work.tile, at + 6)
            jump7 = jump7 + weight * read(work.tile, at + 7)
    sync()
    put(work.tile, lane(), jump0, lane() >= 0)
    put(work.tile, lane() + LANES, jump1, lane() >= 0)
    put(work.tile, lane() + 2 * LANES, jump2, lane() >= 0)
    put(work.tile, lane() + 3 * LANES, jump3, lane() >= 0)
    put(work.tile, lane() + 4 * LANES, jump4, lane() >= 0)
    put(work.tile, lane() + 5 * LANES, jump5, lane() >= 0)
    put(work.tile, lane() + 6 * LANES, jump6, lane() >= 0)
    put(work.tile, lane() + 7 * LANES, jump7, lane() >= 0)


def gates_of(work, origin, gates):
    """Return which units of a group are active at a knot; none where one of that layer flips."""
    return read(work.integers, gates + origin * (work.row // LANES)) & EVERY


def stage_jump(work, origin, jumps, gate, number):
    """Put the jumps of 32 units at a knot where all lanes can read them; those of inactive units are 0."""
    jump = read(work.floats, jumps + origin * work.row)
    put(work.tile, lane() * STRIDE + number, pick(is_set(gate), jump, 0.0), lane() >= 0)
