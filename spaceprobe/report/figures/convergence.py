"""How far the weight matrices still move over training."""

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.lmd.verdicts import THRESHOLD
from spaceprobe.report.drawing.curves import draw_curves, finish_curves
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import Look, empty_figure, grid_figure, log_scale
from spaceprobe.report.drawing.style import MUTED, styled
from spaceprobe.report.entry import AT_END, FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import worst_layers
from spaceprobe.results.results import Results

CRITERIA = {
    "gradient_ratio": "gradient norm over its first value",
    "drift": "relative drift of W, by learning rate",
    "subspace_sine": "sine between leading subspaces",
    "log_loss_change": "change of log loss",
}

MET = Look("met below", MUTED, "--", width=0.9)


def convergence_curves(runs: pd.DataFrame, convergence: pd.DataFrame) -> Figure:
    """Draw the four criteria of stable convergence over epochs, each of a run's worst layer.

    Every run is a thin line, the median over seeds a thick one. Below the dashed line a criterion counts as
    converged; the matrices of a network that is above it still move. A value of 0 has no place.

    Args:
        runs: runs.csv.
        convergence: lmd_convergence.csv.
    """
    grouped = worst_layers(runs, convergence, [*CRITERIA])
    if not (grouped.rows[[*CRITERIA]] > 0).any(axis=None):
        return empty_figure("no convergence was noted", *grouped.notes)
    with styled():
        figure = grid_figure(len(CRITERIA), 2, height=2.2)
        for axes, (column, name) in zip(figure.axes, CRITERIA.items(), strict=True):
            log_scale(axes, "y")
            draw_curves(axes, grouped, column, middle="median")
            axes.axhline(THRESHOLD, color=MET.color, linestyle=MET.line, linewidth=MET.width)
            keep_within(axes, "y", bounds_of("lmd_convergence", column))
            axes.set_title(name, fontsize=8)
        finish_curves(figure, grouped, "median", [MET])
    return figure


def _one_epoch(results: Results) -> str | None:
    """Return why three of the criteria have no course: each is noted at the end of an epoch."""
    if results.frames["lmd_convergence"]["epoch"].max() > 1:
        return None
    return "one epoch makes no curve; lmd_convergence.csv has the values"


def _caption(numbers: Numbers) -> Markup:
    """Describe how many layers still move."""
    return sentence(
        "The four criteria of stable convergence, of the layer that moves most; the dashed line is where "
        "they count as met. At the end {} of {} layers are stable; the theorem behind the decomposition "
        "assumes that all are.",
        numbers.statistic("count", "lmd_convergence", None, {"stable": True, **AT_END}),
        numbers.statistic("count", "lmd_convergence", None, AT_END),
    )


ENTRY = FigureEntry(
    title="Drift and convergence",
    section="matrices",
    function=convergence_curves,
    tables=("runs", "lmd_convergence"),
    unless=_one_epoch,
    drawn=lambda runs, convergence: worst_layers(runs, convergence, [*CRITERIA]),
    caption=_caption,
)
