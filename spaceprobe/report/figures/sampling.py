"""How χ of sampled paths approaches the exact value."""

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import short
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, empty_note, new_figure, styled, that_fit
from spaceprobe.report.entry import FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.missing import why_no_example

CHI = bounds_of("folding", "max")
"""The range of χ."""

SERIES = ((BLUE, "o"), (ORANGE, "s"), (GRAY, "^"))
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
            keep_within(axes, "y", CHI, low=0, high=top)
            figure.legend(loc="outside upper center", ncols=that_fit(2, 2.2), fontsize=7.5)
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
        label=short(name, 44),
    )
    for exact in rows.loc[rows["num_points"].isna(), "chi"]:
        label = short(f"{name}, exact: {exact:.3f}", 44)
        axes.axhline(exact, color=color, linestyle="--", linewidth=1, label=label)


def sampling_caption(numbers: Numbers, table: str, counts: tuple[int, int]) -> Markup:
    """Describe how far χ of few points is from the exact one, on the first path of a table of samples."""
    samples = numbers.frames[table]
    rows = samples[samples["path"] == samples["path"].iloc[0]]
    exact = rows.index[rows["num_points"].isna()].tolist()[0]
    few, more = (rows.index[rows["num_points"] == count].tolist()[0] for count in counts)
    return sentence(
        "χ of paths read at evenly spaced points, as the paper does, beside the exact value (dashed). The "
        "path above has χ = {} at {} points, {} at {}, and {} exactly.",
        numbers.cell(table, few, "chi"),
        numbers.cell(table, few, "num_points", ".0f"),
        numbers.cell(table, more, "chi"),
        numbers.cell(table, more, "num_points", ".0f"),
        numbers.cell(table, exact, "chi"),
    )


ENTRY = FigureEntry(
    title="How many points a path needs",
    section="paths",
    function=sampling_figure,
    tables=("example_samples",),
    needs=("folding",),
    unless=why_no_example,
    caption=lambda numbers: sampling_caption(numbers, "example_samples", (10, 100)),
)
