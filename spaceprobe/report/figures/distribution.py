"""The distribution of χ over paths."""

from collections.abc import Mapping, Sequence

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import (
    STATE_LOOKS,
    empty_figure,
    grid_figure,
    name_below,
    sequence_looks,
    short,
)
from spaceprobe.report.drawing.style import letters, styled, that_fit
from spaceprobe.report.entry import AT_END, AT_START, FigureEntry, joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import histogram_rows
from spaceprobe.results.groups import LABEL, GroupedRows
from spaceprobe.results.questions import reading_values
from spaceprobe.tables.states import TRAINED, UNTRAINED
from spaceprobe.tables.table import Bounds

CHI = bounds_of("folding", "max")
"""The range of χ."""

SHORT_NAME = 12
"""Characters of a name that fits twice side by side into a legend of half a figure. Chosen."""


def chi_distribution(runs: pd.DataFrame, histogram: pd.DataFrame) -> Figure:
    """Draw which share of the folded paths has which χ, untrained and trained, by architecture.

    Args:
        runs: runs.csv.
        histogram: folding_histogram.csv: the number of paths in each bin of χ.
    """
    every = histogram_rows(runs, histogram)
    states = {state: grouped for state, grouped in every.items() if grouped.rows["num_paths"].sum() > 0}
    notes = _notes(states or every)
    if not states:
        return empty_figure("no path was measured", *notes)
    rows = pd.concat([grouped.rows for grouped in states.values()])
    with styled():
        most = max(len(grouped.groups) for grouped in states.values())
        height = 2.3 + 0.17 * most  # the legends stand below the panels
        figure = grid_figure(len(states), that_fit(2, 2.6), height=height, sharex=True, sharey=True)
        for axes, (state, grouped) in zip(figure.axes, states.items(), strict=True):
            _draw_densities(axes, grouped.rows, grouped.groups)
            axes.set_title(STATE_LOOKS[state].name)
            axes.set_xlabel("χ of a folded path")
            axes.tick_params(labelbottom=True)
        figure.axes[0].set_ylabel("density of folded paths\n(all class pairs and seeds)")
        folded = rows[(rows["high"] > 0) & (rows["num_paths"] > 0)]
        last = 1 if folded.empty else 1.05 * folded["high"].max()
        keep_within(figure.axes[0], "x", CHI, low=0, high=last)
        keep_within(figure.axes[0], "y", Bounds(0), low=0)
        name_below(figure, "", notes)
    return figure


def _notes(states: Mapping[str, GroupedRows]) -> list[str]:
    """Return what was left out, with the state where it was not left out of all."""
    notes = [note for grouped in states.values() for note in grouped.notes]
    shared = [note for note in dict.fromkeys(notes) if notes.count(note) == len(states)]
    alone = [
        f"{STATE_LOOKS[state].name}: {note}"
        for state, grouped in states.items()
        for note in grouped.notes
        if note not in shared
    ]
    return [*alone, *shared]


def _draw_densities(axes: Axes, rows: pd.DataFrame, groups: Sequence[str]) -> None:
    """Draw the density of one state for each group, and below the panel which share folds at all."""
    for group, look in sequence_looks(groups).items():
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
            label=f"{short(group, letters(40), 1)}: {num_folded / num_paths:.3f}",
        )
    below = offset_copy(
        axes.transAxes, axes.get_figure(root=True), 0, -34, units="points"
    )  # the name of the axis
    axes.legend(
        title="share of all paths that fold", title_fontsize=7.5, fontsize=7.5,
        loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below,
        ncols=2 if max(map(len, groups)) <= SHORT_NAME else 1,
    )  # fmt: skip


def _caption(numbers: Numbers) -> Markup:
    """Describe how many paths were counted, of the networks of each state that is drawn."""
    histogram = numbers.frames["folding_histogram"]
    drawn = histogram_rows(numbers.frames["runs"], histogram)
    where = {"measure": "chi", **reading_values(numbers.frames)}
    epochs = {UNTRAINED: AT_START, TRAINED: AT_END}
    parts = [
        sentence(
            "{} of {} networks",
            numbers.statistic(
                "sum",
                "folding_histogram",
                "num_paths",
                {**where, **epochs[state], **_runs(grouped, histogram)},
            ),
            state,
        )
        for state, grouped in drawn.items()
        if len(grouped.rows)
    ]
    return sentence(
        "Which share of the folded paths has which χ; the legend gives the share of all paths that fold, "
        "those of all class pairs and seeds together. Paths between the images chosen that were counted: {}.",
        joined(parts, " and "),
    )


def _runs(grouped: GroupedRows, histogram: pd.DataFrame) -> dict[str, list[str]]:
    """Return the runs that are drawn, where these are not all: of untrained networks each counts once."""
    names = sorted({*grouped.rows["run"]})
    return {} if names == sorted({*histogram["run"]}) else {"run": names}


ENTRY = FigureEntry(
    title="How far paths fold",
    section="folding",
    function=chi_distribution,
    tables=("runs", "folding_histogram"),
    drawn=histogram_rows,
    caption=_caption,
)
