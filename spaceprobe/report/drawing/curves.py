"""Curves over epochs, a line for each run and group."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.marks import (
    Look,
    draw_runs,
    epoch_axis,
    legend_above,
    name_below,
    sequence_looks,
)
from spaceprobe.report.drawing.style import MUTED
from spaceprobe.results.groups import LABEL, GroupedRows

A_RUN = Look("one run", MUTED, "-", width=0.5)
"""A thin line of a figure whose thick ones are means or medians."""


def draw_curves(axes: Axes, grouped: GroupedRows, column: str, middle: str = "mean") -> None:
    """Draw a column over epochs for each group: its runs thin, their middle thick."""
    rows = grouped.rows.dropna(subset=column)
    for group, look in sequence_looks(grouped.groups).items():
        of_group = rows[rows[LABEL] == group]
        lines = [(run["epoch"], run[column]) for _, run in of_group.groupby("run")]
        draw_runs(axes, lines, look._replace(line="-"), width=0.5, alpha=0.4)
        line = of_group.groupby("epoch")[column].agg(middle).reset_index()
        draw_runs(axes, [(line["epoch"], line[column])], look, width=1.7)


def finish_curves(
    figure: Figure, grouped: GroupedRows, middle: str = "mean", others: Sequence[Look] = ()
) -> None:
    """Give all panels their axis of epochs, and the figure its legend and notes.

    Args:
        figure: with everything drawn.
        grouped: the rows that were drawn.
        middle: what the thick lines are.
        others: further lines of the panels.
    """
    for axes in figure.axes:
        epoch_axis(axes, float(grouped.rows["epoch"].max()))
        axes.set_xlabel("epoch")
    thick = Look(f"{middle} over seeds", MUTED, "-", width=1.7)
    legend_above(figure, [*sequence_looks(grouped.groups).values(), A_RUN, thick, *others])
    name_below(figure, "", grouped.notes)
