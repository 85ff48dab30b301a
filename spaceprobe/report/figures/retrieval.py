"""How often noisy images are retrieved, by the space that they are compared in."""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, empty_figure, legend_above, name_below
from spaceprobe.report.drawing.panels import layer_grid
from spaceprobe.report.drawing.style import GRAY, MUTED, PAPER, format_number, plain, styled, titled
from spaceprobe.report.entry import AT_END, FigureEntry, joined, sentence, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import retrievals
from spaceprobe.tables.states import TRAINED, UNTRAINED

PIXELS = Look("pixels", GRAY, "none", "D", PAPER)

MAX_SPACES = 12
"""Rows of a panel that can be read."""


def retrieval_accuracy(runs: pd.DataFrame, retrieval: pd.DataFrame) -> Figure:
    """Draw how often a noisy image finds its stored one in each space, beside pixels and untrained ones.

    Every seed is a point, the vertical mark their mean.

    Args:
        runs: runs.csv.
        retrieval: lmd_retrieval.csv.
    """
    grouped = retrievals(runs, retrieval)
    if grouped.rows.empty:
        return empty_figure("no retrieval was measured", *grouped.notes)
    spaces = [*dict.fromkeys(grouped.rows["space"])][:MAX_SPACES]
    with styled():
        grid = layer_grid(grouped, height=0.55 + 0.17 * len(spaces))
        for panel in grid.panels:
            for place, space in enumerate(spaces):
                values = panel.rows.loc[panel.rows["space"] == space, "accuracy"].to_numpy()
                if len(values):
                    title = f"{panel.group}, layer {panel.layer}, {space}: {format_number(values.mean())}"
                    _draw_values(panel.axes, values, place, _look_of_space(space), title)
            panel.axes.set_yticks(range(len(spaces)), [plain(space) for space in spaces], fontsize=7)
            panel.axes.set_ylim(len(spaces) - 0.5, -0.5)
            keep_within(panel.axes, "x", bounds_of("lmd_retrieval", "accuracy"), low=0, high=1)
            panel.axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        looks = [STATE_LOOKS[TRAINED], STATE_LOOKS[UNTRAINED], PIXELS]
        looks = [*(look._replace(line="none") for look in looks), Look("mean over seeds", MUTED, "none", "|")]
        legend_above(grid.figure, looks, has_markers=True)
        noise = grouped.rows["noise"].iloc[0]
        name_below(grid.figure, f"share of images with noise {noise:g} that find their own", grid.notes)
    return grid.figure


def _look_of_space(space: str) -> Look:
    """Return how a space is drawn; names of those of the untrained network end in its state."""
    if space == PIXELS.name:
        return PIXELS
    return STATE_LOOKS[UNTRAINED if space.endswith(f" {UNTRAINED}") else TRAINED]


def _draw_values(axes: Axes, values: np.ndarray, place: int, look: Look, title: str) -> None:
    axes.plot(
        values, np.full(len(values), place), linestyle="none", marker=look.marker, markersize=3.2,
        markerfacecolor=look.fill, markeredgecolor=look.color, alpha=0.8,
    )  # fmt: skip
    axes.plot(
        values.mean(), place, "|", color=look.color, markersize=9, markeredgewidth=1.4, gid=titled(title)
    )


def _caption(numbers: Numbers) -> Markup:
    """Describe how often noisy images are found."""
    table = numbers.frames["lmd_retrieval"]
    where = {"noise": float(table["noise"].max()), **AT_END}
    parts = [
        sentence(
            "{} in <code>{}</code>",
            numbers.statistic("median", "lmd_retrieval", "accuracy", {"space": space, **where}, ".2f"),
            space,
        )
        for space in dict.fromkeys(table["space"])
    ]
    return sentence(
        "How often a noisy image finds its own among those stored (noise {}), in the latent coordinates of "
        "each layer, with pixels and the untrained network beside. Medians over layers {}: {}.",
        numbers.statistic("max", "lmd_retrieval", "noise", None, "g"),
        when(numbers, "lmd_retrieval"),
        joined(parts),
    )


ENTRY = FigureEntry(
    title="Retrieval of noisy images",
    section="matrices",
    function=retrieval_accuracy,
    tables=("runs", "lmd_retrieval"),
    drawn=retrievals,
    caption=_caption,
)
