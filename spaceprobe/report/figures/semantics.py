"""What the classes explain of the latent axes of a layer."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.curves import A_RUN
from spaceprobe.report.drawing.limits import NUMBERED, bounds_of, keep_within
from spaceprobe.report.drawing.marks import (
    STATE_LOOKS,
    Look,
    draw_runs,
    empty_figure,
    legend_above,
    name_below,
)
from spaceprobe.report.drawing.panels import layer_grid
from spaceprobe.report.drawing.style import MUTED, styled
from spaceprobe.report.entry import AT_END, AT_START, FigureEntry, sentence, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import axis_shares
from spaceprobe.tables.states import by_state

SHUFFLED = Look("95 % of shuffled labels lie below", MUTED, ":")


def axis_semantics(runs: pd.DataFrame, semantics: pd.DataFrame) -> Figure:
    """Draw which share of each latent axis' variance the classes explain, untrained beside trained.

    Every run is a thin line, the mean over seeds a thick one. The dotted line is the 95 % quantile with
    shuffled labels, at its largest over seeds and states: what lies above is not an accident, but compare it
    with the untrained network, whose axes beat shuffled labels too.

    Args:
        runs: runs.csv.
        semantics: lmd_semantics.csv.
    """
    grouped = axis_shares(runs, semantics)
    if grouped.rows.empty:
        return empty_figure("no class meaning was measured", *grouped.notes)
    with styled():
        grid = layer_grid(grouped, height=1.5)
        for panel in grid.panels:
            shuffled = panel.rows.groupby("axis")["shuffled_q95"].max().reset_index()
            draw_runs(panel.axes, [(shuffled["axis"], shuffled["shuffled_q95"])], SHUFFLED, width=1.2)
            for state, of_state in by_state(panel.rows).items():
                _draw_shares(panel.axes, of_state, STATE_LOOKS[state])
        for panel in grid.panels:
            keep_within(panel.axes, "y", bounds_of("lmd_semantics", "share"), low=0)
            keep_within(panel.axes, "x", NUMBERED)
        legend_above(grid.figure, [*STATE_LOOKS.values(), A_RUN, SHUFFLED], has_markers=True)
        name_below(grid.figure, "latent axis", grid.notes)
        grid.figure.supylabel("share explained by class", fontsize=8.5)
    return grid.figure


def _draw_shares(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    lines = [(run["axis"], run["share"]) for _, run in rows.groupby("run")]
    draw_runs(axes, lines, look._replace(line="-"), width=0.5, alpha=0.5)
    mean = rows.groupby("axis")["share"].mean()
    axes.plot(
        mean.index, mean, color=look.color, linestyle=look.line, linewidth=1.1,
        marker=look.marker, markersize=2.8, markerfacecolor=look.fill,
    )  # fmt: skip


def _caption(numbers: Numbers) -> Markup:
    """Describe how much of an axis is class."""
    epochs = [AT_END, *([AT_START] if numbers.frames["lmd_semantics"]["epoch"].nunique() > 1 else [])]
    parts = [numbers.statistic("median", "lmd_semantics", "share", where, ".2f") for where in epochs]
    return sentence(
        "Which share of the variance along each latent axis is between classes, with the 95 % quantile for "
        "shuffled labels. Its median over all axes is {} {}{}.",
        parts[0],
        when(numbers, "lmd_semantics"),
        sentence(" and {} before: every direction of images carries some class", parts[1])
        if parts[1:]
        else "",
    )


ENTRY = FigureEntry(
    title="Class meaning of latent axes",
    section="matrices",
    function=axis_semantics,
    tables=("runs", "lmd_semantics"),
    drawn=axis_shares,
    caption=_caption,
)
