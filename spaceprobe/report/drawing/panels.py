"""Panels by layer: a row for each group of runs, a column for each layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.marks import count_axis, log_scale, short
from spaceprobe.report.drawing.style import new_figure, that_fit
from spaceprobe.results.groups import LABEL, GroupedRows, choose

MAX_LAYERS = 7
"""Panels side by side that can still be read. Chosen."""

FEW = 3
"""Rows that leave room to be higher. Chosen."""


@dataclass(frozen=True)
class Panel:
    """One panel: its axes, and the rows that it draws."""

    axes: Axes
    group: str
    layer: int
    rows: pd.DataFrame


@dataclass(frozen=True)
class LayerGrid:
    """The panels of a figure that have rows, and notes on what was left out."""

    figure: Figure
    panels: Sequence[Panel]
    notes: list[str]


def layer_grid(grouped: GroupedRows, *, height: float, is_log: bool = False) -> LayerGrid:
    """Return a figure with a panel for each group and layer that has rows, titled and named.

    Args:
        grouped: rows with a column ``layer``; not empty.
        height: of a row in inches; a few rows are higher.
        is_log: whether values are on a log scale.
    """
    layers = sorted(grouped.rows["layer"].unique())
    drawn = choose(layers, that_fit(MAX_LAYERS, 0.95))
    notes = (
        [f"{len(drawn)} of {len(layers)} layers, evenly from the first to the last"]
        if len(drawn) < len(layers)
        else []
    )
    height = height if len(grouped.groups) > FEW else 1.3 * height
    figure = new_figure(len(grouped.groups), len(drawn), height=height, sharey="row")
    grid = np.array(figure.axes).reshape(len(grouped.groups), -1)
    rows = dict(iter(grouped.rows.groupby([LABEL, "layer"])))
    panels = []
    for line, group in zip(grid, grouped.groups, strict=True):
        present = [layer for layer in drawn if (group, layer) in rows]
        for axes, layer in zip(line, drawn, strict=True):
            if layer not in present:
                axes.set_axis_off()
                continue
            axes.set_title(f"layer {layer}", fontsize=7.5)
            axes.tick_params(labelsize=7)
            count_axis(axes)
            if is_log:
                log_scale(axes, "y")
            if layer == present[0]:
                axes.set_ylabel(short(group, 20), fontsize=8)
                axes.tick_params(labelleft=True)
            panels.append(Panel(axes, group, int(layer), rows[group, layer]))
    return LayerGrid(figure, panels, [*notes, *grouped.notes])
