"""Folding against depth, width or any other number that a sweep varies, and over paths."""

from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from spaceprobe.analysis.aggregates import aggregate_runs
from spaceprobe.analysis.over_seeds import t_interval
from spaceprobe.report.figures.marks import (
    STATES,
    Look,
    empty_figure,
    legend_above,
    log_label,
    name_below,
    sequence_looks,
    short,
)
from spaceprobe.report.figures.style import corner_note, new_figure, shown, styled, titled
from spaceprobe.results.groups import (
    LABEL,
    Comparison,
    by_state,
    compare,
    jitter,
    matching,
    not_done,
    numbers,
    one_reading,
    reading_keys,
    with_groups,
)
from spaceprobe.stages.fold.tables import FOLDING
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.frames import Frames

RESPONSES = {
    "chi_row_max_median": "row maxima of χ\n(median over class pairs)",
    "chi_max": "largest χ\n(median over class pairs)",
    "chi_folded_mean": "share of paths that fold\n(mean over class pairs)",
}
"""What is drawn against depth or width: columns of the aggregates, and their names."""

AXES = {"depth": "depth (hidden layers)", "width": "width (units a hidden layer)"}
"""Names of columns that are no settings; a swept setting is called what its column is."""

SHORT_NAME = 12
"""Characters of a name that fits twice beside itself into a legend of half a figure. Chosen."""

LOG_FROM = 8.0
"""Largest over smallest place from which an axis other than depth is logarithmic. Chosen."""

R = ("pearson", "pearson_low", "pearson_high")

TICK_GAP = 0.035
"""Of a panel's width, for each character of two neighbouring tick labels that shall not meet."""


def folding_against(
    runs: pd.DataFrame, folding: pd.DataFrame, correlations: pd.DataFrame | None = None, axis: str = "depth"
) -> Figure:
    """Draw folding against depth, width or a swept number, trained and untrained.

    Every seed is a point; the line joins the means over seeds, its bars are t intervals of the mean over
    seeds (95 %), and in the corner stands the correlation with its interval. Where runs at one place differ
    in more than their seed there are no bars, since these would be about something else.

    Args:
        runs: runs.csv.
        folding: folding.csv.
        correlations: correlations.csv; None for no correlation.
        axis: ``depth``, ``width`` or the column of a swept number.
    """
    missing = _why_no_axis(runs, axis)
    if missing:
        return empty_figure(missing, *not_done(runs))
    rows, notes = one_reading(folding[folding["run"].isin(runs["run"][runs["status"] == "done"])])
    if rows.empty:
        return empty_figure("no class pair was measured", *not_done(runs))
    grouped = with_groups(runs)[["run", LABEL]]
    aggregates = (
        aggregate_runs(Frames({"runs": runs, "folding": rows}, (RUNS, FOLDING)))
        .merge(grouped, on="run")
        .dropna(subset=axis)
    )
    is_over_seeds = not aggregates.duplicated([axis, "state", "seed"]).any()
    if not is_over_seeds:
        notes = ["no bars: at one place runs differ in more than their seed", *notes]
    if correlations is not None:
        correlations = matching(correlations, rows[reading_keys(rows)].iloc[:1])
    places = _Places(axis, sorted(aggregates[axis].astype(float).unique()))
    with styled():
        figure = new_figure(1, len(RESPONSES), height=2.7)
        for axes, (response, name) in zip(figure.axes, RESPONSES.items(), strict=True):
            places.prepare(axes)
            for state in STATES:
                of_state = aggregates[aggregates["state"] == state].dropna(subset=response)
                _points_and_means(axes, of_state, places, response, state, is_over_seeds)
            axes.set_ylabel(name)
            axes.set_ylim(bottom=0)
            if correlations is not None:
                _note_correlations(axes, correlations, axis, response)
        legend_above(figure, [*STATES.values()], has_markers=True)
        name_below(figure, "", [*notes, *not_done(runs)])
    return figure


def chi_distribution(runs: pd.DataFrame, histogram: pd.DataFrame) -> Figure:
    """Draw which share of the folded paths has which χ, untrained and trained, by architecture.

    Args:
        runs: runs.csv.
        histogram: folding_histogram.csv: the number of paths in each bin of χ.
    """
    compared = compare(runs, histogram[histogram["measure"] == "chi"])
    rows = numbers(compared.rows, ["low", "high", "num_paths"])
    states = {state: some for state, some in by_state(rows).items() if some["num_paths"].sum() > 0}
    if not states:
        return empty_figure("no path was measured", *compared.notes)
    with styled():
        height = 2.3 + 0.17 * len(compared.groups)  # the legends stand below the panels
        figure = new_figure(1, len(states), height=height, sharex=True, sharey=True)
        for axes, (state, some) in zip(figure.axes, states.items(), strict=True):
            _draw_densities(axes, some, compared)
            axes.set_title(STATES[state].name)
            axes.set_xlabel("χ of a folded path")
        figure.axes[0].set_ylabel("density of folded paths\n(all class pairs and seeds)")
        folded = rows[(rows["high"] > 0) & (rows["num_paths"] > 0)]
        figure.axes[0].set_xlim(0, 1 if folded.empty else min(1.0, 1.05 * folded["high"].max()))
        figure.axes[0].set_ylim(bottom=0)
        name_below(figure, "", compared.notes)
    return figure


def _why_no_axis(runs: pd.DataFrame, axis: str) -> str:
    """Return why nothing can be drawn against a column of runs.csv; nothing where it can."""
    if axis not in (*AXES, *RUNS.settings(runs)):
        return f"this study sweeps no {axis}"
    values = runs.loc[runs["status"] == "done", axis].dropna()
    if len(values) and (not is_numeric_dtype(values) or is_bool_dtype(values)):
        return f"{axis} is no number"
    if values.nunique() < 2:
        return f"{axis} is the same in all runs that are done"
    return ""


