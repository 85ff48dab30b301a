"""The linear regions of a plane."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Int
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spaceprobe.report.drawing.style import INK, PAPER, SEQUENTIAL, new_figure, styled
from spaceprobe.report.entry import FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.missing import example_of, why_no_example

BOUNDARY_OPACITY = 0.45
"""Chosen: the distance on both sides of a boundary can still be told."""

MAX_DARKNESS = 0.09
"""Chosen: of the plane on average; where boundaries are denser, each is drawn lighter."""


def plane_figure(
    plane: pd.DataFrame,
    corners: Mapping[str, tuple[float, float]],
    *,
    labels: tuple[str, str] = ("", ""),
) -> Figure:
    """Draw the linear regions of a plane, coloured by their Hamming distance from a corner.

    Args:
        plane: columns x, y, distance (from the pattern at the first corner) and pattern (a number for each
            activation pattern), a row for each point of a full, even grid.
        corners: the places of points to mark, by name, at least two; the path goes from the first to the
            second.
        labels: of the two axes.

    Raises:
        ValueError: the grid is not full, or there are fewer than two corners.
    """
    if len(corners) < 2:
        raise ValueError(
            f"corners has {len(corners)} points: expected two or more, for the path between them"
        )
    distance, pattern, extent = _grid(plane)
    with styled():
        figure = new_figure(1, 1, height=4.0, width=5.2)
        axes = figure.axes[0]
        image = axes.imshow(
            distance,
            origin="lower",
            extent=extent,
            cmap=SEQUENTIAL,
            interpolation="none",  # the pixels themselves, however large they are shown
            aspect="equal",
            vmin=0,
            vmax=max(1, distance.max()),
        )
        overlay = np.zeros((*distance.shape, 4))
        boundaries = _boundaries(pattern)
        overlay[..., 3] = boundaries * min(BOUNDARY_OPACITY, MAX_DARKNESS / max(boundaries.mean(), 1e-9))
        axes.imshow(overlay, origin="lower", extent=extent, interpolation="none", aspect="equal")
        axes.grid(visible=False)
        _draw_corners(axes, corners)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        first = next(iter(corners))
        figure.colorbar(
            image,
            ax=axes,
            label=f"Hamming distance from {first}",
            fraction=0.045,
            ticks=MaxNLocator(integer=True),
        )
        num_patterns = len(np.unique(pattern))
        rows, columns = distance.shape
        axes.set_title(
            f"{num_patterns:,} patterns on a grid of {columns} × {rows}"
            if num_patterns > 1
            else f"one linear region: one pattern on a grid of {columns} × {rows}"
        )
    return figure


def _grid(
    plane: pd.DataFrame,
) -> tuple[
    Int[np.ndarray, "rows columns"], Int[np.ndarray, "rows columns"], tuple[float, float, float, float]
]:
    """Return distance and pattern, row 0 the lowest, and left, right, bottom and top of their cells."""
    x, y = (np.unique(plane[name].to_numpy(float)) for name in ("x", "y"))
    if len(plane) != len(x) * len(y) or plane.duplicated(["x", "y"]).any():
        raise ValueError(
            f"plane has {len(plane)} rows for {len(x)} values of x and {len(y)} of y: expected each point of "
            "a grid once"
        )
    ordered = plane.sort_values(["y", "x"])
    distance, pattern = (
        ordered[name].to_numpy(np.int64).reshape(len(y), len(x)) for name in ("distance", "pattern")
    )
    half_x, half_y = ((at[-1] - at[0]) / max(1, len(at) - 1) / 2 or 0.5 for at in (x, y))
    return distance, pattern, (x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y)


def _boundaries(pattern: Int[np.ndarray, "rows columns"]) -> Int[np.ndarray, "rows columns"]:
    """Return 1 where the neighbour to the left or below has another pattern, else 0."""
    is_boundary = np.zeros(pattern.shape, dtype=np.int64)
    is_boundary[:, 1:] |= pattern[:, 1:] != pattern[:, :-1]
    is_boundary[1:] |= pattern[1:] != pattern[:-1]
    return is_boundary


def _draw_corners(axes: Axes, corners: Mapping[str, tuple[float, float]]) -> None:
    """Mark points and the path from the first to the second."""
    ends = np.array([*corners.values()][:2], dtype=float)
    for color, width in ((PAPER, 2.6), (INK, 1.1)):
        axes.plot(ends[:, 0], ends[:, 1], color=color, linewidth=width)
    left, right = axes.get_xlim()
    for name, (x, y) in corners.items():
        is_left = x < (left + right) / 2  # so that the name stays on the plane
        axes.plot(x, y, "o", color=PAPER, markeredgecolor=INK, markersize=6, clip_on=False)
        axes.annotate(
            name,
            (x, y),
            (6 if is_left else -6, 7),
            textcoords="offset points",
            ha="left" if is_left else "right",
            fontsize=8,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.2},
        )


def plane_caption(numbers: Numbers, table: str) -> Markup:
    """Describe how many patterns a plane shows, given the name of its table."""
    return sentence(
        "Colour is the Hamming distance from the pattern at the start of the path, which is drawn in; thin "
        "lines are boundaries of linear regions. The grid meets {} patterns, up to {} flips from the start.",
        numbers.statistic("distinct", table, "pattern"),
        numbers.statistic("max", table, "distance"),
    )


ENTRY = FigureEntry(
    title="The plane through three test images",
    section="paths",
    function=plane_figure,
    tables=("example_plane",),
    options=lambda results: {
        "corners": example_of(results).corners,
        "labels": example_of(results).labels,
    },
    needs=("folding",),
    unless=why_no_example,
    caption=lambda numbers: plane_caption(numbers, "example_plane"),
)
