"""What the probes of LMD find in a layer: dimension, retrieval, and class meaning."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.figures.marks import (
    STATES,
    Look,
    count_axis,
    draw_runs,
    empty_figure,
    legend_above,
    name_below,
    short,
)
from spaceprobe.report.figures.panels import layer_grid
from spaceprobe.report.figures.style import MUTED, PAPER, THIRD, new_figure, plain, shown, styled, titled
from spaceprobe.results.groups import LABEL, by_state, compare, last_epochs, numbers

SPACES = {"input": "activations that enter a layer", "output": "that leave it, before the activation"}

ESTIMATORS = {"twonn": ("-", "o"), "mle": (":", "^")}
"""Line and marker by estimator; the colour is the state's."""

PIXELS = Look("pixels", THIRD, "none", "D", PAPER)
SHUFFLED = Look("95 % of shuffled labels lie below", MUTED, ":")

MAX_SPACES = 12
"""Rows of a panel that can be read."""


def retrieval_accuracy(runs: pd.DataFrame, retrieval: pd.DataFrame) -> Figure:
    """Draw how often a noisy image finds its stored one in each space, beside pixels and initialisation.

    Every seed is a point, the upright mark their mean.

    Args:
        runs: runs.csv.
        retrieval: lmd_retrieval.csv.
    """
    rows = last_epochs(numbers(retrieval, ["accuracy"]).dropna(subset="accuracy"))
    compared = compare(runs, rows[rows["noise"] == rows["noise"].max()])
    if compared.rows.empty:
        return empty_figure("no retrieval was measured", *compared.notes)
    spaces = [*dict.fromkeys(compared.rows["space"])][:MAX_SPACES]
    with styled():
        grid = layer_grid(compared, height=0.55 + 0.17 * len(spaces))
        for panel in grid.panels:
            for place, space in enumerate(spaces):
                values = panel.rows.loc[panel.rows["space"] == space, "accuracy"].to_numpy()
                if len(values):
                    words = f"{panel.group}, layer {panel.layer}, {space}: {shown(values.mean())}"
                    _draw_values(panel.axes, values, place, _look_of_space(space), words)
            panel.axes.set_yticks(range(len(spaces)), [plain(space) for space in spaces], fontsize=7)
            panel.axes.set_ylim(len(spaces) - 0.5, -0.5)
            panel.axes.set_xlim(-0.05, 1.05)
            panel.axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        legend_above(grid.figure, [STATES["trained"], STATES["untrained"], PIXELS], has_markers=True)
        noise = compared.rows["noise"].iloc[0]
        name_below(grid.figure, f"share of images with noise {noise:g} that find their own", grid.notes)
    return grid.figure


def activation_dimension(runs: pd.DataFrame, dimension: pd.DataFrame) -> Figure:
    """Draw the intrinsic dimension of activations by layer, untrained and trained, by each estimator.

    Markers are means over seeds; the bars reach from the smallest seed to the largest.

    Args:
        runs: runs.csv.
        dimension: lmd_dimension.csv.
    """
    rows = numbers(dimension, ["dimension"]).dropna(subset="dimension")
    compared = compare(runs, rows[rows["space"].isin([*SPACES])])
    if compared.rows.empty:
        return empty_figure("no dimension of activations was measured", *compared.notes)
    estimators = [name for name in ESTIMATORS if name in {*compared.rows["estimator"]}]
    with styled():
        figure = new_figure(len(compared.groups), len(SPACES), height=2.0, sharey="row")
        grid = np.array(figure.axes).reshape(-1, len(SPACES))
        for axes, name in zip(grid[0], SPACES.values(), strict=True):
            axes.set_title(name, fontsize=8)
        for line, group in zip(grid, compared.groups, strict=True):
            of_group = compared.rows[compared.rows[LABEL] == group]
            for axes, space in zip(line, SPACES, strict=True):
                _draw_dimensions(axes, of_group[of_group["space"] == space], estimators)
                axes.set_xlabel("layer")
                count_axis(axes, 7)
            line[0].set_ylabel(f"{short(group, 30)}\ndimension")
            line[0].set_ylim(bottom=0)
        legend_above(
            figure,
            [_with_estimator(look, name) for look in STATES.values() for name in estimators],
            has_markers=True,
        )
        name_below(figure, "", compared.notes)
    return figure


