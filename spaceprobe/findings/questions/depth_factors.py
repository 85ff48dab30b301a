"""Whether folding grows with depth whatever the initial weights, normalisation and training are."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.slopes import SLOPES, slopes_table
from spaceprobe.findings.tables import MEASURE_NAMES, networks_table, seed_differences
from spaceprobe.findings.wording import change_of
from spaceprobe.report.drawing.marks import STATE_LOOKS, grid_figure, legend_above
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

PRIMARY = "chi_row_max_median"
MEASURES = (PRIMARY, "chi_folded_mean")

BASE: dict[str, object] = {
    "initialization": "torch", "initialization_scale": 1, "batch_norm": False, "epochs": 20,
    "learning_rate": 0.001,
}  # fmt: skip
"""The settings of the base."""

LEVEL = "level"
LEVELS: dict[str, dict[str, object]] = {
    "as the base": {},
    "weights by He": {"initialization": "he"},
    "half the weights": {"initialization_scale": 0.5},
    "twice the weights": {"initialization_scale": 2},
    "BatchNorm": {"batch_norm": True},
    "one epoch": {"epochs": 1},
    "a tenth of the rate": {"learning_rate": 0.0001},
    "a large rate": {"learning_rate": 0.03},
}
"""What each level changes, one setting each."""

OF_WEIGHTS = ("weights by He", "half the weights", "twice the weights")
OF_TRAINING = ("one epoch", "a tenth of the rate", "a large rate")


def _keep(results: Results) -> Tables:
    networks = with_levels(networks_table(results, MEASURES, [*BASE]))
    return {"networks": networks[networks["state"].isin((UNTRAINED, TRAINED))].drop(columns=[*BASE])}


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"]
    slopes = slopes_table(networks, [LEVEL], MEASURES)
    means = means_by(slopes, ["measure", "state", LEVEL], "slope")
    return {SLOPES: slopes, "means": means, COMPARISONS: with_holm([*_comparisons(slopes)])}


def with_levels(networks: pd.DataFrame) -> pd.DataFrame:
    """Return the networks with the name of their level.

    Raises:
        ValueError: the settings of one are those of no level.
    """
    levels = np.full(len(networks), "", dtype=object)
    for name, change in LEVELS.items():
        settings = BASE | change
        is_of_level = np.all([networks[column] == value for column, value in settings.items()], axis=0)
        levels[is_of_level] = name
    if (levels == "").any():
        raise ValueError(f"networks of no level: {[*networks.loc[levels == '', 'run']]}")
    return networks.assign(**{LEVEL: levels})


def _comparisons(slopes: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the slope of each level against 0, and against that of the base, seed by seed.

    Of untrained networks only where the initial weights are other ones.
    """
    of = dict([*slopes.groupby(["measure", "state", LEVEL])])
    base = next(iter(LEVELS))
    for measure, state, level in of:
        if state == UNTRAINED and level not in (base, *OF_WEIGHTS):
            continue
        rows = of[measure, state, level]
        about = {"measure": measure, "state": state, LEVEL: level}
        yield about | {"against": "zero"} | comparison([*rows["slope"]])
        if level != base:
            differences = seed_differences(of[measure, state, base], rows, "slope")
            yield about | {"against": base} | comparison(differences)


def _says(numbers: Numbers) -> list[Markup]:
    base = next(iter(LEVELS))

    def change(level: str, state: str = TRAINED) -> Markup:
        where = {"measure": PRIMARY, "state": state, LEVEL: level, "against": base}
        return sentence("{} with {}", change_of(numbers, where), level)

    def slope(state: str) -> Markup:
        where = {"measure": PRIMARY, "state": state, LEVEL: base, "against": "zero"}
        return change_of(numbers, where)

    def changes(levels: tuple[str, ...], state: str = TRAINED) -> Markup:
        return sentence("; ".join(["{}"] * len(levels)), *(change(level, state) for level in levels))

    return [
        sentence(
            "With torch's initial weights a layer beyond the first adds {} to the row maxima of χ of trained "
            "networks and {} to those of untrained ones.",
            slope(TRAINED),
            slope(UNTRAINED),
        ),
        sentence(
            "Other initial weights change what a layer adds in untrained networks by {}, and in trained ones "
            "by {}.",
            changes(OF_WEIGHTS, UNTRAINED),
            changes(OF_WEIGHTS),
        ),
        sentence(
            "In trained networks it changes by {}; and where they are trained badly, by {}.",
            change("BatchNorm"),
            changes(OF_TRAINING),
        ),
    ]


def _draw(tables: Tables) -> Figure:
    means, slopes = tables["means"], tables[SLOPES]
    figure = grid_figure(len(MEASURES), len(MEASURES), height=3.2)
    for axes, measure in zip(figure.axes, MEASURES, strict=True):
        for state, look in STATE_LOOKS.items():
            for place, level in enumerate(LEVELS):
                is_here = (slopes["measure"] == measure) & (slopes["state"] == state)
                values = slopes.loc[is_here & (slopes[LEVEL] == level), "slope"]
                y = place + (0.15 if state == TRAINED else -0.15)
                axes.plot(
                    values, np.full(len(values), y), linestyle="none", marker=".", markersize=3,
                    color=look.color, alpha=0.5,
                )  # fmt: skip
                is_mean = (means["measure"] == measure) & (means["state"] == state)
                row = means[is_mean & (means[LEVEL] == level)]
                ends = np.nan_to_num(np.abs([row["low"] - row["mean"], row["high"] - row["mean"]]))
                axes.errorbar(
                    row["mean"], [y] * len(row), xerr=ends, color=look.color, linestyle="none", capsize=2.5,
                    elinewidth=1, marker=look.marker, markersize=5, markerfacecolor=look.fill,
                )  # fmt: skip
        axes.axvline(0, color="0.7", linewidth=0.8)
        axes.set_yticks(range(len(LEVELS)), [*LEVELS])
        axes.set_ylim(len(LEVELS) - 0.5, -0.5)
        axes.set_xlabel(f"change of the {MEASURE_NAMES[measure]} a layer")
    figure.axes[1].set_yticklabels([])
    legend_above(figure, [*STATE_LOOKS.values()], has_markers=True)
    return figure


ENTRY = FindingEntry(
    title="Depth, one factor at a time",
    question="Does folding grow with depth whatever the initial weights, BatchNorm and training are?",
    study="depth-factors",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="What each layer from the second on adds, by least squares: a dot is a seed, a marker the mean "
    "over seeds with its interval",
)
