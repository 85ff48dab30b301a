"""Training: loss and accuracy, and how far the matrices still move."""

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.figures.marks import (
    draw_runs,
    empty_figure,
    epoch_axis,
    grid_figure,
    legend_above,
    log_scale,
    name_below,
    sequence_looks,
)
from spaceprobe.report.figures.style import MUTED, styled
from spaceprobe.results.groups import LABEL, Comparison, compare, numbers

CURVES = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
}

CRITERIA = {
    "gradient_ratio": "gradient norm over its first value",
    "drift": "relative drift of W, by learning rate",
    "subspace_sine": "sine between leading subspaces",
    "log_loss_change": "change of log loss",
}

CONVERGED_BELOW = 0.05
"""Below which a criterion counts as converged: the threshold of `spaceprobe.lmd.convergence`."""


def training_curves(runs: pd.DataFrame, training: pd.DataFrame) -> Figure:
    """Draw loss and accuracy over epochs: every run a thin line, the mean over seeds a thick one.

    Args:
        runs: runs.csv.
        training: training.csv.
    """
    compared = compare(runs, numbers(training, CURVES))
    curves = {column: name for column, name in CURVES.items() if compared.rows[column].notna().any()}
    if not curves:
        return empty_figure("no epoch was noted", *compared.notes)
    with styled():
        figure = grid_figure(len(curves), 2, height=2.2)
        for axes, (column, name) in zip(figure.axes, curves.items(), strict=True):
            if column.endswith("loss") and not (compared.rows[column] <= 0).any():
                log_scale(axes, "y")
            _draw_curves(axes, compared, column)
            axes.set_ylabel(name)
        _finish(figure, compared)
    return figure


def convergence_curves(runs: pd.DataFrame, convergence: pd.DataFrame) -> Figure:
    """Draw the four criteria of stable convergence over epochs, each of a run's worst layer.

    Every run is a thin line, the median over seeds a thick one. Below the dashed line a criterion counts as
    converged; the matrices of a network that is above it still move. A value of 0 has no place.

    Args:
        runs: runs.csv.
        convergence: lmd_convergence.csv.
    """
    compared = compare(runs, numbers(convergence, CRITERIA))
    worst = compared.rows.groupby(["run", LABEL, "epoch"], as_index=False)[[*CRITERIA]].max()
    compared = replace(compared, rows=worst)
    if not (compared.rows[[*CRITERIA]] > 0).any(axis=None):
        return empty_figure("no convergence was noted", *compared.notes)
    with styled():
        figure = grid_figure(len(CRITERIA), 2, height=2.2)
        for axes, (column, name) in zip(figure.axes, CRITERIA.items(), strict=True):
            log_scale(axes, "y")
            _draw_curves(axes, compared, column, middle="median")
            axes.axhline(CONVERGED_BELOW, color=MUTED, linestyle="--", linewidth=0.9)
            axes.set_title(name, fontsize=8)
        _finish(figure, compared)
    return figure


def _draw_curves(axes: Axes, compared: Comparison, column: str, middle: str = "mean") -> None:
    """Draw a column over epochs for each group: its runs thin, their middle thick."""
    rows = compared.rows.dropna(subset=column)
    for group, look in sequence_looks(compared.groups).items():
        some = rows[rows[LABEL] == group]
        lines = [(run["epoch"], run[column]) for _, run in some.groupby("run")]
        draw_runs(axes, lines, look._replace(line="-"), width=0.5, alpha=0.4)
        line = some.groupby("epoch")[column].agg(middle).reset_index()
        draw_runs(axes, [(line["epoch"], line[column])], look, width=1.7)


def _finish(figure: Figure, compared: Comparison) -> None:
    """Give all panels their axis of epochs, and the figure its legend and notes."""
    for axes in figure.axes:
        epoch_axis(axes, float(compared.rows["epoch"].max()))
        axes.set_xlabel("epoch")
    legend_above(figure, [*sequence_looks(compared.groups).values()])
    name_below(figure, "", compared.notes)
