"""How far any path folds that a search finds, beside the paths between images: a bound of the global folding.

The global folding Φ_N is that of arXiv 2502.09954.
"""

from collections.abc import Iterator

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.along import draw_state
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import means_table, of_states, seed_differences
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import COUNTED, bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, grid_figure, legend_above
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.drawing.style import INK, MUTED
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

CHECKS, STEPS = "folding_checks_searched", "searched_path"
DATA, SEARCHED, GAIN = "data_max", "searched_max", "gain"
"""The largest χ between images, the largest that was found, and the second minus the first."""

SEARCH = ("climbers", "climbs", "num_data_paths")

SHALLOW, DEEP = "2x30", "6x10"
ALL, ZERO = "all", "zero"
"""Of networks: the mean over all architectures of a seed. What is compared with nothing: with zero."""

DATA_LOOK = Look("largest χ between images", MUTED, ":", "x", MUTED)
PATH_LOOKS = (
    Look("flips so far on the best path", MUTED, "-.", "", MUTED),
    Look("distance from its start", INK, "-", "", INK),
)


def _keep(results: Results) -> Tables:
    checks = of_states(results, results.frames[CHECKS])
    steps = of_states(results, results.frames[STEPS])
    steps = steps[steps["state"] == TRAINED]
    return {
        "networks": checks[["run", "architecture", "depth", "seed", "state", *SEARCH, DATA, SEARCHED]],
        "paths": steps[["run", "seed", "step", "t", "distance", "flips"]].reset_index(drop=True),
    }


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"].assign(**{GAIN: tables["networks"][SEARCHED] - tables["networks"][DATA]})
    means = means_table(networks, ["architecture", "depth"], (DATA, SEARCHED, GAIN), CHECKS)
    return {
        "means": means,
        "gains": networks[["run", "seed", "state", GAIN]],
        "best": _best(networks, tables["paths"]),
        COMPARISONS: with_holm([*_comparisons(networks)]),
    }


def _best(networks: pd.DataFrame, paths: pd.DataFrame) -> pd.DataFrame:
    """Return the trained network whose best path folds most, the first of equal ones, and that path."""
    trained = networks[networks["state"] == TRAINED].dropna(subset=SEARCHED)
    best = trained.sort_values(SEARCHED, ascending=False, kind="stable").head(1)
    steps = paths.groupby("run", sort=False).agg(length=("flips", "max"), reach=("distance", "max"))
    columns = ["run", "architecture", "seed", *SEARCH, DATA, SEARCHED]
    return best[columns].merge(steps, left_on="run", right_index=True).reset_index(drop=True)


