"""Limits of axes: none leaves the range of the quantity that it shows."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from spaceprobe.results.readings import DECLARED
from spaceprobe.tables.table import UNBOUNDED, Bounds

COUNTED = Bounds(0)
"""Of epochs and of the numbers of layers, which start at 0."""

NUMBERED = Bounds(1)
"""Of the numbers of components and axes, which start at 1."""


def bounds_of(table: str, column: str) -> Bounds:
    """Return the range of a quantity as its table declares it; unbounded for a swept setting."""
    declared = DECLARED[table]
    return declared.column(column).bounds if column in declared.names else UNBOUNDED


def keep_within(
    axes: Axes,
    which: Literal["x", "y"],
    bounds: Bounds,
    *,
    low: float | None = None,
    high: float | None = None,
) -> None:
    """Set the limits of an axis around what is drawn, but not beyond the range of its quantity.

    What is drawn at a limit is not cut in half.

    Args:
        axes: a panel with everything drawn.
        which: the axis.
        bounds: the range of its quantity.
        low: where the axis shall begin, if the range goes that far; by default a little below the data.
        high: where it shall end, if the range goes that far.
    """
    first, last = (axes.get_xlim if which == "x" else axes.get_ylim)()
    first, last = (first if low is None else low), (last if high is None else high)
    first = first if bounds.low is None else max(first, bounds.low)
    last = last if bounds.high is None else min(last, bounds.high)
    if first < last:
        (axes.set_xlim if which == "x" else axes.set_ylim)(first, last)
    # What holds nothing stays clipped: its place would be anywhere, and the layout makes room for it.
    for line in axes.lines:
        line.set_clip_on(not np.size(line.get_xdata()))
    for collection in axes.collections:
        collection.set_clip_on(not (len(collection.get_paths()) and np.size(collection.get_offsets())))
