"""Whether networks whose layers differ in width fold as those of equal widths, at as many units."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import MEASURE_NAMES, means_table, networks_table, seed_differences
from spaceprobe.findings.wording import change_of
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, grid_figure, legend_above
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

PRIMARY, SHARE = "chi_row_max_median", "chi_folded_mean"
MEASURES = (PRIMARY, SHARE)

EQUAL = "equal"
SHAPES = {
    EQUAL: ("3x20", "3x40"),
    "narrowing": ("30-20-10", "60-40-20"),
    "widening": ("10-20-30", "20-40-60"),
    "bottleneck": ("25-10-25", "50-20-50"),
    "bulge": ("15-30-15", "30-60-30"),
}
"""The architectures of each shape, of `SIZES` units."""

SIZES = (60, 120)

SHAPE, UNITS = "shape", "num_units"

OF_ARCHITECTURE = {
    architecture: (shape, size)
    for shape, architectures in SHAPES.items()
    for architecture, size in zip(architectures, SIZES, strict=True)
}


def _keep(results: Results) -> Tables:
    networks = networks_table(results, MEASURES)
    return {"networks": networks[networks["state"].isin((UNTRAINED, TRAINED))].reset_index(drop=True)}


def _derive(tables: Tables) -> Tables:
    networks = with_shapes(tables["networks"])
    means = means_table(networks, [SHAPE, UNITS, "architecture"], MEASURES)
    return {"means": means, COMPARISONS: with_holm([*_comparisons(networks)])}


def with_shapes(networks: pd.DataFrame) -> pd.DataFrame:
    """Return the networks with their shape and their number of units.

    Raises:
        ValueError: the architecture of one is that of no shape.
    """
    unknown = {*networks["architecture"]} - {*OF_ARCHITECTURE}
    if unknown:
        raise ValueError(f"architectures of no shape: {sorted(unknown)}")
    shapes, sizes = zip(*(OF_ARCHITECTURE[name] for name in networks["architecture"]), strict=True)
    return networks.assign(**{SHAPE: shapes, UNITS: sizes})


def _comparisons(networks: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield each shape minus equal widths, seed by seed: the mean of what it is at either size."""
    of = dict([*networks.groupby([SHAPE, "state", UNITS])])
    for measure in MEASURES:
        for state in (TRAINED, UNTRAINED):
            for shape in [*SHAPES][1:]:
                by_size = [
                    seed_differences(of[EQUAL, state, size], of[shape, state, size], measure)
                    for size in SIZES
                ]
                about = {"measure": measure, "state": state, SHAPE: shape, "against": EQUAL}
                yield about | comparison([*np.mean(by_size, axis=0)])


def _says(numbers: Numbers) -> list[Markup]:
    def changes(measure: str, state: str) -> Markup:
        parts = []
        for shape in [*SHAPES][1:]:
            change = change_of(numbers, {"measure": measure, "state": state, SHAPE: shape})
            parts.append(sentence("{} with {}", change, WORDS[shape]))
        return sentence("; ".join(["{}"] * len(parts)), *parts)

    return [
        sentence(
            "At as many units as equal widths have, row maxima of χ of trained networks change by {}.",
            changes(PRIMARY, TRAINED),
        ),
        sentence("Those of untrained networks change by {}.", changes(PRIMARY, UNTRAINED)),
        sentence("The share of trained networks' paths that fold changes by {}.", changes(SHARE, TRAINED)),
    ]


WORDS = {
    "narrowing": "layers that narrow",
    "widening": "layers that widen",
    "bottleneck": "a bottleneck",
    "bulge": "a bulge",
}


def _draw(tables: Tables) -> Figure:
    networks, means = with_shapes(tables["networks"]), tables["means"]
    figure = grid_figure(len(MEASURES) * len(SIZES), len(SIZES), height=2.2)
    panels = [(measure, size) for measure in MEASURES for size in SIZES]
    for axes, (measure, size) in zip(figure.axes, panels, strict=True):
        _draw_panel(axes, networks[networks[UNITS] == size], means[means[UNITS] == size], measure)
        axes.set_title(f"{size} units")
        if size == SIZES[0]:
            axes.set_ylabel(MEASURE_NAMES[measure])
    for number, measure in enumerate(MEASURES):
        row = figure.axes[number * len(SIZES) : (number + 1) * len(SIZES)]
        highest = max(axes.get_ylim()[1] for axes in row)
        for axes in row:
            keep_within(axes, "y", bounds_of("aggregates", measure), low=0, high=highest)
    legend_above(figure, [*STATE_LOOKS.values()], has_markers=True)
    return figure


def _draw_panel(axes: Axes, networks: pd.DataFrame, means: pd.DataFrame, measure: str) -> None:
    """Draw the networks of one size by shape, a dot each, and the means over seeds."""
    places = {shape: place for place, shape in enumerate(SHAPES)}
    for state, look in STATE_LOOKS.items():
        shift = 0.12 if state == TRAINED else -0.12
        points = networks[networks["state"] == state]
        axes.plot(
            points[SHAPE].map(places) + shift, points[measure], linestyle="none", marker=".", markersize=3,
            color=look.color, alpha=0.5,
        )  # fmt: skip
        rows = means[(means["measure"] == measure) & (means["state"] == state)]
        ends = np.nan_to_num(np.abs([rows["low"] - rows["mean"], rows["high"] - rows["mean"]]))
        axes.errorbar(
            rows[SHAPE].map(places) + shift, rows["mean"], ends, color=look.color, linestyle="none",
            capsize=2.5, elinewidth=1, marker=look.marker, markersize=5, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.set_xticks(range(len(SHAPES)), [*SHAPES], fontsize=7)


ENTRY = FindingEntry(
    title="Depth: pyramids and bottlenecks",
    question="Do networks of three layers whose widths differ fold as those of equal widths do?",
    study="depth-shapes",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="By shape, at two numbers of units: a dot is a network, a marker the mean over seeds with its "
    "interval; the text compares each shape with equal widths, averaged over both numbers of units",
)
