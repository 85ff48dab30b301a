"""The intrinsic dimension of activations."""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import COUNTED, bounds_of, keep_within
from spaceprobe.report.drawing.marks import (
    STATE_LOOKS,
    Look,
    count_axis,
    empty_figure,
    legend_above,
    name_below,
    short,
)
from spaceprobe.report.drawing.style import MUTED, letters, new_figure, styled, titled
from spaceprobe.report.entry import AT_END, FigureEntry, sentence, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import dimensions
from spaceprobe.results.groups import LABEL, GroupedRows
from spaceprobe.tables.states import by_state

SPACES = {"input": "activations that enter a layer", "output": "that leave it, before the activation"}

ESTIMATORS = {"twonn": ("two nearest neighbours", "-", "o"), "mle": ("maximum likelihood", ":", "^")}
"""Name, line and marker by estimator; the colour is the state's."""


def activation_dimension(runs: pd.DataFrame, dimension: pd.DataFrame) -> Figure:
    """Draw the intrinsic dimension of activations by layer, untrained and trained, by each estimator.

    Markers are means over seeds; the bars reach from the smallest seed to the largest.

    Args:
        runs: runs.csv.
        dimension: lmd_dimension.csv.
    """
    grouped = _rows(runs, dimension)
    if grouped.rows.empty:
        return empty_figure("no dimension of activations was measured", *grouped.notes)
    estimators = [name for name in ESTIMATORS if name in {*grouped.rows["estimator"]}]
    with styled():
        figure = new_figure(len(grouped.groups), len(SPACES), height=2.0, sharey="row")
        grid = np.array(figure.axes).reshape(-1, len(SPACES))
        for axes, name in zip(grid[0], SPACES.values(), strict=True):
            axes.set_title(short(name, letters(80) // 2, 3), fontsize=8)
        for line, group in zip(grid, grouped.groups, strict=True):
            of_group = grouped.rows[grouped.rows[LABEL] == group]
            for axes, space in zip(line, SPACES, strict=True):
                _draw_dimensions(axes, of_group[of_group["space"] == space], estimators)
                axes.set_xlabel("layer")
                count_axis(axes, 7)
                keep_within(axes, "x", COUNTED)
                keep_within(axes, "y", bounds_of("lmd_dimension", "dimension"), low=0)
            line[0].set_ylabel(f"{short(group, 30)}\ndimension")
        legend_above(
            figure,
            [
                *(_with_estimator(look, name) for look in STATE_LOOKS.values() for name in estimators),
                Look("smallest to largest over seeds", MUTED, "-", "_", width=0.9),
            ],
            has_markers=True,
        )
        name_below(figure, "", grouped.notes)
    return figure


def _rows(runs: pd.DataFrame, dimension: pd.DataFrame) -> GroupedRows:
    return dimensions(runs, dimension, [*SPACES])


def _with_estimator(look: Look, name: str) -> Look:
    """Return the look of a state with the line and marker of an estimator."""
    words, line, marker = ESTIMATORS[name]
    return look._replace(name=f"{look.name}, {words}", line=line, marker=marker)


def _draw_dimensions(axes: Axes, rows: pd.DataFrame, estimators: list[str]) -> None:
    """Draw one space of one group: means over seeds by layer, with bars from the smallest to the largest."""
    for state, of_state in by_state(rows).items():
        for name in estimators:
            look = _with_estimator(STATE_LOOKS[state], name)
            values = of_state[of_state["estimator"] == name].groupby("layer")["dimension"]
            low, mean, high = values.min(), values.mean(), values.max()
            if not len(mean):
                continue
            axes.errorbar(
                mean.index, mean, [mean - low, high - mean], color=look.color, linestyle=look.line,
                marker=look.marker, markersize=4.5, markerfacecolor=look.fill, elinewidth=0.9, capsize=2,
                gid=titled(look.name),
            )  # fmt: skip


def _caption(numbers: Numbers) -> Markup:
    """Describe what dimensions were estimated."""
    where = {"estimator": "mle", **AT_END}
    return sentence(
        "Estimated dimension of the activations that enter and leave each layer. Its median {} is {} for "
        "what enters and {} for what leaves a layer (by maximum likelihood); the rank of a weight matrix is "
        "something else.",
        when(numbers, "lmd_dimension"),
        *(
            numbers.statistic("median", "lmd_dimension", "dimension", {"space": space, **where}, ".3g")
            for space in ("input", "output")
        ),
    )


ENTRY = FigureEntry(
    title="Dimension of the activations",
    section="matrices",
    function=activation_dimension,
    tables=("runs", "lmd_dimension"),
    drawn=_rows,
    caption=_caption,
)
