"""How far paths fold in networks of several kinds, exact and sampled ones apart, beside their accuracies."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import (
    STATE_LOOKS,
    Look,
    empty_figure,
    grid_figure,
    legend_above,
    name_below,
    short,
)
from spaceprobe.report.drawing.style import (
    INK,
    MUTED,
    PAPER,
    format_number,
    letters,
    plain,
    styled,
    that_fit,
    titled,
)
from spaceprobe.report.entry import FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.architectures import (
    SAMPLED,
    STATE,
    WALKED,
    counted_units,
    folding_by_network,
    no_kinds,
)
from spaceprobe.results.groups import LABEL, GroupedRows, choose, notes_on_failures
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

MAX_NETWORKS = 16
"""Rows that can be read."""

SHARE = bounds_of("folding", "folded")
"""The range of χ, of shares and of accuracies."""

PANELS = {
    "χ of the paths that fold": "median",
    "share of paths that fold": "folded",
    "test accuracy, trained": "test_accuracy",
}
"""What each panel has on its x axis, and the column of its points."""

OFFSET = {UNTRAINED: 0.2, TRAINED: -0.12}
"""How far below the middle of its row a state is drawn. Chosen."""

GAP = 1.0
"""Rows between networks that were walked exactly and those that were sampled."""


def folding_by_kind(
    runs: pd.DataFrame, histogram: pd.DataFrame, *, units: Mapping[str, int] | None = None
) -> Figure:
    """Draw the distribution of χ, the share of paths that fold and the accuracy, a row for each network.

    A thin bar goes from the 10 % to the 90 % quantile of χ of the folded paths, a thick one from the first to
    the third quartile, each a mean over seeds; every seed is a point, its median in the first panel.

    Args:
        runs: runs.csv.
        histogram: folding_histogram.csv.
        units: the number of counted units by run, for the names of networks; without those of the user's own.
    """
    grouped = _drawn(runs, histogram)
    if grouped.rows.empty:
        return empty_figure("no path was measured", *grouped.notes)
    with styled():
        return draw_kinds(grouped, units)


def draw_kinds(grouped: GroupedRows, units: Mapping[str, int] | None = None) -> Figure:
    """Draw what `folding_by_kind` does, of rows of `folding_by_network`, one or more.

    Args:
        grouped: the rows, the names of networks from the top to the bottom, and what stands below.
        units: as of `folding_by_kind`.
    """
    rows = grouped.rows
    is_sampled = rows.groupby(LABEL)[WALKED].first() == SAMPLED
    num_exact = sum(not is_sampled[group] for group in grouped.groups)
    gap = GAP if 0 < num_exact < len(grouped.groups) else 0.0
    places = {group: n + (gap if is_sampled[group] else 0.0) for n, group in enumerate(grouped.groups)}
    last = max(places.values())
    figure = grid_figure(3, that_fit(3, 2.3), height=0.9 + 0.36 * (last + 1), sharey=True)
    for axes, (name, column) in zip(figure.axes, PANELS.items(), strict=True):
        for group, place in places.items():
            _draw_network(axes, rows[rows[LABEL] == group], column, place)
        axes.set_xlabel(name)
        keep_within(axes, "x", SHARE, **({} if column == "test_accuracy" else {"low": 0}))
        axes.set_ylim(last + 0.6, -0.6)
        if gap:
            axes.axhline(num_exact - 0.5 + gap / 2, color=MUTED, linewidth=0.7, linestyle=":")
    first = figure.axes[0]
    for group, place in places.items():
        if not (rows.loc[rows[LABEL] == group, "folded"] > 0).any():
            start = (0.02, place)
            where = ("axes fraction", "data")
            first.annotate(
                "no path folds", start, xycoords=where, fontsize=7, color=MUTED, va="center",
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
            )  # fmt: skip
    first.set_yticks([*places.values()], [_name(rows, group, units) for group in places], fontsize=7)
    if is_sampled.any():
        at = num_exact - 0.5 + gap if gap else -0.5
        first.annotate(
            "sampled: lower bounds", (1, at), xycoords=("axes fraction", "data"), fontsize=7, color=MUTED,
            ha="right", va="bottom" if not gap else "center",
        )  # fmt: skip
    looks = [look._replace(line="none") for look in STATE_LOOKS.values()]
    looks += [
        Look("middle half", INK, "-", width=3.0),
        Look("middle 80 %", INK, "-", width=1.0),
    ]
    legend_above(figure, looks, has_markers=True)
    name_below(figure, "", grouped.notes)
    return figure


def _draw_network(axes: Axes, rows: pd.DataFrame, column: str, place: float) -> None:
    """Draw the points of one network in a panel, and in that of χ its quantiles."""
    for state, look in STATE_LOOKS.items():
        of_state = rows[rows[STATE] == state].dropna(subset=column)
        if of_state.empty or (column == "test_accuracy" and state != TRAINED):
            continue
        at = place + OFFSET[state]
        if column == "median":
            for low, high, width in (("q10", "q90", 1.0), ("q25", "q75", 3.0)):
                ends = [of_state[low].mean(), of_state[high].mean()]
                axes.plot(ends, [at, at], color=look.color, linewidth=width, solid_capstyle="butt", alpha=0.7)
        mean = format_number(of_state[column].mean())
        axes.plot(
            of_state[column], [at] * len(of_state), linestyle="none", marker=look.marker, markersize=3.4,
            markerfacecolor=look.fill, markeredgecolor=look.color, alpha=0.9,
            gid=titled(f"{rows[LABEL].iloc[0]}, {state}: {mean}"),
        )  # fmt: skip


def _name(rows: pd.DataFrame, group: str, units: Mapping[str, int] | None) -> str:
    """Return what stands beside a row: the network and, where they are known, its counted units."""
    name = short(group, letters(34), 1)
    run = rows.loc[rows[LABEL] == group, "run"].iloc[0]
    if units is None or run not in units:
        return name
    return plain(f"{name}\n{units[run]:,} units")


def _drawn(runs: pd.DataFrame, histogram: pd.DataFrame) -> GroupedRows:
    """Return the rows of `folding_by_network`, of as many networks as can be read."""
    rows = folding_by_network(runs, histogram)
    every = [*rows[LABEL].unique()]
    groups = choose(every, MAX_NETWORKS)
    notes = notes_on_failures(runs)
    if len(groups) < len(every):
        notes = [f"{len(groups)} of {len(every)} groups of runs, evenly from the first to the last", *notes]
    return GroupedRows(rows[rows[LABEL].isin(groups)], groups, notes)


def _by_state(runs: pd.DataFrame, histogram: pd.DataFrame) -> dict[str, GroupedRows]:
    """Return the drawn rows of each state, for the caption to count."""
    drawn = _drawn(runs, histogram)
    return {
        state: GroupedRows(drawn.rows[drawn.rows[STATE] == state], drawn.groups, drawn.notes)
        for state in (UNTRAINED, TRAINED)
    }


def _units(results: Results) -> Mapping[str, Any]:
    # tables without a study, which may be given to a figure, do not tell the units
    return {} if results.study is None else {"units": counted_units(results)}


def _caption(numbers: Numbers) -> Markup:
    """Describe what a row is, and how many networks are sampled."""
    return sentence(
        "A row for each network, with its counted units: χ of the paths that fold, the share of paths that "
        "do, and the test accuracy, {} to {} after the last epoch. Points are seeds, those of χ medians; "
        "bars are quantiles, means over seeds. Networks below a dotted line were sampled: their folding is a "
        "lower bound, not to be compared with the exact numbers above it.",
        *(numbers.statistic(of, "runs", "test_accuracy", {"status": "done"}, ".3f") for of in ("min", "max")),
    )


ENTRY = FigureEntry(
    title="Folding by kind of network",
    section="folding",
    function=folding_by_kind,
    tables=("runs", "folding_histogram"),
    options=_units,
    unless=no_kinds,
    drawn=_by_state,
    caption=_caption,
)
