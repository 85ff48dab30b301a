"""One path, and the plane that it lies in."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator

from spaceprobe.report.figures.style import (
    INK,
    MUTED,
    PAPER,
    SEQUENTIAL,
    THIRD,
    TRAINED,
    UNTRAINED,
    empty_note,
    new_figure,
    styled,
)

HEIGHTS = (2.2, 1.3, 0.7)
"""Of the panels of a path, in inches: flips, χ, images."""

IMAGE_HEIGHT = 42.0
"""Of an image below a path, in points: nine of them fit into the width."""

BOUNDARY_OPACITY = 0.45
"""Chosen: the distance on both sides of a boundary can still be told."""

MAX_DARKNESS = 0.09
"""Chosen: of the plane on average; where boundaries are denser, each is drawn lighter."""


def path_figure(path: pd.DataFrame, images: Float[np.ndarray, "images height width"] | None = None) -> Figure:
    """Draw one path: how far it is from its start in flips, how much it has flipped, and χ so far.

    The dashed line is the path unfolded: were no unit to flip back, the distance from the start would be the
    number of flips, which is the «flat» line of arXiv 2502.09954, figure 6. Ticks at the bottom are the
    boundaries of linear regions.

    Args:
        path: columns t (from 0 to 1), distance, flips and chi, a row for each region or point in order.
        images: evenly spaced along the path, to be drawn below it; None where its points are no images.
    """
    heights = HEIGHTS if images is not None else HEIGHTS[:2]
    with styled():
        figure = new_figure(
            len(heights), 1, height=sum(heights) / len(heights), height_ratios=heights, sharex=True
        )
        above, below, *strips = figure.axes
        _draw_flips(above, path)
        _draw_chi(below, path)
        above.tick_params(labelbottom=False)
        margin = 0.005
        for strip in strips:
            if images is not None:
                below.tick_params(labelbottom=True)
                _draw_images(strip, images)
                margin = 0.055  # half an image
        below.set_xlim(-margin, 1 + margin)
    return figure


def _draw_flips(axes: Axes, path: pd.DataFrame) -> None:
    """Draw distance from the start and flips so far, with a tick at each boundary."""
    t, distance, flips = (path[name].to_numpy(float) for name in ("t", "distance", "flips"))
    for values, color, line, name in (
        (flips, THIRD, "--", "flips so far (the path unfolded)"),
        (distance, TRAINED, "-", "Hamming distance from the start"),
    ):
        axes.stairs(values, np.append(t, 1.0), baseline=None, color=color, linestyle=line, label=name)
    length, reach = flips[-1], distance.max()
    top = max(1.0, length)
    axes.set_ylim(-0.08 * top, 1.25 * top)  # the legend stands above the curves
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("flips")
    if length:
        boundaries = t[1:][np.diff(flips) > 0]
        floor = np.full(len(boundaries), axes.get_ylim()[0])
        axes.plot(boundaries, floor, "|", color=MUTED, markersize=7, markeredgewidth=0.5, clip_on=False)
        axes.plot(t[distance.argmax()], reach, "o", color=TRAINED, markersize=4)
        chi = path["chi"].iloc[-1]
        axes.set_title(
            f"length {length:.0f}, reach {reach:.0f}: χ = 1 − {reach:.0f}/{length:.0f} = {chi:.3f}"
        )
    else:
        axes.set_title("no unit flips, the path lies in one linear region: χ = 0")
    axes.legend(loc="upper left", ncols=2)


def _draw_chi(axes: Axes, path: pd.DataFrame) -> None:
    """Draw χ of the path so far."""
    axes.stairs(path["chi"], np.append(path["t"], 1.0), baseline=None, color=UNTRAINED)
    axes.set_ylabel("χ so far")
    top = max(0.1, 1.15 * path["chi"].max())
    axes.set_ylim(-0.03 * top, top)  # 0 beside the edge, to be seen
    axes.set_xlabel("t, from the start (0) to the end (1)")


def _draw_images(axes: Axes, images: Float[np.ndarray, "images height width"]) -> None:
    """Draw images, each in the middle of where it lies on the path."""
    axes.set_axis_off()
    zoom = IMAGE_HEIGHT / images.shape[1]
    for t, image in zip(np.linspace(0, 1, len(images)), images, strict=True):
        shown = OffsetImage(image, zoom=zoom, cmap="gray_r", interpolation="nearest", clim=(0, 1))
        axes.add_artist(
            AnnotationBbox(shown, (t, 0.5), xycoords=("data", "axes fraction"), frameon=False, pad=0)
        )


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
        shown = axes.imshow(
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
            shown,
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
    half_x, half_y = ((some[-1] - some[0]) / max(1, len(some) - 1) / 2 or 0.5 for some in (x, y))
    return distance, pattern, (x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y)


def _boundaries(pattern: Int[np.ndarray, "rows columns"]) -> Int[np.ndarray, "rows columns"]:
    """Return 1 where the neighbour to the left or below has another pattern, else 0."""
    found = np.zeros(pattern.shape, dtype=np.int64)
    found[:, 1:] |= pattern[:, 1:] != pattern[:, :-1]
    found[1:] |= pattern[1:] != pattern[:-1]
    return found


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
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.2},
        )


SERIES = ((TRAINED, "o"), (UNTRAINED, "s"), (THIRD, "^"))
"""Colours and markers of paths."""


def sampling_figure(samples: pd.DataFrame) -> Figure:
    """Draw χ of sampled paths against the number of points, beside the exact value.

    Args:
        samples: columns path (its name), num_points (empty for exact) and chi.
    """
    with styled():
        figure = new_figure(1, 1, height=2.8, width=5.2)
        axes = figure.axes[0]
        if samples["num_points"].notna().any():
            for number, (name, rows) in enumerate(samples.groupby("path", sort=False)):
                _draw_samples(axes, str(name), rows, *SERIES[number % len(SERIES)])
            axes.set_xscale("log")
            axes.set_xlabel("evenly spaced points on the path")
            axes.set_ylabel("χ")
            top = max(0.1, 1.2 * samples["chi"].max())
            axes.set_ylim(-0.03 * top, top)
            axes.legend(loc="best")
        else:
            empty_note(axes, "no path was sampled")
    return figure


def _draw_samples(axes: Axes, name: str, rows: pd.DataFrame, color: str, marker: str) -> None:
    """Draw χ of one path, and a line where its exact value is."""
    sampled = rows.dropna(subset="num_points").sort_values("num_points")
    axes.plot(
        sampled["num_points"].to_numpy(float),
        sampled["chi"].to_numpy(float),
        marker=marker,
        markersize=3.5,
        color=color,
        label=name,
    )
    for exact in rows.loc[rows["num_points"].isna(), "chi"]:
        axes.axhline(exact, color=color, linestyle="--", linewidth=1)
        axes.annotate(
            f"exact {exact:.3f}",
            (0, exact),
            (3, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7.5,
            color=color,
        )
