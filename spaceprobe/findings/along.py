"""Findings about how folding changes along depth, width or a swept number."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import MEASURE_NAMES, means_table, networks_table, seed_differences
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, grid_figure, legend_above
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE, TRAINED

MEASURES = ("chi_folded_mean", "chi_max", "chi_row_max_median")
"""The share of paths that fold, and how far they do."""

CAPTION = (
    "A dot is a network, a marker the mean over seeds with its interval, trained and untrained; diamonds "
    "stand beside the line"
)


class Compared(NamedTuple):
    """A comparison of two architectures, or of one before and after training.

    Attributes:
        measure: an aggregate of a network, such as ``chi_max``.
        state: ``untrained``, ``trained`` or `DIFFERENCE`. Of the last, two architectures say whether training
            adds as much to the one as to the other, and one alone what it adds.
        first: an architecture.
        second: the one minus which it is taken, or the same.
    """

    measure: str
    state: str
    first: str
    second: str

    def differences(self, networks: pd.DataFrame) -> list[float]:
        """Return the second minus the first, one a seed; what training adds where they are the same.

        Raises:
            ValueError: they are the same, but the state is not `DIFFERENCE`.
        """
        of_state = networks[networks["state"] == self.state]
        first = of_state[of_state["architecture"] == self.first]
        if self.first != self.second:
            return seed_differences(first, of_state[of_state["architecture"] == self.second], self.measure)
        if self.state != DIFFERENCE:
            raise ValueError(f"{self.first} is compared with itself, expected the state {DIFFERENCE}")
        return [*first[self.measure].astype(float)]


def along_finding(
    says: Callable[[Numbers], Sequence[Markup]],
    axis: str,
    compared: Sequence[Compared],
    *,
    title: str,
    question: str,
    study: str,
    beside: Sequence[str] = (),
    measures: Sequence[str] = MEASURES,
    caption: str = CAPTION,
) -> FindingEntry:
    """Return a finding about the architectures of a study, drawn along an axis, trained and untrained.

    Its tables are ``networks``, kept of aggregates.csv; ``means`` of each architecture, state and measure;
    and the comparisons.

    Args:
        says: the sentences.
        axis: ``depth`` or ``width``.
        compared: the comparisons that are made: those that are spoken of, since each makes the others
            more likely to be inconclusive.
        title: of the section.
        question: what is asked.
        study: its name.
        beside: architectures that are drawn beside the line.
        measures: aggregates of a network.
        caption: how to read the figure.
    """

    def keep(results: Results) -> Tables:
        return {"networks": networks_table(results, measures)}

    def derive(tables: Tables) -> Tables:
        networks = tables["networks"]
        means = means_table(networks, ["architecture", "depth", "width"], measures)
        rows = [each._asdict() | comparison(each.differences(networks)) for each in compared]
        return {"means": means, COMPARISONS: with_holm(rows)}

    def draw(tables: Tables) -> Figure:
        return _draw(tables, axis, beside, measures)

    return FindingEntry(
        title=title, question=question, study=study, kept=("networks",), keep=keep, derive=derive, says=says,
        draw=draw, caption=caption,
    )  # fmt: skip


def _draw(tables: Tables, axis: str, beside: Sequence[str], measures: Sequence[str]) -> Figure:
    networks, means = tables["networks"], tables["means"]
    figure = grid_figure(len(measures), 3, height=2.5)
    places = NumberAxis(axis, sorted(networks[axis].astype(float).unique()))
    for axes, measure in zip(figure.axes, measures, strict=True):
        places.prepare(axes)
        for state in STATE_LOOKS:
            of_state = means[(means["measure"] == measure) & (means["state"] == state)]
            is_beside = of_state["architecture"].isin([*beside])
            points = networks[networks["state"] == state]
            draw_state(axes, places, points, measure, state, of_state[~is_beside], of_state[is_beside])
        axes.set_ylabel(MEASURE_NAMES[measure])
        keep_within(axes, "y", bounds_of("aggregates", measure), low=0)
    legend_above(figure, [*STATE_LOOKS.values()], has_markers=True)
    return figure


def draw_state(
    axes: Axes,
    places: NumberAxis,
    networks: pd.DataFrame,
    measure: str,
    state: str,
    line: pd.DataFrame,
    beside: pd.DataFrame,
) -> None:
    """Draw the networks of one state, a line through the means, and those beside it.

    Args:
        axes: a panel.
        places: its x axis.
        networks: dots.
        measure: the column of theirs that is drawn.
        state: of all of them.
        line: rows of `means_table` that a line joins.
        beside: others, as diamonds.
    """
    look = STATE_LOOKS[state]
    shift = 0.1 if state == TRAINED else -0.1
    xs = [float(places.shifted(value, shift)) for value in networks[places.column]]
    axes.plot(
        xs, networks[measure], linestyle="none", marker=".", markersize=2.5, color=look.color, alpha=0.5
    )
    for means, style, marker in ((line, look.line, look.marker), (beside, "none", "D")):
        if means.empty:  # an errorbar of nothing has a place in the layout: the figure's corner
            continue
        rows = means.sort_values(places.column)
        x = [float(places.shifted(value, shift)) for value in rows[places.column]]
        mean = rows["mean"].to_numpy(float)
        ends = np.nan_to_num(np.abs([rows["low"] - mean, rows["high"] - mean]))
        axes.errorbar(
            x, mean, ends, color=look.color, linestyle=style, capsize=2.5, elinewidth=1, marker=marker,
            markersize=5, markerfacecolor=look.fill, clip_on=False,
        )  # fmt: skip
