"""Whether folding grows with depth at a fixed width, where the folding paper changes both at once."""

from collections.abc import Iterator

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.along import draw_state
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.slopes import SLOPES, slopes_table
from spaceprobe.findings.tables import MEASURE_NAMES, means_table, networks_table, seed_differences
from spaceprobe.findings.wording import change_of, row_where
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, grid_figure, legend_above
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE, STATES, TRAINED, UNTRAINED

PRIMARY = "chi_row_max_median"
MEASURES = (PRIMARY, "chi_folded_mean", "chi_max")
WIDTHS = (10, 20, 40)
WIDE, DEEP = "6x10", "10x6"
"""Of 60 units each."""

NOTHING, ACCURACY = "none", "test_accuracy"
"""What is held fixed, in the column ``given``."""


def _keep(results: Results) -> Tables:
    return {"networks": networks_table(results, MEASURES)}


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"]
    slopes = slopes_table(networks[networks["width"].isin(WIDTHS)], ["width"], MEASURES)
    means = means_table(networks, ["architecture", "depth", "width"], MEASURES)
    return {"means": means, SLOPES: slopes, COMPARISONS: with_holm([*_comparisons(networks, slopes)])}


def _comparisons(networks: pd.DataFrame, slopes: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield slopes against 0, also at a fixed test accuracy, and the deep narrow network against the wide."""
    for (width, measure, state), rows in slopes.groupby(["width", "measure", "state"], sort=False):
        about = {"measure": measure, "state": state, "of": "slope", "width": width}
        yield about | {"given": NOTHING} | comparison([*rows["slope"]])
        if state != UNTRAINED:
            yield about | {"given": ACCURACY} | comparison([*rows["slope_given"]])
    of = dict([*networks.groupby(["architecture", "state"])])
    for measure in MEASURES:
        for state in STATES:
            differences = seed_differences(of[WIDE, state], of[DEEP, state], measure)
            about = {"measure": measure, "state": state, "of": DEEP, "width": int(DEEP.split("x")[1])}
            yield about | {"given": NOTHING} | comparison(differences)


def _says(numbers: Numbers) -> list[Markup]:
    def slope(width: int, state: str, given: str, measure: str) -> Markup:
        where = {"measure": measure, "state": state, "of": "slope", "width": width, "given": given}
        row = row_where(numbers.frames[COMPARISONS], where)
        named = numbers.cell(COMPARISONS, row, "width", "d")
        return sentence("{} at a width of {}", change_of(numbers, where), named)

    def at_widths(state: str, given: str = NOTHING, measure: str = PRIMARY) -> Markup:
        return sentence("{}; {}; {}", *(slope(width, state, given, measure) for width in WIDTHS))

    def deeper(state: str) -> Markup:
        return change_of(numbers, {"measure": PRIMARY, "state": state, "of": DEEP, "given": NOTHING})

    return [
        sentence(
            "Beyond the first, each layer changes the row maxima of χ in trained networks by {}; in "
            "untrained ones by {}.",
            at_widths(TRAINED),
            at_widths(UNTRAINED),
        ),
        sentence(
            "What training adds to row maxima changes with each layer by {}; at a fixed test accuracy those "
            "of trained networks change by {}.",
            at_widths(DIFFERENCE),
            at_widths(TRAINED, ACCURACY),
        ),
        sentence(
            "The share of paths that fold changes with each layer by {} in trained networks; as many units "
            "in more layers, `10x6` in place of `6x10`, change row maxima by {} trained and {} untrained.",
            at_widths(TRAINED, measure="chi_folded_mean"),
            deeper(TRAINED),
            deeper(UNTRAINED),
        ),
    ]


def _draw(tables: Tables) -> Figure:
    networks, means = tables["networks"], tables["means"]
    figure = grid_figure(2 * len(WIDTHS), len(WIDTHS), height=2.2)
    shown = [(measure, width) for measure in MEASURES[:2] for width in WIDTHS]
    for axes, (measure, width) in zip(figure.axes, shown, strict=True):
        of_width = networks[networks["width"] == width]
        places = NumberAxis("depth", sorted(of_width["depth"].astype(float).unique()))
        places.prepare(axes)
        for state in STATE_LOOKS:
            rows = means[(means["measure"] == measure) & (means["state"] == state)]
            line = rows[rows["width"] == width]
            draw_state(axes, places, networks[:0], measure, state, line, line[:0])  # dots would be many
        axes.set_title(f"width {width}")
        keep_within(axes, "y", bounds_of("aggregates", measure), low=0)
    for axes in figure.axes[:: len(WIDTHS)]:
        axes.set_ylabel(MEASURE_NAMES[shown[figure.axes.index(axes)][0]])
    legend_above(figure, [*STATE_LOOKS.values()], has_markers=True)
    return figure


ENTRY = FindingEntry(
    title="Depth",
    question="Does folding grow with depth at a fixed width? Before training, too, and at equal accuracy?",
    study="depth",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Against the number of hidden layers, at three widths: a marker is the mean over seeds with its "
    "interval",
)
