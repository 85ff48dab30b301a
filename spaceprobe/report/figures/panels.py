"""Panels by layer: a row for each group of runs, a column for each layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.figures.marks import count_axis, log_scale, short
from spaceprobe.report.figures.style import new_figure
from spaceprobe.results.groups import LABEL, Comparison, choose

MAX_LAYERS = 7
"""Panels side by side that can still be read. Chosen."""

FEW = 3
"""Rows that leave room to be higher. Chosen."""


@dataclass(frozen=True)
class Panel:
    """One panel: its axes, and the rows that it shows."""

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


def layer_grid(compared: Comparison, *, height: float, is_log: bool = False) -> LayerGrid:
    """Return a figure with a panel for each group and layer that has rows, titled and named.

    Args:
        compared: rows with a column ``layer``; not empty.
        height: of a row in inches; a few rows are higher.
        is_log: whether values are on a log scale.
    """
    layers = sorted(compared.rows["layer"].unique())
    shown = choose(layers, MAX_LAYERS)
    notes = [f"{len(shown)} of {len(layers)} layers"] if len(shown) < len(layers) else []
    height = height if len(compared.groups) > FEW else 1.3 * height
    figure = new_figure(len(compared.groups), len(shown), height=height, sharey="row")
    grid = np.array(figure.axes).reshape(len(compared.groups), -1)
    rows = dict(iter(compared.rows.groupby([LABEL, "layer"])))
    panels = []
    for line, group in zip(grid, compared.groups, strict=True):
        there = [layer for layer in shown if (group, layer) in rows]
        for axes, layer in zip(line, shown, strict=True):
            if layer not in there:
                axes.set_axis_off()
                continue
            axes.set_title(f"layer {layer}", fontsize=7.5)
            axes.tick_params(labelsize=7)
            count_axis(axes)
            if is_log:
                log_scale(axes, "y")
            if layer == there[0]:
                axes.set_ylabel(short(group, 20), fontsize=8)
                axes.tick_params(labelleft=True)
            panels.append(Panel(axes, group, int(layer), rows[group, layer]))
    return LayerGrid(figure, panels, [*notes, *compared.notes])
