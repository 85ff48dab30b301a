"""The figure of degree and dimension."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.findings.degrees import BENT, BEST, DEGREES, ESTIMATES, RELU, SET, with_powers
from spaceprobe.findings.entry import Tables
from spaceprobe.lmd.degree import num_monomials
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, GRAY, INK, MUTED, ORANGE, PAPER

LOOKS = dict(
    zip(
        (RELU, *DEGREES),
        (
            Look("ReLU", MUTED, "--", "x", MUTED),
            *(
                Look(f"degree {degree}", color, "-", marker, fill)
                for degree, (color, marker, fill) in enumerate(
                    ((GRAY, "o", PAPER), (BLUE, "s", BLUE), (ORANGE, "^", ORANGE), (INK, "D", PAPER)), 1
                )
            ),
        ),
        strict=True,
    )
)


def draw_degrees(tables: Tables) -> Figure:
    """Draw ranks, dimensions, errors and estimates; see the caption of the finding."""
    figure = grid_figure(4, 2, height=2.6)
    rank, dimension, error, choice = figure.axes
    layers = with_powers(tables["layers"])
    last = layers[(layers["layer"] == 1) & (layers["epoch"] == layers["epoch"].max())]
    _draw_ranks(rank, last)
    _draw_dimensions(dimension, last)
    _draw_errors(error, tables["error_means"])
    _draw_choices(choice, tables["choices"])
    estimates = [
        Look(f"estimated {name}", *look) for name, look in zip(ESTIMATES.values(), OF_ESTIMATE, strict=True)
    ]
    legend_above(figure, [*LOOKS.values(), *estimates], has_markers=True)
    return figure


def _dots(axes: Axes, x: Any, y: Any, look: Look) -> None:
    axes.plot(
        x, y, linestyle="none", marker=look.marker, markersize=3.5, color=look.color,
        markerfacecolor=look.fill, clip_on=False,
    )  # fmt: skip


def _draw_ranks(axes: Axes, layers: pd.DataFrame) -> None:
    """Draw the linear dimension behind the activation against that before it, with those of all monomials."""
    x = np.arange(max(1, layers["rank_before"].min()), layers["rank_before"].max() + 1)
    width = layers["width"].max()
    for name, look in LOOKS.items():
        rows = layers[layers["activation"] == name]
        _dots(axes, rows["rank_before"], rows["rank_after"], look)
        if name in BENT:
            expected = [min(width, num_monomials(value, DEGREES[name]) - 1) for value in x]
            axes.plot(x, expected, color=look.color, linewidth=0.8)
            axes.plot(
                x, np.minimum(width, x ** DEGREES[name]), color=look.color, linewidth=0.8, linestyle=":"
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    seen = np.unique(layers["rank_before"])
    axes.set_xticks(seen, [f"{rank:g}" for rank in seen])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("rank of pre-activations")
    axes.set_ylabel("rank of activations")


def _draw_dimensions(axes: Axes, layers: pd.DataFrame) -> None:
    """Draw the same of the dimension by nearest neighbours, with the line where nothing changes."""
    for name, look in LOOKS.items():
        rows = layers[layers["activation"] == name]
        _dots(axes, rows["dimension_before"], rows["dimension_after"], look)
    most = float(np.nanmax(layers[["dimension_before", "dimension_after"]].to_numpy(float), initial=1))
    axes.plot([0, most], [0, most], color=MUTED, linewidth=0.8)
    axes.set_xlabel("dimension of pre-activations")
    axes.set_ylabel("dimension of activations")


def _draw_errors(axes: Axes, means: pd.DataFrame) -> None:
    """Draw the error of each activation relative to that of degree 1, data set by data set, most points."""
    rows = means[(means["epoch"] == means["epoch"].max()) & (means["points"] == means["points"].max())]
    sets = [*rows[SET].unique()]
    for place, name in enumerate(sets):
        own = rows[rows[SET] == name].set_index("activation")
        for activation, look in LOOKS.items():
            if activation not in own.index:
                continue
            row = own.loc[activation]
            shift = 0.12 * ([*LOOKS].index(activation) - 2)
            ends = np.nan_to_num([[row["mean"] - row["low"]], [row["high"] - row["mean"]]])
            axes.errorbar(
                [place + shift], [row["mean"]], ends.tolist(), color=look.color, linestyle="none",
                elinewidth=0.8, marker=look.marker, markersize=3.5, markerfacecolor=look.fill,
            )  # fmt: skip
    axes.set_xticks(range(len(sets)), sets, rotation=30, ha="right", fontsize=7)
    axes.set_ylabel("log₁₀ of held-out error")


OF_ESTIMATE = ((BLUE, "none", "P", BLUE), (ORANGE, "none", "v", PAPER))
"""Colour, line, marker and fill of each estimate."""


def _draw_choices(axes: Axes, choices: pd.DataFrame) -> None:
    """Draw the best degree against the estimated one; the area of a mark is the number of cases."""
    last = choices[choices["epoch"] == choices["epoch"].max()]
    for shift, estimate, (color, _, marker, fill) in zip((-0.12, 0.12), ESTIMATES, OF_ESTIMATE, strict=True):
        counts = last.groupby([estimate, BEST]).size().reset_index(name="count")
        axes.scatter(
            counts[estimate] + shift, counts[BEST], s=6 * counts["count"] + 6, marker=marker,
            edgecolors=color, facecolors=fill, linewidths=1,
        )  # fmt: skip
    ends = [min(DEGREES.values()), max(DEGREES.values())]
    axes.plot(ends, ends, color=MUTED, linewidth=0.8)
    axes.set_xlim(ends[0] - 0.5, ends[1] + 0.5)
    axes.set_ylim(ends[0] - 0.5, ends[1] + 0.5)
    axes.set_xticks([*DEGREES.values()])
    axes.set_yticks([*DEGREES.values()])
    axes.set_xlabel("estimated degree")
    axes.set_ylabel("best degree")
