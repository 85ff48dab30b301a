"""Ranks of weight matrices: by rule against the rank that is needed, and over training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.figures.marks import (
    Look,
    draw_runs,
    empty_figure,
    epoch_axis,
    grid_figure,
    legend_above,
    log_scale,
    name_below,
    sequence_looks,
    short,
)
from spaceprobe.report.figures.style import INK, MUTED, corner_note, plain, styled
from spaceprobe.results.groups import LABEL, compare, last_epochs, numbers

FUNCTIONAL = "functional"
"""The rule whose rank was measured: the least that keeps the network's accuracy."""

FIT = "in the corners: geometric mean of rank / functional rank, root mean square of its logarithm"

MAX_RULES = 16
"""That are drawn. There are fewer; a table of another program may have more."""

KEYS = ["run", "epoch", "layer"]


def ranks_against_functional(ranks: pd.DataFrame, runs: pd.DataFrame | None = None) -> Figure:
    """Draw the rank that each rule gives against the functional rank, a point for each layer of a run.

    On the diagonal a rule gives just the rank that the network needs. In the corner stand the geometric mean
    of rank / functional rank and the root mean square of its logarithm.

    Args:
        ranks: lmd_ranks.csv with the rule ``functional``, of each run's last epoch.
        runs: runs.csv, for leaving out runs that failed; None for all runs.
    """
    notes: list[str] = []
    if runs is not None:
        compared = compare(runs, ranks, most=len(runs))
        ranks, notes = compared.rows, compared.notes
    points = _rule_and_need(numbers(last_epochs(ranks), ["rank"]))
    rules = [*dict.fromkeys(points["rule"])][:MAX_RULES]
    if not rules:
        return empty_figure("no functional rank was measured", *notes)
    looks = sequence_looks(sorted(points["layer"].unique()))
    largest = points[["needed", "rank"]].to_numpy(float).max()
    with styled():
        figure = grid_figure(len(rules), 4, height=1.65, sharex=True, sharey=True)
        log_scale(figure.axes[0], "x", "y")
        for axes, rule in zip(figure.axes, rules, strict=True):
            axes.plot([1, largest], [1, largest], color=MUTED, linewidth=0.8)
            some = points[points["rule"] == rule]
            for layer, rows in some.groupby("layer"):
                _draw_points(axes, rows, looks[layer])
            axes.set_title(plain(rule), fontsize=8)
            _note_fit(axes, some)
        for axes in figure.axes[-4:]:
            axes.tick_params(labelbottom=True)
        names = [look._replace(name=f"layer {layer}", line="none") for layer, look in looks.items()]
        legend_above(figure, names, has_markers=True)
        name_below(figure, "functional rank: the smallest that keeps the accuracy", [FIT, *notes])
        figure.supylabel("rank by rule", fontsize=8.5)
    return figure


def rank_evolution(runs: pd.DataFrame, ranks: pd.DataFrame, rule: str = "participation") -> Figure:
    """Draw the rank of every layer over epochs, every seed a thin line and the mean a thick one.

    Args:
        runs: runs.csv.
        ranks: lmd_ranks.csv of several epochs.
        rule: the rule whose (unrounded) rank is drawn.
    """
    compared = compare(runs, numbers(ranks[ranks["rule"] == rule], ["value"]).dropna(subset="value"))
    rows = compared.rows
    if rows.empty:
        return empty_figure(f"no rank by {rule}", *compared.notes)
    looks = sequence_looks(sorted(rows["layer"].unique()))
    with styled():
        figure = grid_figure(len(compared.groups), 5, height=2.4, sharey=True)
        for axes, group in zip(figure.axes, compared.groups, strict=True):
            of_group = rows[rows[LABEL] == group]
            for layer, some in of_group.groupby("layer"):
                lines = [(run["epoch"], run["value"]) for _, run in some.groupby("run")]
                draw_runs(axes, lines, looks[layer]._replace(line="-"), width=0.5, alpha=0.5)
                mean = some.groupby("epoch")["value"].mean()
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
        figure.axes[0].set_ylim(bottom=0)
        figure.axes[0].set_ylabel(short(f"rank by {rule}, unrounded", 24))
        names = [look._replace(name=f"layer {layer}") for layer, look in looks.items()]
        legend_above(figure, names, has_markers=True)
        name_below(figure, "", compared.notes)
    return figure


def _rule_and_need(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the valid ranks by rule with the functional rank of the same layer as ``needed``."""
    needed = ranks.loc[ranks["rule"] == FUNCTIONAL, [*KEYS, "rank"]].rename(columns={"rank": "needed"})
    by_rule = ranks[ranks["valid"].eq(other=True) & (ranks["rule"] != FUNCTIONAL)]
    points = by_rule.merge(needed, on=KEYS)
    return points[(points["needed"] > 0) & (points["rank"] > 0)]


def _draw_points(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    axes.plot(
        rows["needed"], rows["rank"],
        linestyle="none", marker=look.marker, color=look.color, markersize=3.5, alpha=0.8,
    )  # fmt: skip


def _note_fit(axes: Axes, rows: pd.DataFrame) -> None:
    errors = np.log(rows["rank"].to_numpy(float) / rows["needed"].to_numpy(float))
    words = f"×{np.exp(errors.mean()):.2f}, {np.sqrt((errors**2).mean()):.2f}"
    corner_note(axes, [(words, INK)])
