"""The share of training labels that are fitted, over epochs."""

import pandas as pd
from matplotlib.figure import Figure

from spaceprobe.report.drawing.curves import draw_curves, finish_curves
from spaceprobe.report.drawing.marks import empty_figure, grid_figure
from spaceprobe.report.drawing.style import plain, styled
from spaceprobe.report.entry import FigureEntry
from spaceprobe.results.answers.memory import LABELS
from spaceprobe.results.answers.networks import has_swept
from spaceprobe.results.figure_rows import training_rows
from spaceprobe.results.groups import GroupedRows, choose
from spaceprobe.results.results import Results

MAX_PANELS = 6
"""Shares of random labels side by side that can still be read. Chosen."""


def labels_fitted(runs: pd.DataFrame, training: pd.DataFrame) -> Figure:
    """Draw the share of training labels that are fitted over epochs, a panel for each share of random labels.

    Every run is a thin line, the median over seeds a thick one: single epochs of one run may fall far below.

    Args:
        runs: runs.csv.
        training: training.csv.
    """
    of_runs = runs.set_index("run")[LABELS] if LABELS in runs else pd.Series(0, index=runs["run"])
    grouped = _whatever_the_labels(runs, training)
    if not grouped.rows["train_accuracy"].notna().any():
        return empty_figure("no epoch was noted", *grouped.notes)
    rows = grouped.rows.assign(**{LABELS: grouped.rows["run"].map(of_runs)})
    shares = choose(sorted(rows[LABELS].unique()), MAX_PANELS)
    notes = [f"{len(shares)} of {rows[LABELS].nunique()} shares"] * (len(shares) < rows[LABELS].nunique())
    grouped = GroupedRows(rows, grouped.groups, [*notes, *grouped.notes])
    with styled():
        figure = grid_figure(len(shares), 2, height=2.4, sharey=True)
        for axes, share in zip(figure.axes, shares, strict=True):
            of_share = GroupedRows(rows[rows[LABELS] == share], grouped.groups, [])
            draw_curves(axes, of_share, "train_accuracy", middle="median")
            axes.set_title(plain(f"share of random labels: {share:g}"), fontsize=8)
            axes.set_ylim(0, 1)
        figure.axes[0].set_ylabel("share of labels fitted")
        finish_curves(figure, grouped)
    return figure


def _whatever_the_labels(runs: pd.DataFrame, training: pd.DataFrame) -> GroupedRows:
    """Return the rows of training.csv by group, where shares of random labels are no groups."""
    return training_rows(runs.drop(columns=LABELS, errors="ignore"), training, ["train_accuracy"])


def _no_random_labels(results: Results) -> str | None:
    return None if has_swept(results, LABELS) else "random labels are not swept (data.random_labels)"


ENTRY = FigureEntry(
    title="Labels that are fitted",
    section="training",
    function=labels_fitted,
    tables=("runs", "training"),
    unless=_no_random_labels,
    drawn=_whatever_the_labels,
    caption="The share of training labels that are fitted after every epoch, each run thin and the median "
    "over seeds thick. A curve that still rises says how fast labels are fitted, not how many can be.",
)
