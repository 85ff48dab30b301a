"""One path: flips, χ so far, and the images along it."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import TICKUP
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator

from spaceprobe.report.drawing.limits import COUNTED, bounds_of, keep_within
from spaceprobe.report.drawing.style import (
    BLUE,
    GRAY,
    INK,
    MUTED,
    ORANGE,
    WIDTH,
    figure_width,
    new_figure,
    styled,
    that_fit,
)
from spaceprobe.report.entry import FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.missing import example_of, why_no_example
from spaceprobe.tables.table import Bounds

HEIGHTS = (2.2, 1.3, 0.7)
"""Of the panels of a path, in inches: flips, χ, images."""

IMAGE_HEIGHT = 42.0
"""Of an image below a path, in points: nine of them fit into the full width of a figure."""

MAX_SEGMENTS = 50
"""Chosen: of more segments the corners would hide the path."""

DECISION_LINE = (0, (7, 2, 1.5, 2))
"""Dashes and dots, where the corners of a polyline are dotted."""

ROOM_FOR_CLASS = 0.03
"""Chosen: the share of a path that the number of a class needs beside others."""

CHI = bounds_of("folding", "max")
"""The range of χ."""


Images = Float[np.ndarray, "images height width"] | Float[np.ndarray, "images height width 3"]
"""Grey images, or images in colour; pixels in [0, 1]."""


def path_figure(
    path: pd.DataFrame,
    images: Images | None = None,
    num_segments: int = 1,
    decisions: pd.DataFrame | None = None,
) -> Figure:
    """Draw one path: how far it is from its start in flips, how much it has flipped, and χ so far.

    The dashed line is the path unfolded: were no unit to flip back, the distance from the start would be the
    number of flips: the flat line of arXiv 2502.09954, figure 6. Ticks at the bottom are the
    boundaries of linear regions, the dot is the reach.

    Args:
        path: columns t (from 0 to 1), distance, flips and chi, a row for each region or point in order.
        images: evenly spaced along the path, to be drawn below it; None where its points are not images.
        num_segments: of a path with corners, whose t goes from 0 to this number. Corners are dotted lines, up
            to `MAX_SEGMENTS`.
        decisions: columns t and class: where the network begins to name which class, a row for each stretch
            with one; the first begins at 0.
    """
    heights = HEIGHTS if images is not None else HEIGHTS[:2]
    with styled():
        figure = new_figure(
            len(heights), 1, height=sum(heights) / len(heights), height_ratios=heights, sharex=True
        )
        above, below, *strips = figure.axes
        _draw_flips(above, path, num_segments)
        _draw_chi(below, path, num_segments)
        for axes in (above, below):
            for corner in range(1, num_segments if num_segments <= MAX_SEGMENTS else 1):
                axes.axvline(corner, color=MUTED, linestyle=":", linewidth=0.7)
        if decisions is not None:
            _draw_decisions(above, below, decisions, num_segments)
        above.tick_params(labelbottom=False)
        handles, labels = above.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=that_fit(2, 2.4), fontsize=7.5)
        for strip in strips:
            if images is not None:
                below.tick_params(labelbottom=True)
                _draw_images(strip, images)
        keep_within(below, "x", Bounds(0, num_segments), low=0, high=num_segments)
    return figure


def _draw_flips(axes: Axes, path: pd.DataFrame, end: float) -> None:
    """Draw distance from the start and flips so far, with a tick at each boundary."""
    t, distance, flips = (path[name].to_numpy(float) for name in ("t", "distance", "flips"))
    for values, color, line, name in (
        (flips, GRAY, "--", "flips so far (the path unfolded)"),
        (distance, BLUE, "-", "Hamming distance from the start"),
    ):
        axes.stairs(
            values, np.append(t, end), baseline=None, color=color, linestyle=line, label=name, zorder=3
        )
    length, reach = flips[-1], distance.max()
    top = max(1.0, length)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("flips")
    if length:
        boundaries = t[1:][np.diff(flips) > 0]
        axes.plot(
            boundaries, np.zeros(len(boundaries)), linestyle="none", marker=TICKUP, color=MUTED, markersize=5,
            markeredgewidth=0.5, label="boundary of a linear region",
        )  # fmt: skip
        axes.plot(t[distance.argmax()], reach, "o", color=BLUE, markersize=4, label="reach")
        chi = path["chi"].iloc[-1]
        axes.set_title(
            f"length {length:.0f}, reach {reach:.0f}: χ = 1 − {reach:.0f}/{length:.0f} = {chi:.3f}"
        )
    else:
        axes.set_title("no unit flips, the path lies in one linear region: χ = 0")
    keep_within(axes, "y", COUNTED, low=0, high=1.05 * top)


def _draw_chi(axes: Axes, path: pd.DataFrame, end: float) -> None:
    """Draw χ of the path so far."""
    axes.stairs(path["chi"], np.append(path["t"], end), baseline=None, color=ORANGE, zorder=3)
    axes.set_ylabel("χ so far")
    top = max(0.1, 1.15 * path["chi"].max())
    keep_within(axes, "y", CHI, low=0, high=top)
    what = (
        "t, from the start" if end == 1 else "t: segments passed, and the share of the next; from the start"
    )
    axes.set_xlabel(f"{what} (0) to the end ({end:g})")


def _draw_decisions(above: Axes, below: Axes, decisions: pd.DataFrame, end: float) -> None:
    """Draw a line where the decision flips, and write the class between two lines where there is room."""
    t, classes = decisions["t"].to_numpy(float), decisions["class"].tolist()
    for axes in (above, below):
        for place, flip in enumerate(t[1:]):
            label = "flip of the decision" if axes is above and place == 0 else None
            axes.axvline(flip, color=INK, linestyle=DECISION_LINE, linewidth=0.7, label=label, zorder=2)
    text: dict[str, Any] = {
        "va": "bottom",
        "transform": below.get_xaxis_transform(),
        "fontsize": 7,
        "color": MUTED,
    }
    below.text(-0.01 * end, 1, "class", ha="right", **text)
    for begin, after, name in zip(t, [*t[1:], end], classes, strict=True):
        if after - begin >= ROOM_FOR_CLASS * end:
            below.text((begin + after) / 2, 1, str(name), ha="center", **text)


def _draw_images(axes: Axes, images: Images) -> None:
    """Draw images, each centred at its place on the path."""
    axes.set_axis_off()
    zoom = IMAGE_HEIGHT / max(images.shape[1:3]) * figure_width() / WIDTH
    for t, image in zip(np.linspace(0, 1, len(images)), images, strict=True):
        box = OffsetImage(image, zoom=zoom, cmap="gray_r", interpolation="nearest", clim=(0, 1))
        axes.add_artist(
            AnnotationBbox(box, (t, 0.5), xycoords=("data", "axes fraction"), frameon=False, pad=0)
        )


def flips_caption(numbers: Numbers, table: str) -> Markup:
    """Describe how a path folds, given the name of its table."""
    return sentence(
        "The Hamming distance of the activation pattern from that at the start, beside the number of flips "
        "so far: were no flip undone, the two would be one line. Of {} flips the path keeps at most {} at "
        "once; at its end χ is {}.",
        numbers.statistic("max", table, "flips"),
        numbers.statistic("max", table, "distance"),
        numbers.cell(table, len(numbers.frames[table]) - 1, "chi"),
    )


def _caption(numbers: Numbers) -> Markup:
    """Describe which path is drawn, and how it folds."""
    ends = [
        sentence(
            "{} (class {})",
            numbers.cell("example", 0, end, "d"),
            numbers.cell("example", 0, f"{end}_class", "d"),
        )
        for end in ("source", "target")
    ]
    which = sentence(
        "From test point {} to {} through {}: the path with the largest χ of this network, the "
        "first of the deepest. ",
        *ends,
        numbers.run(str(numbers.frames["example"].at[0, "run"])),
    )
    return which + flips_caption(numbers, "example_path")


ENTRY = FigureEntry(
    title="One path between two test points",
    section="paths",
    function=path_figure,
    tables=("example_path",),
    options=lambda results: {"images": example_of(results).images},
    needs=("folding",),
    unless=why_no_example,
    caption=_caption,
)
