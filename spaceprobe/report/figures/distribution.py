"""The distribution of χ over paths."""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.marks import STATE_LOOKS, empty_figure, name_below, sequence_looks, short
from spaceprobe.report.drawing.style import new_figure, styled
from spaceprobe.report.entry import AT_END, FigureEntry, sentence, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import histogram_rows
from spaceprobe.results.groups import LABEL
from spaceprobe.results.questions import reading_values
from spaceprobe.tables.states import by_state

SHORT_NAME = 12
"""Characters of a name that fits twice side by side into a legend of half a figure. Chosen."""


def chi_distribution(runs: pd.DataFrame, histogram: pd.DataFrame) -> Figure:
    """Draw which share of the folded paths has which χ, untrained and trained, by architecture.

    Args:
        runs: runs.csv.
        histogram: folding_histogram.csv: the number of paths in each bin of χ.
    """
    grouped = histogram_rows(runs, histogram)
    rows = grouped.rows
    states = {state: bins for state, bins in by_state(rows).items() if bins["num_paths"].sum() > 0}
    if not states:
        return empty_figure("no path was measured", *grouped.notes)
    with styled():
        height = 2.3 + 0.17 * len(grouped.groups)  # the legends stand below the panels
        figure = new_figure(1, len(states), height=height, sharex=True, sharey=True)
        for axes, (state, bins) in zip(figure.axes, states.items(), strict=True):
            _draw_densities(axes, bins, grouped.groups)
            axes.set_title(STATE_LOOKS[state].name)
            axes.set_xlabel("χ of a folded path")
        figure.axes[0].set_ylabel("density of folded paths\n(all class pairs and seeds)")
        folded = rows[(rows["high"] > 0) & (rows["num_paths"] > 0)]
        figure.axes[0].set_xlim(0, 1 if folded.empty else min(1.0, 1.05 * folded["high"].max()))
        figure.axes[0].set_ylim(bottom=0)
        name_below(figure, "", grouped.notes)
    return figure


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
            label=f"{short(group, 30, 1)}: {num_folded / num_paths:.0%}",
        )
    axes.legend(
        title="share that folds", title_fontsize=7.5, fontsize=7.5,
        loc="upper center", bbox_to_anchor=(0.5, -0.19),
        ncols=2 if max(map(len, groups)) <= SHORT_NAME else 1,
    )  # fmt: skip


def _caption(numbers: Numbers) -> Markup:
    """Describe how many paths were counted."""
    where = {"measure": "chi", **reading_values(numbers.frames), **AT_END}
    return sentence(
        "Which share of the folded paths has which χ; the legend gives the share that folds at all. Counted "
        "are all {} paths between the images chosen, {}.",
        numbers.statistic("sum", "folding_histogram", "num_paths", where),
        when(numbers, "folding_histogram"),
    )


ENTRY = FigureEntry(
    title="How far paths fold",
    section="folding",
    function=chi_distribution,
    tables=("runs", "folding_histogram"),
    needs=("folding", "folding_histogram"),
    caption=_caption,
)
