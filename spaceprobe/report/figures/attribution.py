"""How much each input adds to the change of an output along a path."""

import math

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from spaceprobe.report.drawing.style import INK, new_figure, styled

DIVERGING = "RdBu"
"""Blue adds to the output, red takes from it; white is none."""

MIN_SIDE = 4
"""Chosen: pixels of the side of an image; what is smaller is drawn as bars."""


def attribution_figure(values: Float[np.ndarray, "*input"]) -> Figure:
    """Draw the integrated gradients of one path.

    Inputs of two dimensions are an image, those of three the channels of one, which are added up; a vector
    whose length is a square is an image of that side. Anything else is drawn as a bar for each entry.

    Args:
        values: of the input's shape.
    """
    image = _as_image(np.asarray(values))
    with styled():
        if image is None:
            figure = new_figure(1, 1, height=2.4)
            axes = figure.axes[0]
            flat = np.asarray(values).ravel()
            axes.bar(np.arange(len(flat)), flat, color=INK, width=0.8)
            axes.axhline(0, color=INK, linewidth=0.6)
            axes.set_xlabel("input")
            axes.set_ylabel("integrated gradient")
            return figure
        figure = new_figure(1, 1, height=3.4, width=4.2)
        axes = figure.axes[0]
        largest = float(np.abs(image).max(initial=0)) or 1.0
        shown = axes.imshow(image, cmap=DIVERGING, vmin=-largest, vmax=largest, interpolation="none")
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        figure.colorbar(shown, ax=axes, label="integrated gradient", fraction=0.045)
    return figure


def _as_image(values: Float[np.ndarray, "*input"]) -> Float[np.ndarray, "rows columns"] | None:
    """Return values as an image; None for what is none."""
    side = math.isqrt(values.size)
    if values.ndim == 3:
        values = values.sum(0)
    elif values.ndim == 1 and side**2 == values.size:
        values = values.reshape(side, side)
    is_image = values.ndim == 2 and min(values.shape) >= MIN_SIDE
    return values if is_image else None
