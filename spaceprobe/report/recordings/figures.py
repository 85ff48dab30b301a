"""The figures of a recording: its paths over the steps, and those of weights where it has decompositions."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.errors import SettingsError
from spaceprobe.recording.tables import RECORDING
from spaceprobe.report.drawing.limits import keep_within
from spaceprobe.report.drawing.marks import Look, count_axis, grid_figure, legend_above, name_below
from spaceprobe.report.drawing.style import BLUE, ORANGE, PAPER, styled
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.report.weights.figures import FIGURES as OF_WEIGHTS
from spaceprobe.results.recordings import Recording
from spaceprobe.stages.fold.model_paths import MODEL_PATHS

QUARTILES = (0.25, 0.75)

MEAN = Look("mean over paths", BLUE, "-", "o", BLUE)
NULL = Look("the same flips in random order", ORANGE, "--", "s", PAPER)
REACH = Look("reach", ORANGE, "--", "s", PAPER)
LENGTH = Look("length", BLUE, "-", "o", BLUE)


@dataclass(frozen=True, kw_only=True)
class RecordingFigure:
    """A figure of the paths of a recording.

    Attributes:
        name: what `spaceprobe plot` calls it.
        title: its heading.
        function: draws recording.csv and model_paths.csv.
        caption: how to read it, and what it shows.
    """

    name: str
    title: str
    function: Callable[[pd.DataFrame, pd.DataFrame], Figure]
    caption: Callable[[Numbers], Markup]

    def lacks(self, recording: Recording) -> str | None:
        """Return why a recording cannot have the figure; None where it can."""
        has_paths = len(recording.frames[MODEL_PATHS.name])
        return None if has_paths else "no path was walked at any step"

    def draw(self, recording: Recording) -> Figure:
        """Draw the figure of a recording that does not lack it."""
        return self.function(recording.frames[RECORDING.name], recording.frames[MODEL_PATHS.name])


def recorded_folding(recording: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Draw χ and peak folding over steps: means with the quartiles over paths, and the null value of χ.

    Args:
        recording: recording.csv.
        paths: model_paths.csv.
    """
    with styled():
        figure = grid_figure(2, 2, height=2.6)
        for axes, column, title in zip(figure.axes, ("chi", "peak"), ("χ", "peak folding"), strict=True):
            _draw(axes, recording, paths, column, MEAN)
            if column == "chi":
                _line(axes, recording, "null_chi", NULL)
            axes.set_title(title, fontsize=8)
            count_axis(axes)
            keep_within(axes, "y", RECORDING.column(column).bounds, low=0)
        legend_above(figure, [MEAN, NULL], has_markers=True)
        name_below(figure, "step", ["shaded: the middle half of the paths"])
    return figure


def recorded_lengths(recording: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Draw the mean length and reach of paths over steps, and the share of paths that fold.

    Args:
        recording: recording.csv.
        paths: model_paths.csv.
    """
    with styled():
        figure = grid_figure(2, 2, height=2.6)
        first, second = figure.axes
        _draw(first, recording, paths, "length", LENGTH)
        _draw(first, recording, paths, "reach", REACH)
        _line(second, recording, "folded", LENGTH)
        for axes, column, title in (
            (first, "length", "flips"),
            (second, "folded", "paths with χ > 0, share"),
        ):
            axes.set_title(title, fontsize=8)
            count_axis(axes)
            keep_within(axes, "y", RECORDING.column(column).bounds, low=0)
        legend_above(figure, [LENGTH, REACH], has_markers=True)
        name_below(figure, "step", ["left: means, and shaded the middle half of the paths"])
    return figure


def _draw(axes: Axes, recording: pd.DataFrame, paths: pd.DataFrame, column: str, look: Look) -> None:
    """Draw the mean of a column over steps, and its quartiles over paths."""
    by_step = paths.groupby("step")[column]
    low, high = (by_step.quantile(share) for share in QUARTILES)
    axes.fill_between(low.index, low, high, color=look.color, alpha=0.15, linewidth=0)
    _line(axes, recording, column, look)


def _line(axes: Axes, recording: pd.DataFrame, column: str, look: Look) -> None:
    axes.plot(
        recording["step"], recording[column].astype(float), color=look.color, linestyle=look.line,
        marker=look.marker, markersize=3.5, markerfacecolor=look.fill,
    )  # fmt: skip


def _ends(numbers: Numbers, column: str) -> tuple[Markup, Markup]:
    """Return the numbers of a column at the first and the last step that has one."""
    values = numbers.frames[RECORDING.name][column].dropna()
    first, last = (
        numbers.cell(RECORDING.name, int(row), column) for row in (values.index[0], values.index[-1])
    )
    return first, last


def _folding_caption(numbers: Numbers) -> Markup:
    return sentence(
        "Mean χ of the same paths at {} steps, with the null value of the same flips in random order, and "
        "their mean peak folding. The mean χ is {} at the first step and {} at the last.",
        numbers.statistic("count", RECORDING.name),
        *_ends(numbers, "chi"),
    )


def _lengths_caption(numbers: Numbers) -> Markup:
    return sentence(
        "Mean length and reach of these paths, and the share of them that fold. The mean length is {} flips "
        "at the first step and {} at the last.",
        *_ends(numbers, "length"),
    )


FIGURES = {
    figure.name: figure
    for figure in (
        RecordingFigure(
            name="folding",
            title="Space folding over training",
            function=recorded_folding,
            caption=_folding_caption,
        ),
        RecordingFigure(
            name="lengths",
            title="Length and reach over training",
            function=recorded_lengths,
            caption=_lengths_caption,
        ),
    )
}
"""The figures of paths, by name, in the order of the page."""


def reasons_of(recording: Recording) -> dict[str, tuple[str, str | None]]:
    """Return the title of every figure, and why a recording cannot have it, None where it can."""
    weights = recording.weights
    return {
        **{name: (entry.title, entry.lacks(recording)) for name, entry in FIGURES.items()},
        **{
            name: (
                entry.title,
                "matrices were not decomposed: lmd=True" if weights is None else entry.lacks(weights),
            )
            for name, entry in OF_WEIGHTS.items()
        },
    }


def draw_figure(recording: Recording, name: str) -> Figure:
    """Draw a figure that a recording does not lack."""
    if name in FIGURES:
        return FIGURES[name].draw(recording)
    weights = recording.weights
    if weights is None:
        raise ValueError(f"{name}: the recording has no decompositions")
    return OF_WEIGHTS[name].draw(weights)


def check_figure(name: str) -> None:
    """Check that there is a figure of that name.

    Raises:
        SettingsError: there is none.
    """
    if name not in FIGURES and name not in OF_WEIGHTS:
        raise SettingsError(
            f"KIND {name!r} is not a figure of a recording; choose one of "
            f"{', '.join((*FIGURES, *OF_WEIGHTS))}"
        )
