"""The matrices of a folder of steps over the steps: the figure and its caption."""

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import (
    count_axis,
    grid_figure,
    legend_above,
    name_below,
    sequence_looks,
)
from spaceprobe.report.drawing.style import styled
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.groups import MAX_GROUPS, choose
from spaceprobe.results.weight_folders import LAYERS
from spaceprobe.results.weight_results import WeightResults

QUANTITIES = {"rank": "rank by the default rule", "stable_rank": "stable rank", "spectral_norm": "σ₁"}
"""Columns of lmd_layers.csv that are drawn, and what they are called."""


def weight_steps(layers: pd.DataFrame) -> Figure:
    """Draw rank, stable rank and spectral norm over steps, a line for each matrix.

    Args:
        layers: lmd_layers.csv of a folder of steps.
    """
    rows = layers[layers["valid"].astype(bool)]
    every = [*rows.drop_duplicates("layer").sort_values("layer")["name"]]
    looks = sequence_looks(choose(every, MAX_GROUPS))
    with styled():
        figure = grid_figure(len(QUANTITIES), len(QUANTITIES), height=2.6)
        for axes, (column, title) in zip(figure.axes, QUANTITIES.items(), strict=True):
            for name, look in looks.items():
                of_matrix = rows[rows["name"] == name]
                axes.plot(
                    of_matrix["step"], of_matrix[column].astype(float), color=look.color,
                    linestyle=look.line, marker=look.marker, markersize=3.5,
                )  # fmt: skip
            axes.set_title(title, fontsize=8)
            count_axis(axes)
            keep_within(axes, "y", bounds_of(LAYERS, column), low=0)
        legend_above(figure, [*looks.values()], has_markers=True)
        notes = [f"{len(looks)} of {len(every)} matrices, evenly from the first to the last"]
        name_below(figure, "step", notes if len(looks) < len(every) else [])
    return figure


def no_steps(results: WeightResults) -> str | None:
    """Return why there is nothing to draw over steps; None where there is."""
    if not results.steps:
        return "a file of weights has no steps; a folder of them does"
    return None if results.frames[LAYERS]["valid"].any() else "no matrix was decomposed"


def steps_caption(numbers: Numbers) -> Markup:
    """Return how to read the figure, and the medians at both ends."""
    steps = numbers.frames[LAYERS]["step"]
    ends = (
        numbers.statistic("median", LAYERS, "stable_rank", {"step": int(step), "valid": True}, ".3g")
        for step in (steps.min(), steps.max())
    )
    return sentence(
        "Rank, stable rank and largest singular value of every matrix over {} steps, a line for each matrix. "
        "The median stable rank over the matrices is {} at the first step and {} at the last. The other "
        "figures and the tables are of the last step; the CSVs have all.",
        numbers.statistic("distinct", LAYERS, "step"),
        *ends,
    )
