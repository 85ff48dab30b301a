"""Folding against depth, width or any other number that a sweep varies."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spaceprobe.analysis.aggregates import aggregate_runs
from spaceprobe.analysis.over_seeds import t_interval
from spaceprobe.analysis.samples import POOLED
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
from spaceprobe.report.drawing.style import MUTED, format_number, styled, title_lines, titled
from spaceprobe.report.entry import FigureEntry
from spaceprobe.report.folding_caption import caption_along
from spaceprobe.results.figure_rows import aggregates_along, why_no_axis
from spaceprobe.results.groups import LABEL, GroupedRows, notes_on_failures, seed_label
from spaceprobe.results.questions import is_zipped, varying_predictors
from spaceprobe.results.results import Results
from spaceprobe.stages import TABLES
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import TRAINED
from spaceprobe.tables.table import Bounds

RESPONSES = {
    "chi_row_max_median": "row maxima of χ\n(median over class pairs)",
    "chi_max": "largest χ\n(median over class pairs)",
    "chi_folded_mean": "share of paths that fold\n(mean over class pairs)",
}
"""What is drawn against depth or width: columns of aggregates.csv, and their names."""

MEAN = Look("mean of networks", MUTED, "-", "o", MUTED)
NETWORK = Look("one network", MUTED, "none", ".", MUTED)
INTERVAL = Look("95 % t interval of the mean", MUTED, "-", "_", width=1.0)


def folding_against(
    runs: pd.DataFrame,
    folding: pd.DataFrame,
    correlations: pd.DataFrame | None = None,
    axis: str = "depth",
) -> Figure:
    """Draw folding against depth, width or a swept number, trained and untrained.

    Every network is a point; the line joins the means over seeds, its bars are t intervals of the mean over
    seeds (95 %), and above stands the correlation with its interval. Where runs at one place differ
    in more than their seed there are no bars, since these would be about something else; nor are there any
    from fewer than three seeds, or from equal ones. Untrained networks with the same weights are one point,
    and there are none on an axis that only training has.

    Args:
        runs: runs.csv.
        folding: aggregates.csv; or folding.csv, which is aggregated here.
        correlations: correlations.csv; None for no correlation.
        axis: ``depth``, ``width`` or the column of a swept number.
    """
    aggregates = folding
    if "source_class" in folding:
        aggregates = aggregate_runs(Frames({"runs": runs, "folding": folding}, TABLES))
    missing = why_no_axis(axis, runs)
    if missing:
        return empty_figure(missing, *notes_on_failures(runs))
    along = aggregates_along(axis, runs, aggregates, correlations)
    rows, notes = along.aggregates, along.notes
    if rows.empty:
        return empty_figure("no class pair was measured", *notes_on_failures(runs))
    mixed = [state for state in STATE_LOOKS if not along.is_over_seeds.get(state, True)]
    if mixed:
        notes = [f"no bars {' and '.join(mixed)}: at one place runs differ in more than their seed", *notes]
    places = NumberAxis(axis, sorted(rows[axis].astype(float).unique()))
    with styled():
        figure = grid_figure(len(RESPONSES), 3, height=2.7)
        has_bars = False
        for axes, (response, name) in zip(figure.axes, RESPONSES.items(), strict=True):
            places.prepare(axes)
            for state in STATE_LOOKS:
                of_state = rows[rows["state"] == state].dropna(subset=response)
                bounds = bounds_of("aggregates", response)
                has_bars |= points_and_means(
                    axes,
                    of_state,
                    places,
                    response,
                    STATE_LOOKS[state],
                    bounds,
                    is_over_seeds=state not in mixed,
                )
            axes.set_ylabel(name)
            keep_within(axes, "y", bounds_of("aggregates", response), low=0)
            note_correlations(axes, along.correlations[along.correlations["response"] == response])
        notes = [*over_seeds(along.correlations, RESPONSES), *notes]
        drawn = [look for state, look in STATE_LOOKS.items() if (rows["state"] == state).any()]
        drawn += [NETWORK, MEAN, *([INTERVAL] if has_bars else [])]
        legend_above(figure, drawn, has_markers=True)
        name_below(figure, "", [*notes, *notes_on_failures(runs)])
    return figure


def points_and_means(
    axes: Axes,
    rows: pd.DataFrame,
    places: NumberAxis,
    response: str,
    look: Look,
    bounds: Bounds,
    *,
    is_over_seeds: bool,
) -> bool:
    """Draw the networks of one state, their means and bars, and return whether there is any bar.

    Args:
        axes: the panel.
        rows: of the networks, with ``group`` and ``seed``.
        places: the x axis.
        response: the column that is drawn.
        look: of the state.
        bounds: of the response.
        is_over_seeds: whether networks at one place differ in nothing but their seed.
    """
    shift = 0.05 if look.name == TRAINED else -0.05
    means = []
    for key, at_place in rows.sort_values("seed", kind="stable").groupby(places.column):
        place = float(key)  # type: ignore[arg-type]  # a column of numbers: `why_no_axis`
        values = at_place[response].to_numpy(float)
        xs = places.shifted(place, shift + _jitter(len(values), 0.08))
        for x, value, group, seed in zip(xs, values, at_place[LABEL], at_place["seed"], strict=True):
            _draw_point(
                axes, x, value, look, f"{seed_label(group, seed)}, {look.name}: {format_number(value)}"
            )
        mean = float(values.mean())
        low, high = (t_interval(values, bounds) if is_over_seeds else None) or (mean, mean)
        means.append((float(places.shifted(place, shift)), mean, mean - low, high - mean))
    if means:
        x, y, below, above = zip(*means, strict=True)
        axes.errorbar(
            x, y, [below, above], color=look.color, linestyle=look.line, capsize=2.5, elinewidth=1,
            marker=look.marker, markersize=5, markerfacecolor=look.fill, clip_on=False,
        )  # fmt: skip
    return any(below > 0 or above > 0 for _, _, below, above in means)


def _draw_point(axes: Axes, x: float, y: float, look: Look, title: str) -> None:
    """Draw one run as an artist of its own, since only artists can have titles."""
    axes.add_line(
        Line2D(
            [x], [y], linestyle="none", marker=look.marker, markersize=3.2, markerfacecolor=look.fill,
            markeredgecolor=look.color, markeredgewidth=0.7, alpha=0.75, gid=titled(title), clip_on=False,
        )
    )  # fmt: skip


def _jitter(count: int, width: float) -> np.ndarray:
    """Return evenly spaced shifts, so that points of equal place do not hide one another."""
    return np.linspace(-width, width, count) if count > 1 else np.zeros(count)


def note_correlations(axes: Axes, correlations: pd.DataFrame) -> None:
    """Write the correlations of each state above a panel, in its colour."""
    lines = []
    for state, look in reversed(STATE_LOOKS.items()):
        rows = correlations[correlations["state"] == state]
        for r, low, high in rows[["pearson", "pearson_low", "pearson_high"]].to_numpy(float):
            interval = ", no interval" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
            pooled = " pooled" if (rows["at"] == POOLED).any() else ""
            lines.append((f"{look.name}{pooled} r = {r:.2f}{interval}", look.color))
    if lines:
        title_lines(axes, lines)


def over_seeds(correlations: pd.DataFrame, responses: Collection[str]) -> list[str]:
    """Return the note on how many seeds the correlations in the figure are means over, if there are any."""
    shown = correlations["response"].isin([*responses]) & correlations["state"].isin([*STATE_LOOKS])
    numbers = sorted({*correlations.loc[shown, "num_seeds"].astype(int)})
    if not numbers:
        return []
    few = " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
    return [f"r: mean over {few} seed{'s' * (numbers[-1] > 1)}"]


Predictor = Callable[[pd.DataFrame], str | None]
"""Given runs.csv, returns what folding is set against; None where that does not vary."""


def entry_against(name: str, title: str, predictor: Predictor) -> FigureEntry:
    """Return the entry of folding against depth, width or another setting."""

    def unvaried(results: Results) -> str | None:
        varying = predictor(results.frames["runs"])
        if varying is not None:
            return (
                f"other settings change with {varying} (sweep.zip)" if is_zipped(results, varying) else None
            )
        return "no other number is swept" if name == "setting" else f"all networks have the same {name}"

    def column(runs: pd.DataFrame) -> str:
        return predictor(runs) or name

    return FigureEntry(
        title=title,
        section="folding",
        function=folding_against,
        tables=("runs", "aggregates", "correlations"),
        options=lambda results: {"axis": column(results.frames["runs"])},
        needs=("folding", "aggregates"),
        drawn=lambda runs, aggregates, _: _drawn(column(runs), runs, aggregates),
        adds={
            "correlations": lambda numbers: _has_correlation(column(numbers.frames["runs"]), numbers.frames)
        },
        unless=unvaried,
        caption=lambda numbers: caption_along(numbers, column(numbers.frames["runs"])),
    )


def _drawn(axis: str, runs: pd.DataFrame, aggregates: pd.DataFrame) -> Mapping[str, GroupedRows]:
    """Return the networks of each state that have a place on an axis."""
    along = aggregates_along(axis, runs, aggregates, None)
    states = along.aggregates.groupby("state", sort=False)
    by_state = {str(state): GroupedRows(rows, [], []) for state, rows in states}
    return {state: by_state[state] for state in STATE_LOOKS if state in by_state}


def _has_correlation(axis: str, frames: Mapping[str, pd.DataFrame]) -> bool:
    """Return whether a correlation with one of the quantities stands in the figure."""
    along = aggregates_along(axis, frames["runs"], frames["aggregates"], frames.get("correlations"))
    rows = along.correlations
    return bool((rows["response"].isin([*RESPONSES]) & rows["state"].isin([*STATE_LOOKS])).any())


def if_varying(name: str) -> Predictor:
    """Return a predictor that is a column of runs.csv, where it varies."""
    return lambda runs: name if name in varying_predictors(runs) else None


ENTRY = entry_against("depth", "Folding against depth", if_varying("depth"))
