"""Whether paths fold more than the number of their flips explains, and whether depth makes them."""

from collections.abc import Iterator

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.along import draw_state
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.slopes import SLOPES, slopes_table
from spaceprobe.findings.tables import means_table, networks_table
from spaceprobe.findings.wording import change_of
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, grid_figure, legend_above
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.drawing.style import MUTED
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

TABLE = "folding_null"
CHI, EXCESS = ("chi", "matched_chi"), ("excess", "matched_excess")
NULL = {"chi": "null_chi", "matched_chi": "matched_null_chi"}
MEASURES = (*CHI, *NULL.values(), *EXCESS)

NAMES = {
    "chi": "mean χ of paths",
    "matched_chi": "the same at matched lengths",
    "excess": "χ minus its null value",
    "matched_excess": "the same at matched lengths",
}

NULL_LOOK = Look("null value: the same flips in random order", MUTED, ":", "x", MUTED)

MEAN, SLOPE = "mean over depths", "change a layer"


def _keep(results: Results) -> Tables:
    return {"networks": networks_table(results, (*MEASURES, "overlap"), table=TABLE)}


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"]
    slopes = slopes_table(networks, [], MEASURES)
    means = means_table(networks, ["architecture", "depth"], MEASURES, TABLE)
    return {"means": means, SLOPES: slopes, COMPARISONS: with_holm([*_comparisons(networks, slopes)])}


def _comparisons(networks: pd.DataFrame, slopes: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the excess against 0, and what a layer adds to χ, its null value and the excess."""
    for state in (TRAINED, UNTRAINED):
        of_seeds = networks[networks["state"] == state].groupby("seed")
        for measure in EXCESS:
            about = {"measure": measure, "state": state, "of": MEAN}
            yield about | comparison([*of_seeds[measure].mean()])
        of_state = slopes[slopes["state"] == state]
        for measure in MEASURES:
            rows = of_state[of_state["measure"] == measure]
            yield {"measure": measure, "state": state, "of": SLOPE} | comparison([*rows["slope"]])


def _says(numbers: Numbers) -> list[Markup]:
    def change(measure: str, state: str, of: str = SLOPE) -> Markup:
        return change_of(numbers, {"measure": measure, "state": state, "of": of})

    return [
        sentence(
            "The mean χ of paths minus its mean over random orders of the same flips is {} in trained "
            "networks and {} in untrained ones, over all depths; at lengths that all depths have it is {} "
            "and {}.",
            *(change(measure, state, MEAN) for measure in EXCESS for state in (TRAINED, UNTRAINED)),
        ),
        sentence(
            "In trained networks a layer changes χ by {} and its null value by {}, so the excess by {}; at "
            "matched lengths by {}, {} and {}.",
            *(change(measure, TRAINED) for measure in ("chi", "null_chi", "excess")),
            *(change(f"matched_{measure}", TRAINED) for measure in ("chi", "null_chi", "excess")),
        ),
        sentence(
            "In untrained networks a layer changes χ by {}, its null value by {} and the excess by {}; at "
            "matched lengths the excess by {}.",
            *(change(measure, UNTRAINED) for measure in ("chi", "null_chi", *EXCESS)),
        ),
    ]


def _draw(tables: Tables) -> Figure:
    networks, means = tables["networks"], tables["means"]
    figure = grid_figure(len(NAMES), 2, height=2.5)
    places = NumberAxis("depth", sorted(networks["depth"].astype(float).unique()))
    for axes, (measure, name) in zip(figure.axes, NAMES.items(), strict=True):
        places.prepare(axes)
        for state in STATE_LOOKS:
            line = means[(means["measure"] == measure) & (means["state"] == state)]
            of_state = networks[networks["state"] == state]
            draw_state(axes, places, of_state, measure, state, line, line[:0])
            if measure in NULL:
                null = means[(means["measure"] == NULL[measure]) & (means["state"] == state)]
                axes.plot(
                    null["depth"], null["mean"], color=STATE_LOOKS[state].color, linestyle=NULL_LOOK.line,
                    marker=NULL_LOOK.marker, markersize=4.5, linewidth=1.2, clip_on=False,
                )  # fmt: skip
        if measure in NULL:
            keep_within(axes, "y", bounds_of(TABLE, measure), low=0)
        else:
            axes.axhline(0, color=MUTED, linewidth=0.8, zorder=0)
        axes.set_ylabel(name)
    legend_above(figure, [*STATE_LOOKS.values(), NULL_LOOK], has_markers=True)
    return figure


ENTRY = FindingEntry(
    title="More than flips",
    question="Do paths fold more than the number of their flips explains, and does depth make them?",
    study="more-than-flips",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Against depth, at equal numbers of units: a dot is a network, a marker the mean over seeds with "
    "its interval; crosses are the same flips in random order, and matched lengths are those that the "
    "networks of a seed have in common",
)