def _comparisons(networks: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the gain against 0, the deepest network against the shallowest, and trained against untrained."""
    of = dict([*networks.groupby("state")])
    for state in (TRAINED, UNTRAINED):
        gains = of[state].groupby("seed")[GAIN].mean()
        yield {"measure": GAIN, "state": state, "of": ALL, "against": ZERO} | comparison([*gains])
        first, second = (of[state][of[state]["architecture"] == name] for name in (SHALLOW, DEEP))
        for measure in (SEARCHED, GAIN):
            about = {"measure": measure, "state": state, "of": DEEP, "against": SHALLOW}
            yield about | comparison(seed_differences(first, second, measure))
    for measure in (SEARCHED, GAIN):
        before, after = (
            of[state].groupby("seed", as_index=False)[[measure]].mean() for state in (UNTRAINED, TRAINED)
        )
        about = {"measure": measure, "state": TRAINED, "of": ALL, "against": UNTRAINED}
        yield about | comparison(seed_differences(before, after, measure))


def _says(numbers: Numbers) -> list[Markup]:
    def change(measure: str, state: str, of: str, against: str) -> Markup:
        return change_of(numbers, {"measure": measure, "state": state, "of": of, "against": against})

    def with_depth(state: str) -> list[Markup]:
        ends = [
            mean_of(numbers, "means", {"measure": SEARCHED, "state": state, "architecture": name})
            for name in (SHALLOW, DEEP)
        ]
        return [*ends, change(SEARCHED, state, DEEP, SHALLOW)]

    def spread(state: str) -> Markup:
        ends = [numbers.statistic(of, "gains", GAIN, {"state": state}, ".3f") for of in ("min", "max")]
        return sentence("from {} to {}", *ends)

    found = sentence(
        "The largest χ that the search found is {} in a trained `2x30` and {} in a trained `6x10`, a change "
        "of {}; untrained, it is {} and {}, a change of {}.",
        *with_depth(TRAINED),
        *with_depth(UNTRAINED),
    )
    gained = sentence(
        "This exceeds the largest χ between images by {} in trained networks, {} in single ones, and by {} "
        "in untrained ones, {}; a `6x10` in place of a `2x30` changes that by {} and {}, and training by {}.",
        change(GAIN, TRAINED, ALL, ZERO),
        spread(TRAINED),
        change(GAIN, UNTRAINED, ALL, ZERO),
        spread(UNTRAINED),
        change(GAIN, TRAINED, DEEP, SHALLOW),
        change(GAIN, UNTRAINED, DEEP, SHALLOW),
        change(GAIN, TRAINED, ALL, UNTRAINED),
    )
    return [found, gained, _best_path(numbers)]


def _best_path(numbers: Numbers) -> Markup:
    """Return what the best path of all trained networks is, which the figure shows."""

    def cell(column: str, spec: str = "d") -> Markup:
        return numbers.cell("best", 0, column, spec)

    return sentence(
        "The best path of all trained networks, in each of which {} climbed by {} proposals, is one of a "
        "`{}` of seed {} with {} flips, of which it keeps at most {} at once, so that χ is {}, a lower bound "
        "of the global folding; between this network's images it is at most {}.",
        cell("climbers"),
        cell("climbs", ",d"),
        str(numbers.value_at("best", 0, "architecture")),
        cell("seed"),
        cell("length"),
        cell("reach"),
        cell(SEARCHED, ".3f"),
        cell(DATA, ".3f"),
    )


def _draw(tables: Tables) -> Figure:
    networks, means = tables["networks"], tables["means"]
    figure = grid_figure(2, 2, height=2.9)
    along, path = figure.axes
    places = NumberAxis("depth", sorted(networks["depth"].astype(float).unique()))
    places.prepare(along)
    for state, look in STATE_LOOKS.items():
        of_state = means[means["state"] == state]
        line, data = (of_state[of_state["measure"] == measure] for measure in (SEARCHED, DATA))
        dots = networks[networks["state"] == state]
        draw_state(along, places, dots, SEARCHED, state, line, line[:0])
        along.plot(
            data["depth"], data["mean"], color=look.color, linestyle=DATA_LOOK.line, marker=DATA_LOOK.marker,
            markersize=4.5, linewidth=1.2, clip_on=False,
        )  # fmt: skip
    along.set_ylabel("largest χ that was found")
    keep_within(along, "y", bounds_of(CHECKS, SEARCHED), low=0)
    best = tables["best"]
    _draw_path(path, tables["paths"][tables["paths"]["run"].isin(best["run"])])
    legend_above(figure, [*STATE_LOOKS.values(), DATA_LOOK, *PATH_LOOKS], has_markers=True)
    return figure


def _draw_path(axes: Axes, steps: pd.DataFrame) -> None:
    """Draw flips and distance along the best path."""
    for column, look in zip(("flips", "distance"), PATH_LOOKS, strict=True):
        axes.step(
            [*steps["t"], 1.0], [*steps[column], *steps[column].tail(1)], where="post", color=look.color,
            linestyle=look.line, linewidth=1.3,
        )  # fmt: skip
    axes.set_xlabel("t, from the start (0) to the end (1)")
    axes.set_ylabel("flips")
    axes.set_xlim(0, 1)
    keep_within(axes, "y", COUNTED, low=0)


ENTRY = FindingEntry(
    title="Global folding",
    question="How far does any path fold that a search finds, beside those between images?",
    study="global-folding",
    kept=("networks", "paths"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Left, against depth: a dot is the best path of a network, a marker the mean over seeds with its "
    "interval, a cross the mean of the largest χ between images; right, the best path of all trained "
    "networks: its flips so far, and how far that takes it from its start",
)
