"""Whether folding grows with width: the share of paths that fold, and how far they do.

The folding paper reports the share (arXiv 2502.09954, section 5).
"""

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import MEASURE_NAMES, means_table, networks_table, seed_differences
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, grid_figure, legend_above
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

SHARE, LARGEST, ROW_MAXIMA = MEASURES = ("chi_folded_mean", "chi_max", "chi_row_max_median")

NARROW, WIDE, DEEPER = "2x30", "2x300", "3x200"
"""The narrowest and the widest network of two layers, and one of as many units in three."""


def _keep(results: Results) -> Tables:
    return {"networks": networks_table(results, MEASURES)}


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"]
    means = means_table(networks, ["architecture", "depth", "width"], MEASURES)
    return {"means": means, COMPARISONS: with_holm(_comparisons(networks))}


def _comparisons(networks: pd.DataFrame) -> list[dict[str, object]]:
    """Return what width changes, what a third layer changes, and what training does at both ends."""
    by_network = dict([*networks.groupby(["architecture", "state"])])
    rows: list[dict[str, object]] = []
    for measure in MEASURES:
        for first, second in ((NARROW, WIDE), (WIDE, DEEPER)):
            for state in (UNTRAINED, TRAINED, DIFFERENCE):
                pair = by_network[first, state], by_network[second, state]
                about = {"measure": measure, "state": state, "first": first, "second": second}
                rows.append(about | comparison(seed_differences(*pair, measure)))
        for architecture in (NARROW, WIDE):  # what training adds
            added = by_network[architecture, DIFFERENCE][measure].astype(float)
            about = {"measure": measure, "state": DIFFERENCE, "first": architecture, "second": architecture}
            rows.append(about | comparison([*added]))
    return rows


def _says(numbers: Numbers) -> list[Markup]:
    def mean(measure: str, state: str, architecture: str) -> Markup:
        where = {"measure": measure, "state": state, "architecture": architecture}
        return mean_of(numbers, "means", where)

    def change(measure: str, state: str, first: str = NARROW, second: str = WIDE) -> Markup:
        return change_of(numbers, {"measure": measure, "state": state, "first": first, "second": second})

    ends = [(state, architecture) for state in (TRAINED, UNTRAINED) for architecture in (NARROW, WIDE)]
    template = (
        " of trained networks is {} in a `2x30` and {} in a `2x300`, of untrained ones {} and {}: width "
        "changes it by {} in trained and by {} in untrained networks."
    )
    share, largest = (
        sentence(
            f"{name}{template}",
            *(mean(measure, *end) for end in ends),
            change(measure, TRAINED),
            change(measure, UNTRAINED),
        )
        for measure, name in ((SHARE, "The share of paths that fold"), (LARGEST, "The largest χ"))
    )
    added = sentence(
        "Training changes the largest χ by {} in a `2x30` and by {} in a `2x300`, a difference of {} (of "
        "row maxima: {}), and a third layer at the same number of units (`3x200`) changes the largest χ of "
        "trained networks by {}.",
        change(LARGEST, DIFFERENCE, NARROW, NARROW),
        change(LARGEST, DIFFERENCE, WIDE, WIDE),
        change(LARGEST, DIFFERENCE),
        change(ROW_MAXIMA, DIFFERENCE),
        change(LARGEST, TRAINED, WIDE, DEEPER),
    )
    return [share, largest, added]


def _draw(tables: Tables) -> Figure:
    networks, means = tables["networks"], tables["means"]
    figure = grid_figure(len(MEASURES), 3, height=2.5)
    places = NumberAxis("width", sorted(networks["width"].astype(float).unique()))
    for axes, measure in zip(figure.axes, MEASURES, strict=True):
        places.prepare(axes)
        for state in STATE_LOOKS:
            of_state = means[(means["measure"] == measure) & (means["state"] == state)]
            _draw_state(axes, places, of_state, networks[networks["state"] == state], measure, state)
        axes.set_ylabel(MEASURE_NAMES[measure])
        keep_within(axes, "y", bounds_of("aggregates", measure), low=0)
    legend_above(figure, [*STATE_LOOKS.values()], has_markers=True)
    return figure


def _draw_state(
    axes: Axes, places: NumberAxis, means: pd.DataFrame, networks: pd.DataFrame, measure: str, state: str
) -> None:
    """Draw a line through the networks of two layers, and those of three beside it."""
    look = STATE_LOOKS[state]
    shift = 0.1 if state == TRAINED else -0.1
    xs = np.array([float(places.shifted(width, shift)) for width in networks["width"]])
    axes.plot(
        xs, networks[measure], linestyle="none", marker=".", markersize=2.5, color=look.color, alpha=0.5
    )
    for depth, rows in means.groupby("depth"):
        x = [float(places.shifted(width, shift)) for width in rows["width"]]
        below, above = (rows["mean"] - rows["low"]).fillna(0), (rows["high"] - rows["mean"]).fillna(0)
        axes.errorbar(
            x, rows["mean"], [below, above], color=look.color, linestyle=look.line if depth == 2 else "none",
            capsize=2.5, elinewidth=1, marker=look.marker if depth == 2 else "D", markersize=5,
            markerfacecolor=look.fill, clip_on=False,
        )  # fmt: skip


ENTRY = FindingEntry(
    title="Width",
    question="Do wider networks fold more of the paths, and do these fold further? And untrained ones?",
    study="width",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Against the units of a hidden layer: a dot is a network, a marker the mean over seeds with its "
    "interval; lines join networks with two hidden layers, diamonds have three",
)
