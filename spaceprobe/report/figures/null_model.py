"""χ of single paths beside its null model, against depth, width or another number that a sweep varies."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.predictors import main_predictor
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import (
    STATE_LOOKS,
    Look,
    empty_figure,
    grid_figure,
    legend_above,
    name_below,
)
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.drawing.style import MUTED, styled
from spaceprobe.report.entry import FigureEntry
from spaceprobe.report.figures.depth import (
    INTERVAL,
    MEAN,
    NETWORK,
    note_correlations,
    over_seeds,
    points_and_means,
)
from spaceprobe.results.figure_rows import AlongAxis, why_no_axis
from spaceprobe.results.groups import notes_on_failures
from spaceprobe.results.null_rows import null_along
from spaceprobe.results.questions import is_zipped
from spaceprobe.results.results import Results
from spaceprobe.stages.train.tables import RUNS

PANELS = {
    "chi": "mean χ of paths",
    "matched_chi": "mean χ at matched lengths",
    "excess": "χ minus its null value",
    "matched_excess": "the same at matched lengths",
}
"""What is drawn: columns of folding_null.csv, and their names."""

NULL_OF = {"chi": "null_chi", "matched_chi": "matched_null_chi"}
"""What is drawn beside χ."""

NULL = Look("mean null value: the same flips in random order", MUTED, ":", "x", MUTED)


def folding_beside_null(
    runs: pd.DataFrame,
    aggregates: pd.DataFrame,
    null: pd.DataFrame,
    correlations: pd.DataFrame | None = None,
    axis: str = "depth",
) -> Figure:
    """Draw χ with its null value, and the excess of χ over it, trained and untrained.

    Args:
        runs: runs.csv.
        aggregates: aggregates.csv.
        null: folding_null.csv.
        correlations: folding_null_correlations.csv; None for no correlation.
        axis: ``depth``, ``width`` or the column of a swept number.
    """
    missing = why_no_axis(axis, runs)
    if missing:
        return empty_figure(missing, *notes_on_failures(runs))
    along = null_along(axis, runs, aggregates, null, correlations)
    rows = along.aggregates
    if rows.empty:
        return empty_figure("no single path was measured", *notes_on_failures(runs))
    places = NumberAxis(axis, sorted(rows[axis].astype(float).unique()))
    with styled():
        figure = grid_figure(len(PANELS), 2, height=2.6)
        has_bars = False
        for axes, (column, name) in zip(figure.axes, PANELS.items(), strict=True):
            places.prepare(axes)
            has_bars |= _panel(axes, along, places, column)
            axes.set_ylabel(name)
            if column in NULL_OF:
                _null_lines(axes, rows, places, NULL_OF[column])
                keep_within(axes, "y", bounds_of("folding_null", column), low=0)
            else:
                axes.axhline(0, color=MUTED, linewidth=0.8, zorder=0)
        drawn = [look for state, look in STATE_LOOKS.items() if (rows["state"] == state).any()]
        legend_above(
            figure, [*drawn, NETWORK, MEAN, *([INTERVAL] if has_bars else []), NULL], has_markers=True
        )
        notes = [*over_seeds(along.correlations, PANELS), *along.notes, *notes_on_failures(runs)]
        name_below(figure, "", notes)
    return figure


def _panel(axes: Axes, along: AlongAxis, places: NumberAxis, column: str) -> bool:
    """Draw one quantity in each state, and return whether there is any bar."""
    has_bars = False
    for state, look in STATE_LOOKS.items():
        of_state = along.aggregates[along.aggregates["state"] == state].dropna(subset=column)
        is_over_seeds = along.is_over_seeds.get(state, True)
        bounds = bounds_of("folding_null", column)
        has_bars |= points_and_means(
            axes, of_state, places, column, look, bounds, is_over_seeds=is_over_seeds
        )
    note_correlations(axes, along.correlations[along.correlations["response"] == column])
    return has_bars


def _null_lines(axes: Axes, rows: pd.DataFrame, places: NumberAxis, column: str) -> None:
    """Draw the mean null value of the networks at each place, in the colour of their state."""
    for state, look in STATE_LOOKS.items():
        of_state = rows[rows["state"] == state]
        means = of_state.groupby(places.column)[column].mean()
        axes.plot(
            means.index.to_numpy(float), means.to_numpy(float), color=look.color, linestyle=NULL.line,
            marker=NULL.marker, markersize=4.5, linewidth=1.2, zorder=3, clip_on=False,
        )  # fmt: skip


def _unless(results: Results) -> str | None:
    runs = results.frames["runs"]
    axis = main_predictor(runs, RUNS.settings(runs))
    if axis is None:
        return "no number is swept"
    return f"other settings change with {axis} (sweep.zip)" if is_zipped(results, axis) else None


def _axis(results: Results) -> str:
    runs = results.frames["runs"]
    return main_predictor(runs, RUNS.settings(runs)) or "depth"


ENTRY = FigureEntry(
    title="Folding beside its null model",
    section="folding",
    function=folding_beside_null,
    tables=("runs", "aggregates", "folding_null", "folding_null_correlations"),
    options=lambda results: {"axis": _axis(results)},
    needs=("folding_null", "aggregates"),
    unless=_unless,
    caption="Every point is the mean over the single paths of a network. The null value of a path is its χ "
    "averaged over random orders of its own flips; above zero, paths fold more than the number of their "
    "flips explains. At matched lengths, the lengths of paths that all networks of a seed have count as much "
    "in each of them.",
)
