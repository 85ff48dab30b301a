"""Slopes of all layers just after t = 0, for a block of targets of one source.

They share the source's pattern, so a layer's weights are read once for four targets.
"""

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.product import four_products
from spaceprobe.folding.kernels.vectors import load, shift, store, subtract


@inner
def starting_slopes(tag, tile, network, source, targets, first, last, slopes):
    """Fill row t of ``slopes`` (flat, one padded row a target) for target ``first + t``."""
    lanes = len(tag)
    units = network.num_units
    count = last - first
    for t in range(count):
        b = shift(targets.z_fast, (first + t) * units)
        for at in range(0, network.unit_start[1], lanes):
            change = subtract(load(tag, b, at), load(tag, source.z_fast, at))
            store(slopes, t * units + at, change)
    for layer in range(1, network.depth):
        above = shift(slopes, network.unit_start[layer - 1])
        active = shift(source.states, network.group_start[layer - 1])
        for group in range(network.groups[layer]):
            column = network.weight_start[layer] + group * network.fan_in[layer] * lanes
            into = shift(slopes, network.unit_start[layer] + group * lanes)
            for t in range(0, count, 4):
                row0 = t * units
                row1 = min(t + 1, count - 1) * units  # at the end, a row again
                row2 = min(t + 2, count - 1) * units
                row3 = min(t + 3, count - 1) * units
                four_products(
                    tile, lanes, shift(network.weights, column), network.groups[layer - 1],
                    active, active, active, active,
                    shift(above, row0), shift(above, row1), shift(above, row2), shift(above, row3),
                    shift(into, row0), shift(into, row1), shift(into, row2), shift(into, row3),
                )  # fmt: skip
