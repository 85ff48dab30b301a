"""The ranks of weight matrices over training."""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.report.drawing.curves import A_RUN
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import (
    LEAST_WIDTH,
    draw_runs,
    empty_figure,
    epoch_axis,
    grid_figure,
    legend_above,
    name_below,
    rule_name,
    sequence_looks,
    short,
)
from spaceprobe.report.drawing.style import styled, that_fit
from spaceprobe.report.entry import AT_END, AT_START, FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import ranks_over_epochs
from spaceprobe.results.groups import LABEL
from spaceprobe.results.results import Results


def rank_evolution(runs: pd.DataFrame, ranks: pd.DataFrame, rule: str = "participation") -> Figure:
    """Draw the rank of every layer over epochs, every seed a thin line and the mean a thick one.

    Args:
        runs: runs.csv.
        ranks: lmd_ranks.csv of several epochs.
        rule: the rule whose (unrounded) rank is drawn.
    """
    grouped = ranks_over_epochs(runs, ranks, rule)
    rows = grouped.rows
    if rows.empty:
        return empty_figure(f"no rank by {rule_name(rule)}", *grouped.notes)
    looks = sequence_looks(sorted(rows["layer"].unique()))
    with styled():
        figure = grid_figure(len(grouped.groups), 5, height=2.4, sharey=True)
        for axes, group in zip(figure.axes, grouped.groups, strict=True):
            of_group = rows[rows[LABEL] == group]
            for layer, of_layer in of_group.groupby("layer"):
                lines = [(run["epoch"], run["value"]) for _, run in of_layer.groupby("run")]
                draw_runs(axes, lines, looks[layer]._replace(line="-"), width=0.5, alpha=0.5)
                mean = of_layer.groupby("epoch")["value"].mean()
                look = looks[layer]
                axes.plot(
                    mean.index,
                    mean,
                    color=look.color,
                    linestyle=look.line,
                    marker=look.marker,
                    markersize=3.5,
                )
            axes.set_title(short(group, 26), fontsize=8)
            axes.set_xlabel("epoch")
            epoch_axis(axes, float(of_group["epoch"].max()))
        keep_within(figure.axes[0], "y", bounds_of("lmd_ranks", "value"), low=0)
        for line in np.array(figure.axes)[:: that_fit(5, LEAST_WIDTH)]:
            line.set_ylabel(short(f"{rule_name(rule)}, unrounded", 24))
        names = [A_RUN, *(look._replace(name=f"layer {layer}") for layer, look in looks.items())]
        legend_above(figure, names, has_markers=True)
        name_below(figure, "", grouped.notes)
    return figure


def _one_epoch(results: Results) -> str | None:
    """Return why there are no two epochs to compare."""
    if results.frames["lmd_ranks"]["epoch"].nunique() < 2:
        return "one epoch only is decomposed (lmd.epoch, training.snapshots)"
    return None


def _caption(numbers: Numbers) -> Markup:
    """Describe how the ranks change."""
    ends = (
        numbers.statistic("median", "lmd_ranks", "value", {"rule": "participation", **where}, ".3g")
        for where in (AT_START, AT_END)
    )
    return sentence(
        "The participation ratio of every layer over training, each seed thin and the mean thick. Its median "
        "over layers is {} untrained and {} trained.",
        *ends,
    )


ENTRY = FigureEntry(
    title="Ranks over training",
    section="matrices",
    function=rank_evolution,
    tables=("runs", "lmd_ranks"),
    drawn=lambda runs, ranks: ranks_over_epochs(runs, ranks, "participation"),
    unless=_one_epoch,
    caption=_caption,
)
