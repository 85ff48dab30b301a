"""Folding over class pairs, as heat maps."""

import itertools
from collections.abc import Sequence
from typing import cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spaceprobe.report.drawing.marks import STATE_LOOKS, empty_figure, name_below, short
from spaceprobe.report.drawing.style import (
    GRID,
    PAPER,
    SEQUENTIAL,
    figure_width,
    format_number,
    letters,
    new_figure,
    styled,
    that_fit,
    titled,
)
from spaceprobe.report.entry import AT_END, FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import class_pair_rows
from spaceprobe.results.groups import LABEL
from spaceprobe.results.questions import largest_folding, reading_values
from spaceprobe.tables.states import TRAINED

CELLS = {
    "folded": "share of paths that fold",
    "q50": "median χ of folded paths",
    "max": "largest χ",
}
"""The statistics of heat maps: columns of folding.csv, and their names."""

MAX_MAPS = 6
"""Side by side; more groups continue below. Chosen."""

BESIDE_MAPS = 1.5
"""Inches for the classes and the colour bar beside maps: few maps make a narrow figure. Chosen."""

MAX_CLASSES = 10
"""With a label at an axis. Chosen."""

STEPS = (1, 2, 5)
"""From one labelled class to the next, or ten, a hundred times as many: people count in them."""

MAX_PAIRS = 400
"""Chosen: 20 classes have so many. Cells of more are an image, without a title and a link for each."""


def class_pair_heat_maps(
    runs: pd.DataFrame,
    folding: pd.DataFrame,
    columns: Sequence[str] = tuple(CELLS),
    state: str = TRAINED,
) -> Figure:
    """Draw class pairs as heat maps, a row of maps for each statistic, one map for each architecture.

    Rows of a map are source classes, columns target classes: χ has a direction. Cells are means over seeds,
    colours are on one scale for each statistic; a cell that is crossed out has no value. In an SVG every
    cell has its number as a title, where there are at most `MAX_PAIRS` pairs.

    Args:
        runs: runs.csv.
        folding: folding.csv.
        columns: the statistics, columns of folding.csv.
        state: ``trained`` for each run's last epoch, ``untrained`` for epoch 0 (names of
            `spaceprobe.tables.states`).
    """
    grouped = class_pair_rows(runs, folding, columns, state, max_groups=2 * MAX_MAPS)
    rows, groups = grouped.rows, grouped.groups
    if rows.empty or not columns:
        name = STATE_LOOKS[state].name
        return empty_figure(f"no class pair of {name} networks was measured", *grouped.notes)
    classes = sorted({*rows["source_class"], *rows["target_class"]})
    is_many = _has_many_pairs(rows)
    most = that_fit(MAX_MAPS, 1.1)
    blocks = [groups[start : start + most] for start in range(0, len(groups), most)]
    with styled():
        height = _height(len(blocks[0]))
        sizes = {"height": height, "width": len(blocks[0]) * height + BESIDE_MAPS}
        figure = new_figure(len(blocks) * len(columns), len(blocks[0]), **sizes, sharex=True, sharey=True)
        grid = np.array(figure.axes).reshape(len(blocks), len(columns), -1)
        for place, column in enumerate(columns):
            values = rows.groupby([LABEL, "source_class", "target_class"])[column].mean()
            for block, lines in zip(blocks, grid, strict=True):
                _row_of_maps(figure, lines[place], block, values, classes, is_many=is_many)
        for block, lines in zip(blocks, grid, strict=True):
            for axes, group in zip(lines[0], block, strict=False):
                axes.set_title(short(group, letters(60) // len(blocks[0]) + 2, 3), fontsize=8)
            for axes in lines[-1, : len(block)]:
                axes.set_xlabel("to class")
        _label_classes(figure.axes[0], classes)
        name_below(figure, "", grouped.notes)
    return figure


def _has_many_pairs(rows: pd.DataFrame) -> bool:
    return len(rows[["source_class", "target_class"]].drop_duplicates()) > MAX_PAIRS


def _height(num_maps: int) -> float:
    """Return the height in inches of a row in which so many maps are squares."""
    return min(2.3, (figure_width() - 0.8) / num_maps + 0.2)


def _scale(values: pd.Series) -> Normalize:
    low, high = values.min(), values.max()
    return Normalize(low, high) if high > low else Normalize(0, 1)


def _row_of_maps(
    figure: Figure,
    line: np.ndarray,
    groups: Sequence[str],
    values: pd.Series,
    classes: Sequence[int],
    *,
    is_many: bool,
) -> None:
    """Draw one statistic for a row of groups, with its colour bar; the scale is that of all groups."""
    name = CELLS.get(str(values.name), str(values.name))
    scale = _scale(values)
    for axes, group in zip(line, groups, strict=False):
        if is_many:
            _draw_image(axes, values.loc[group], classes, scale)
        else:
            _draw_cells(axes, values.loc[group], classes, scale, name)
        axes.set_aspect("equal")
        axes.tick_params(length=0, labelsize=6)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    for axes in line[len(groups) :]:
        axes.set_axis_off()
    bar = figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=[*line], fraction=0.05, pad=0.015, aspect=14)
    bar.set_label(short(name, 17), fontsize=7.5)
    bar.ax.tick_params(labelsize=7)
    for spine in bar.ax.spines.values():
        spine.set_visible(False)
    line[0].set_ylabel("from class")


def _draw_cells(axes: Axes, values: pd.Series, classes: Sequence[int], scale: Normalize, name: str) -> None:
    """Draw each pair as an artist of its own, since only artists can have titles."""
    colors = mpl.colormaps[SEQUENTIAL]
    places = {label: place for place, label in enumerate(classes)}
    for pair, value in values.items():
        source, target = cast(tuple[int, int], pair)
        has_value = not pd.isna(value)
        cell = Rectangle(
            (places[target] - 0.5, places[source] - 0.5),
            1,
            1,
            facecolor=colors(scale(value)) if has_value else PAPER,
            edgecolor=PAPER if has_value else GRID,
            hatch=None if has_value else "xxxx",
            linewidth=0.3,
            gid=titled(
                f"{name}, {source} → {target}: {format_number(value) if has_value else 'no folded path'}",
                link=f"pair-{source}-{target}",
            ),
        )
        axes.add_artist(cell)


def _draw_image(axes: Axes, values: pd.Series, classes: Sequence[int], scale: Normalize) -> None:
    """Draw all pairs as one image, with a small cross on those without a value."""
    places = {label: place for place, label in enumerate(classes)}
    table = np.full((len(classes), len(classes)), np.nan)
    crosses = []
    for pair, value in values.items():
        source, target = (places[label] for label in cast(tuple[int, int], pair))
        table[source, target] = value
        if pd.isna(value):
            crosses.append((source, target))
    axes.imshow(table, cmap=SEQUENTIAL, norm=scale, interpolation="none")
    sources, targets = np.array(crosses).reshape(-1, 2).T
    axes.plot(targets, sources, linestyle="none", marker="x", color=GRID, markersize=1.5, markeredgewidth=0.4)


def _label_classes(axes: Axes, classes: Sequence[int]) -> None:
    """Give all maps, which share their axes, the classes as ticks: evenly spaced where there are many."""
    steps = (step * 10**power for power in itertools.count() for step in STEPS)
    step = next(step for step in steps if len(range(0, len(classes), step)) <= MAX_CLASSES)
    places = range(0, len(classes), step)
    labels = [f"{classes[place]}" for place in places]
    axes.set_xlim(-0.5, len(classes) - 0.5)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)


