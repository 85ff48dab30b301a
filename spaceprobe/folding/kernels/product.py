"""The product that costs most in deep networks: a layer's weights times rows of its active inputs."""

import numpy as np

from spaceprobe.folding.kernels.compiling import inner
from spaceprobe.folding.kernels.vectors import (
    load,
    lowest,
    multiply_add,
    shift,
    spread,
    spread_at,
    store,
)

TILE = 32  # lanes a sum: times four rows they fill half of AVX-512's 32 registers, and none is spilled


@inner
def four_products(
    tile, lanes, weights, num_groups, active0, active1, active2, active3,
    row0, row1, row2, row3, into0, into1, into2, into3,
):  # fmt: skip
    """Outputs of one group of units for four rows of inputs; ``weights`` are those of the group.

    A row is ``num_groups`` groups of inputs, and is 0 where its bits of ``active`` are. Rows that share
    most active inputs share the reading of their weights.
    """
    for part in range(0, lanes, len(tile)):
        columns = shift(weights, part)
        sum0 = spread(tile, 0.0)
        sum1 = sum0
        sum2 = sum0
        sum3 = sum0
        for group in range(num_groups):
            active = active0[group] | active1[group] | active2[group] | active3[group]
            first = group * lanes
            while active:
                unit = first + lowest(active)
                active &= active - np.uint64(1)
                column = load(tile, columns, unit * lanes)
                sum0 = multiply_add(column, spread_at(tile, row0, unit), sum0)
                sum1 = multiply_add(column, spread_at(tile, row1, unit), sum1)
                sum2 = multiply_add(column, spread_at(tile, row2, unit), sum2)
                sum3 = multiply_add(column, spread_at(tile, row3, unit), sum3)
        store(into0, part, sum0)
        store(into1, part, sum1)
        store(into2, part, sum2)
        store(into3, part, sum3)