class _Places:
    """Where the values of a swept number stand on an x axis."""

    def __init__(self, axis: str, values: list[float]) -> None:
        """Take the column and its different values, smallest first; at least one."""
        self.column = axis
        self.values = values
        self.is_log = axis != "depth" and values[0] > 0 and values[-1] >= LOG_FROM * values[0]
        scaled = np.log10(values) if self.is_log else np.array(values)
        self.span = float(scaled[-1] - scaled[0]) or 1.0
        self.unit = float(np.diff(scaled).min(initial=self.span))

    def shifted(self, value: float, shift: np.ndarray | float) -> np.ndarray:
        """Return places beside a value, moved by parts of the smallest distance between two."""
        return np.asarray(value * 10 ** (shift * self.unit) if self.is_log else value + shift * self.unit)

    def prepare(self, axes: Axes) -> None:
        """Give a panel its x axis, with a tick at every value whose label does not meet the one before."""
        axes.set_xlabel(short(AXES.get(self.column, self.column), 40))
        if self.is_log:
            axes.set_xscale("log")
        ticks, end = [], -np.inf
        for value in self.values:
            label = log_label(value) if value > 0 else f"{value:g}"
            scaled = np.log10(value) if self.is_log else value
            half = 0.5 * TICK_GAP * (len(label) + 1) * self.span
            if scaled - half >= end:
                ticks.append((value, label))
                end = scaled + half
        axes.set_xticks([value for value, _ in ticks], [label for _, label in ticks])
        axes.minorticks_off()
        first, last = self.values[0], self.values[-1]
        margin = max(0.12 * self.span / self.unit, 0.25)  # half a marker beyond the points beside a value
        axes.set_xlim(float(self.shifted(first, -margin)), float(self.shifted(last, margin)))


def _points_and_means(
    axes: Axes, rows: pd.DataFrame, places: _Places, response: str, state: str, is_over_seeds: bool
) -> None:
    look = STATES[state]
    shift = 0.05 if state == "trained" else -0.05
    means = []
    for place, some in rows.sort_values("seed", kind="stable").groupby(places.column):
        value_of_place = float(place)  # type: ignore[arg-type]  # a column of numbers: `_why_no_axis`
        values = some[response].to_numpy(float)
        xs = places.shifted(value_of_place, shift + jitter(len(values), 0.08))
        for x, value, group, seed in zip(xs, values, some[LABEL], some["seed"], strict=True):
            _draw_point(axes, x, value, look, f"{group}-s{seed}, {look.name}: {shown(value)}")
        mean = float(values.mean())
        low, high = (t_interval(values) if is_over_seeds else None) or (mean, mean)
        means.append((float(places.shifted(value_of_place, shift)), mean, mean - low, high - mean))
    if means:
        x, y, below, above = zip(*means, strict=True)
        axes.errorbar(
            x, y, [below, above], color=look.color, linestyle=look.line, capsize=2.5, elinewidth=1,
            marker=look.marker, markersize=5, markerfacecolor=look.fill,
        )  # fmt: skip


def _draw_point(axes: Axes, x: float, y: float, look: Look, words: str) -> None:
    """Draw one run as an artist of its own, which alone can have a title."""
    axes.add_line(
        Line2D(
            [x], [y], linestyle="none", marker=look.marker, markersize=3.2, markerfacecolor=look.fill,
            markeredgecolor=look.color, markeredgewidth=0.7, alpha=0.75, gid=titled(words),
        )
    )  # fmt: skip


def _note_correlations(axes: Axes, correlations: pd.DataFrame, axis: str, response: str) -> None:
    asked = (correlations["predictor"] == axis) & (correlations["response"] == response)
    asked &= (correlations["given"] == "none") & (correlations["min_accuracy"] == 0)
    asked &= (correlations["seed"].astype(str) == "all") & (correlations["interval"] == "t over seeds")
    rows = correlations[asked].dropna(subset="pearson").drop_duplicates("state").set_index("state")
    lines = []
    for state, look in reversed(STATES.items()):
        if state in rows.index:
            r, low, high = (float(cast(Any, rows.loc[state, name])) for name in R)
            interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
            lines.append((f"{look.name} r = {r:.2f}{interval}", look.color))
    if lines:
        axes.set_ylim(0, 1.2 * axes.get_ylim()[1])  # room above the points
        corner_note(axes, lines)


def _draw_densities(axes: Axes, rows: pd.DataFrame, compared: Comparison) -> None:
    """Draw the density of one state for each group, and below the panel which share folds at all."""
    for group, look in sequence_looks(compared.groups).items():
        bins = rows[rows[LABEL] == group].groupby(["low", "high"], as_index=False)["num_paths"].sum()
        num_paths = bins["num_paths"].sum()
        folded = bins[bins["high"] > 0]
        num_folded = folded["num_paths"].sum()
        if not num_paths:
            continue
        widths = folded["high"] - folded["low"]
        axes.stairs(
            (folded["num_paths"] / max(1, num_folded) / widths).to_numpy(),
            [*folded["low"], *folded["high"].iloc[-1:]] or [0.0],
            color=look.color,
            linestyle=look.line,
            linewidth=1.3,
            label=f"{short(group, 30, 1)}: {num_folded / num_paths:.0%}",
        )
    axes.legend(
        title="share that folds", title_fontsize=7.5, fontsize=7.5,
        loc="upper center", bbox_to_anchor=(0.5, -0.19),
        ncols=2 if max(map(len, compared.groups)) <= SHORT_NAME else 1,
    )  # fmt: skip
