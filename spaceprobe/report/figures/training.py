"""Loss and accuracy over training."""

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.report.drawing.curves import draw_curves, finish_curves
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import empty_figure, grid_figure, log_scale
from spaceprobe.report.drawing.style import styled
from spaceprobe.report.entry import FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import training_rows

CURVES = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
}


def training_curves(runs: pd.DataFrame, training: pd.DataFrame) -> Figure:
    """Draw loss and accuracy over epochs: every run a thin line, the mean over seeds a thick one.

    Args:
        runs: runs.csv.
        training: training.csv.
    """
    grouped = training_rows(runs, training, [*CURVES])
    curves = {column: name for column, name in CURVES.items() if grouped.rows[column].notna().any()}
    if not curves:
        return empty_figure("no epoch was noted", *grouped.notes)
    with styled():
        figure = grid_figure(len(curves), 2, height=2.2)
        for axes, (column, name) in zip(figure.axes, curves.items(), strict=True):
            if column.endswith("loss") and not (grouped.rows[column] <= 0).any():
                log_scale(axes, "y")
            draw_curves(axes, grouped, column)
            keep_within(axes, "y", bounds_of("training", column))
            axes.set_ylabel(name)
        finish_curves(figure, grouped)
    return figure


def _caption(numbers: Numbers) -> Markup:
    """Describe what accuracy was reached."""
    how_to_read = Markup("Loss and accuracy after every epoch, each run thin and the mean over seeds thick.")
    if numbers.frames["runs"]["test_accuracy"].isna().all():
        return how_to_read
    ends = (numbers.statistic(end, "runs", "test_accuracy", None, ".3f") for end in ("min", "max"))
    return how_to_read + sentence(" Test accuracies at the end go from {} to {}.", *ends)


ENTRY = FigureEntry(
    title="Training curves",
    section="training",
    function=training_curves,
    tables=("runs", "training"),
    drawn=lambda runs, training: training_rows(runs, training, [*CURVES]),
    caption=_caption,
)
