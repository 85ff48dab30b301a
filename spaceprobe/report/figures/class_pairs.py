"""Folding over class pairs, as heat maps."""

from collections.abc import Sequence
from typing import Literal, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spaceprobe.report.figures.marks import STATES, empty_figure, name_below, short
from spaceprobe.report.figures.style import GRID, PAPER, SEQUENTIAL, new_figure, shown, styled, titled
from spaceprobe.results.groups import LABEL, by_state, choose, compare, numbers

CELLS = {
    "folded": "share of paths that fold",
    "q50": "median χ of folded paths",
    "max": "largest χ",
}
"""What heat maps show: columns of folding.csv, and their names."""

MAX_MAPS = 6
"""Side by side; more groups go on below. Chosen."""

MAX_CLASSES = 10
"""That have a label at an axis. Chosen."""


def class_pair_heat_maps(
    runs: pd.DataFrame,
    folding: pd.DataFrame,
    columns: Sequence[str] = tuple(CELLS),
    state: Literal["untrained", "trained"] = "trained",
) -> Figure:
    """Draw class pairs as heat maps, a row of maps for each statistic, one map for each architecture.

    Rows of a map are source classes, columns target classes: χ has a direction. Cells are means over seeds,
    colours are on one scale for each statistic; a cell that is crossed out has no value. In an SVG every
    cell has its number as a title.

    Args:
        runs: runs.csv.
        folding: folding.csv.
        columns: the statistics, columns of folding.csv.
        state: ``trained`` for each run's last epoch, ``untrained`` for epoch 0.
    """
    compared = compare(runs, by_state(folding[folding["measure"] == "chi"])[state], 2 * MAX_MAPS)
    rows, groups = numbers(compared.rows, columns), compared.groups
    if rows.empty or not columns:
        return empty_figure(f"no class pair of {STATES[state].name} networks was measured", *compared.notes)
    classes = sorted({*rows["source_class"], *rows["target_class"]})
    blocks = [groups[start : start + MAX_MAPS] for start in range(0, len(groups), MAX_MAPS)]
    with styled():
        options = {"height": _height(len(blocks[0])), "sharex": True, "sharey": True}
        figure = new_figure(len(blocks) * len(columns), len(blocks[0]), **options)
        grid = np.array(figure.axes).reshape(len(blocks), len(columns), -1)
        for place, column in enumerate(columns):
            values = rows.groupby([LABEL, "source_class", "target_class"])[column].mean()
            for block, lines in zip(blocks, grid, strict=True):
                _row_of_maps(figure, lines[place], block, values, classes)
        for block, lines in zip(blocks, grid, strict=True):
            for axes, group in zip(lines[0], block, strict=False):
                axes.set_title(short(group, 60 // len(blocks[0]) + 4, 3), fontsize=8)
            for axes in lines[-1, : len(block)]:
                axes.set_xlabel("to class")
        _label_classes(figure.axes[0], classes)
        name_below(figure, "", compared.notes)
    return figure


def _height(num_maps: int) -> float:
    """Return the height of a row in inches in which so many maps are squares."""
    return min(2.3, 6.4 / num_maps + 0.2)


def _scale(values: pd.Series) -> Normalize:
    low, high = values.min(), values.max()
    return Normalize(low, high) if high > low else Normalize(0, 1)


def _row_of_maps(
    figure: Figure, line: np.ndarray, groups: Sequence[str], values: pd.Series, classes: Sequence[int]
) -> None:
    """Draw one statistic for some groups, with its colour bar; the scale is that of all groups."""
    name = CELLS.get(str(values.name), str(values.name))
    scale = _scale(values)
    for axes, group in zip(line, groups, strict=False):
        _heat_map(axes, values.loc[group], classes, scale, name)
    for axes in line[len(groups) :]:
        axes.set_axis_off()
    bar = figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=[*line], fraction=0.05, pad=0.015, aspect=14)
    bar.set_label(short(name, 17), fontsize=7.5)
    bar.ax.tick_params(labelsize=7)
    for spine in bar.ax.spines.values():
        spine.set_visible(False)
    line[0].set_ylabel("from class")


def _heat_map(axes: Axes, values: pd.Series, classes: Sequence[int], scale: Normalize, name: str) -> None:
    """Draw a cell for each pair as an artist of its own, which alone can have a title."""
    colors = mpl.colormaps[SEQUENTIAL]
    places = {label: place for place, label in enumerate(classes)}
    for pair, value in values.items():
        source, target = cast(tuple[int, int], pair)
        is_there = not pd.isna(value)
        cell = Rectangle(
            (places[target] - 0.5, places[source] - 0.5),
            1,
            1,
            facecolor=colors(scale(value)) if is_there else PAPER,
            edgecolor=PAPER if is_there else GRID,
            hatch=None if is_there else "xxxx",
            linewidth=0.3,
            gid=titled(f"{name}, {source} → {target}: {shown(value) if is_there else 'no folded path'}"),
        )
        axes.add_artist(cell)
    axes.set_aspect("equal")
    axes.tick_params(length=0, labelsize=6)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _label_classes(axes: Axes, classes: Sequence[int]) -> None:
    """Give all maps, which share their axes, the classes as ticks."""
    places = choose(range(len(classes)), MAX_CLASSES)
    labels = [f"{classes[place]}" for place in places]
    axes.set_xlim(-0.5, len(classes) - 0.5)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