def _caption(numbers: Numbers) -> Markup:
    """Describe which class pair folds most."""
    how_to_read = Markup(
        "Rows are the classes that paths start from, columns those where they end: χ has a direction. Cells "
        "are means over seeds, on one scale for each row of maps; "
    ) + (
        "class_pairs.csv has the number of each."
        if _has_many_pairs(numbers.frames["folding"])
        else "a pointer on a cell shows its number."
    )
    row = largest_folding(numbers.frames)
    if row is None:
        return how_to_read
    largest = numbers.cell("folding", row, "max")
    place = sentence(
        "from class {} to class {}",
        numbers.cell("folding", row, "source_class", "d"),
        numbers.cell("folding", row, "target_class", "d"),
    )
    pairs = {"measure": "chi", **reading_values(numbers.frames), **AT_END}
    reaching = {**pairs, "max": float(numbers.value_at("folding", row, "max"))}
    if numbers.value("count", "folding", None, reaching) <= 1:
        return how_to_read + sentence(
            " The largest χ of any trained network is {}, on a path {}.", largest, place
        )
    return how_to_read + sentence(
        " The largest χ of any trained network is {}. Of the {} class pairs of all of them {} reach it, the "
        "first {}.",
        largest,
        numbers.statistic("count", "folding", None, pairs),
        numbers.statistic("count", "folding", None, reaching),
        place,
    )


ENTRY = FigureEntry(
    title="Which classes fold",
    section="folding",
    function=class_pair_heat_maps,
    tables=("runs", "folding"),
    drawn=lambda runs, folding: class_pair_rows(runs, folding, [*CELLS], TRAINED, 2 * MAX_MAPS),
    caption=_caption,
)