def axis_semantics(runs: pd.DataFrame, semantics: pd.DataFrame) -> Figure:
    """Draw which share of each latent axis' variance the classes explain, untrained beside trained.

    Every run is a thin line, the mean over seeds a thick one. The dotted line is the 95 % quantile with
    shuffled labels, at its largest over seeds and states: what lies above is no accident, but see it beside
    the untrained network, whose axes beat shuffled labels too.

    Args:
        runs: runs.csv.
        semantics: lmd_semantics.csv.
    """
    rows = numbers(semantics, ["share", "shuffled_q95"]).dropna(subset="share")
    compared = compare(runs, rows)
    if compared.rows.empty:
        return empty_figure("no class meaning was measured", *compared.notes)
    with styled():
        grid = layer_grid(compared, height=1.5)
        for panel in grid.panels:
            shuffled = panel.rows.groupby("axis")["shuffled_q95"].max().reset_index()
            draw_runs(panel.axes, [(shuffled["axis"], shuffled["shuffled_q95"])], SHUFFLED, width=1.2)
            for state, of_state in by_state(panel.rows).items():
                _draw_shares(panel.axes, of_state, STATES[state])
        for panel in grid.panels:
            panel.axes.set_ylim(bottom=0)
        legend_above(grid.figure, [*STATES.values(), SHUFFLED], has_markers=True)
        name_below(grid.figure, "latent axis", grid.notes)
        grid.figure.supylabel("share explained by class", fontsize=8.5)
    return grid.figure


def _look_of_space(space: str) -> Look:
    """Return how a space is drawn; those of the untrained network end in ``initial``."""
    if space == PIXELS.name:
        return PIXELS
    return STATES["untrained" if space.endswith(" initial") else "trained"]


def _draw_values(axes: Axes, values: np.ndarray, place: int, look: Look, words: str) -> None:
    axes.plot(
        values, np.full(len(values), place), linestyle="none", marker=look.marker, markersize=3.2,
        markerfacecolor=look.fill, markeredgecolor=look.color, alpha=0.8,
    )  # fmt: skip
    axes.plot(
        values.mean(), place, "|", color=look.color, markersize=9, markeredgewidth=1.4, gid=titled(words)
    )


def _with_estimator(look: Look, name: str) -> Look:
    """Return the look of a state with the line and marker of an estimator."""
    line, marker = ESTIMATORS[name]
    return look._replace(name=f"{look.name}, {name}", line=line, marker=marker)


def _draw_dimensions(axes: Axes, rows: pd.DataFrame, estimators: list[str]) -> None:
    """Draw one space of one group: means over seeds by layer, with bars from the smallest to the largest."""
    for state, of_state in by_state(rows).items():
        for name in estimators:
            look = _with_estimator(STATES[state], name)
            values = of_state[of_state["estimator"] == name].groupby("layer")["dimension"]
            low, mean, high = values.min(), values.mean(), values.max()
            if not len(mean):
                continue
            axes.errorbar(
                mean.index, mean, [mean - low, high - mean], color=look.color, linestyle=look.line,
                marker=look.marker, markersize=4.5, markerfacecolor=look.fill, elinewidth=0.9, capsize=2,
                gid=titled(look.name),
            )  # fmt: skip


def _draw_shares(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    lines = [(run["axis"], run["share"]) for _, run in rows.groupby("run")]
    draw_runs(axes, lines, look._replace(line="-"), width=0.5, alpha=0.5)
    mean = rows.groupby("axis")["share"].mean()
    axes.plot(
        mean.index, mean, color=look.color, linestyle=look.line, linewidth=1.1,
        marker=look.marker, markersize=2.8, markerfacecolor=look.fill,
    )  # fmt: skip
