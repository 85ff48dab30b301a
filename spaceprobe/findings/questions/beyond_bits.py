"""Whether distances and other thresholds say of folding what bits say, and whether it grows with depth."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import DIFFERS, INCONCLUSIVE, UNTESTED, comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.slopes import SLOPES, slopes_table
from spaceprobe.findings.tables import NETWORK_COLUMNS, rank_correlation
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import keep_within
from spaceprobe.report.drawing.marks import grid_figure
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.drawing.style import BLUE, GRAY, INK, MUTED, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED, by_state
from spaceprobe.tables.table import Bounds

BITS = "bits"
THRESHOLDS = {"0.0": BITS, "median": "bits at the median", "quantile-0.9": "bits at a high quantile"}
"""Measures of paths.csv by its threshold, the first being χ as it is."""

DISTANCES = {
    f"{quantity}, {norm}{'' if scaling == 'raw' else ', standardised'}": (quantity, norm, scaling)
    for quantity in ("pre-activation", "activation")
    for norm in ("L1", "L2")
    for scaling in ("raw", "standardised")
}
"""Measures of path_distances.csv, of all layers together."""

MEASURES = (*THRESHOLDS.values(), *DISTANCES)

PATH = ("run", "epoch", "source_class", "target_class", "source", "target")
"""What tells paths apart in both tables."""

DEEPEST = "6x10"
"""Whose layers are shown one by one."""

AGREEMENT = "agreement"
LAYER_OF = ("state", "layer", "quantity", "norm", "scaling")
GROWS, FALLS = "grows", "falls"
CHI = Bounds(0, 1)
CORRELATION = Bounds(-1, 1)


def _keep(results: Results) -> Tables:
    frames = results.frames
    networks = frames["aggregates"].astype({"threshold": str})
    networks = networks[networks["threshold"] == next(iter(THRESHOLDS))]
    of_network = networks[[*NETWORK_COLUMNS]].drop_duplicates(["run", "state"])
    of_network = of_network[of_network["state"].isin((UNTRAINED, TRAINED))]
    paths, distances = frames["paths"].astype({"threshold": str}), frames["path_distances"]
    bits = {
        name: paths[paths["threshold"] == threshold].set_index([*PATH])["chi"]
        for threshold, name in THRESHOLDS.items()
    }
    every = distances[distances["layer"] == 0]
    chi = {**bits, **{name: _of(every, *of) for name, of in DISTANCES.items()}}
    table = pd.DataFrame(chi).reset_index()
    deepest = of_network.loc[of_network["architecture"] == DEEPEST, ["run", "seed"]].drop_duplicates()
    return {
        "networks": of_network.merge(_by_network(table, pd.DataFrame.mean)),
        AGREEMENT: of_network.merge(_by_network(table, _agreement)).drop(columns="test_accuracy"),
        "layers": by_layer(distances.merge(deepest), bits[BITS]),
    }


def _of(distances: pd.DataFrame, quantity: str, norm: str, scaling: str) -> "pd.Series[float]":
    """Return χ of one distance, path by path."""
    is_of = (distances["quantity"] == quantity) & (distances["norm"] == norm)
    rows = distances[is_of & (distances["scaling"] == scaling)]
    return rows.set_index([*PATH])["chi"]


def _by_network(table: pd.DataFrame, of_paths: Callable[[pd.DataFrame], "pd.Series[float]"]) -> pd.DataFrame:
    """Return a row for each network and state: what a function makes of χ of its paths, a row each."""
    rows = []
    for state, of_state in by_state(table).items():
        for run, paths in of_state.groupby("run", sort=False):
            rows.append({"run": run, "state": state, **of_paths(paths[[*MEASURES]])})
    return pd.DataFrame(rows)


def _agreement(paths: pd.DataFrame) -> "pd.Series[float]":
    """Return Spearman's correlation over paths of each measure with bits; NaN where one is constant."""
    return pd.Series({name: rank_correlation(paths[BITS], paths[name]) for name in paths if name != BITS})


def by_layer(distances: pd.DataFrame, bits: "pd.Series[float]") -> pd.DataFrame:
    """Return for each layer of each network, in every distance, the mean χ and how it goes with that of bits.

    The latter is Spearman's correlation over paths with χ of the bits of all layers together.
    """
    states = [rows.assign(state=state) for state, rows in by_state(distances).items()]
    of_layers = pd.concat(states)[lambda rows: rows["layer"] > 0]
    rows = []
    for key, paths in of_layers.merge(bits.rename(BITS).reset_index(), on=[*PATH]).groupby(
        ["seed", *LAYER_OF], sort=False
    ):
        values = {"chi": float(paths["chi"].mean()), AGREEMENT: rank_correlation(paths[BITS], paths["chi"])}
        rows.append({**dict(zip(["seed", *LAYER_OF], key, strict=True)), **values})
    return pd.DataFrame(rows)


def _derive(tables: Tables) -> Tables:
    networks, agreement = tables["networks"], tables[AGREEMENT]
    slopes = slopes_table(networks, [], MEASURES)
    return {
        "means": _means(networks, ["architecture", "depth"], MEASURES, CHI),
        SLOPES: slopes,
        "agreement_means": _means(agreement, [], [*MEASURES[1:]], CORRELATION),
        "layer_means": means_by(tables["layers"], LAYER_OF, "chi", CHI),
        "layer_agreement": means_by(tables["layers"], LAYER_OF, AGREEMENT, CORRELATION),
        COMPARISONS: with_holm([*_comparisons(slopes)]),
    }


def _means(table: pd.DataFrame, by: list[str], measures: Sequence[str], bounds: Bounds) -> pd.DataFrame:
    means = []
    for measure in measures:
        of_measure = means_by(table, ["state", *by], measure, bounds)
        of_measure.insert(0, "measure", measure)
        means.append(of_measure)
    return pd.concat(means, ignore_index=True)


def _comparisons(slopes: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield what a layer adds to the mean χ in each measure, against 0."""
    for state in (TRAINED, UNTRAINED):
        of_state = slopes[slopes["state"] == state]
        for measure in MEASURES:
            rows = of_state[of_state["measure"] == measure]
            found = comparison([*rows["slope"]])
            direction = GROWS if float(str(found["difference"])) > 0 else FALLS
            yield {"measure": measure, "state": state, "direction": direction} | found


EXAMPLES = ("pre-activation, L2, standardised", "activation, L1, standardised", "bits at the median")
"""Which measures are spoken of one by one."""


def _says(numbers: Numbers) -> list[Markup]:
    def agreement(measure: str, state: str = TRAINED) -> Markup:
        return mean_of(numbers, "agreement_means", {"measure": measure, "state": state}, "+.2f")

    def change(measure: str, state: str = TRAINED) -> Markup:
        return change_of(numbers, {"measure": measure, "state": state})

    means = numbers.frames["agreement_means"]
    trained = means[means["state"] == TRAINED].dropna(subset="mean")
    agree = Markup("In no trained network does χ of bits differ from path to path.")
    if len(trained):
        least, most = (str(trained.at[trained["mean"].agg(end), "measure"]) for end in ("idxmin", "idxmax"))
        agree = sentence(
            "Over the paths of a trained network, Spearman's correlation of χ of bits with χ of another "
            "measure is on average from {}, of {}, to {}, of {}.",
            agreement(least),
            named(least),
            agreement(most),
            named(most),
        )
    deep = sentence(
        "In trained networks a layer changes the mean χ of bits by {}; {}.",
        change(BITS),
        Markup("; ").join(sentence("{} by {}", named(name), change(name)) for name in EXAMPLES),
    )
    return [agree, deep, sentence("{}; {}.", _counted(numbers, TRAINED), _counted(numbers, UNTRAINED))]


def named(measure: str) -> Markup:
    """Return what sentences call a measure; its norm is code, since it is not a number that was found."""
    if measure not in DISTANCES:
        return sentence("{}", measure)
    quantity, norm, scaling = DISTANCES[measure]
    kind = "" if scaling == "raw" else f"{scaling} "
    return sentence("{}`{}` distances of {}s", kind, norm, quantity)


def _counted(numbers: Numbers, state: str) -> Markup:
    """Return in how many measures folding grows with depth, falls, or neither."""

    def count(**where: object) -> Markup:
        return numbers.statistic("count", COMPARISONS, None, {"state": state, **where})

    untested = count(verdict=UNTESTED)
    return sentence(
        "{} grows with depth in {} of {} measures, falls in {} and is inconclusive in {}{}",
        "In trained networks the mean χ" if state == TRAINED else "in untrained ones it",
        count(verdict=DIFFERS, direction=GROWS),
        count(),
        count(verdict=DIFFERS, direction=FALLS),
        count(verdict=INCONCLUSIVE),
        sentence(", not tested in {}", untested) if untested.striptags() != "0" else Markup(),
    )


LOOKS = {
    BITS: (INK, "-", "o", INK),
    "bits at the median": (GRAY, "--", "s", PAPER),
    "bits at a high quantile": (GRAY, ":", "^", PAPER),
    **{
        name: (
            BLUE if quantity == "pre-activation" else ORANGE,
            "-" if norm == "L1" else "--",
            "o" if norm == "L1" else "s",
            PAPER if scaling == "raw" else (BLUE if quantity == "pre-activation" else ORANGE),
        )
        for name, (quantity, norm, scaling) in DISTANCES.items()
    },
}
"""Colour, line, marker and its fill of each measure."""


def _draw(tables: Tables) -> Figure:
    figure = grid_figure(4, 2, height=2.7)
    _draw_depth(figure.axes[0], tables["means"])
    trained = {name: rows[rows["state"] == TRAINED] for name, rows in tables.items() if "state" in rows}
    slopes, compared = trained[SLOPES], trained[COMPARISONS].set_index("measure")
    _draw_forest(
        figure.axes[1],
        {name: slopes.loc[slopes["measure"] == name, "slope"] for name in MEASURES},
        compared.rename(columns={"difference": "mean"}),
        "what a layer adds to the mean χ",
    )
    _draw_forest(
        figure.axes[2],
        {name: trained[AGREEMENT][name] for name in MEASURES[1:]},
        trained["agreement_means"].set_index("measure"),
        "correlation with χ of bits over paths",
    )
    keep_within(figure.axes[2], "x", CORRELATION, high=1)
    _draw_layers(figure.axes[3], tables["layer_means"])
    handles = [
        figure.axes[0].plot(
            [], [], linestyle=line, color=color, marker=marker, markerfacecolor=fill, markersize=4,
            linewidth=1.1, label=name,
        )[0]
        for name, (color, line, marker, fill) in LOOKS.items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=6.5)
    return figure


def _draw_depth(axes: Axes, means: pd.DataFrame) -> None:
    rows = means[means["state"] == TRAINED]
    places = NumberAxis("depth", sorted(rows["depth"].astype(float).unique()))
    places.prepare(axes)
    for name, (color, line, marker, fill) in LOOKS.items():
        own = rows[rows["measure"] == name].sort_values("depth")
        x = [float(places.shifted(value, 0.0)) for value in own["depth"]]
        axes.plot(
            x, own["mean"], color=color, linestyle=line, marker=marker, markersize=3, markerfacecolor=fill,
            linewidth=1,
        )  # fmt: skip
    axes.set_ylabel("mean χ of paths")
    keep_within(axes, "y", CHI, low=0)


def _draw_forest(axes: Axes, dots: Mapping[str, "pd.Series[float]"], means: pd.DataFrame, name: str) -> None:
    """Draw a row for each measure: its values as dots, their mean with its interval as a marker."""
    for place, measure in enumerate(dots):
        color, _, marker, fill = LOOKS[measure]
        values = dots[measure]
        axes.plot(
            values, np.full(len(values), place), linestyle="none", marker=".", markersize=2.5, color=color,
            alpha=0.4,
        )  # fmt: skip
        if measure not in means.index:
            continue
        mean, low, high = means.loc[measure, ["mean", "low", "high"]].to_numpy(float)
        axes.errorbar(
            [mean], [place], xerr=np.nan_to_num(np.abs([[low - mean], [high - mean]])), color=color,
            marker=marker, markersize=4, markerfacecolor=fill, capsize=2, elinewidth=1, linestyle="none",
        )  # fmt: skip
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_yticks([])
    axes.set_ylim(len(dots) - 0.5, -0.5)
    axes.set_xlabel(name)


def _draw_layers(axes: Axes, means: pd.DataFrame) -> None:
    """Draw the mean χ of each layer of the deepest network."""
    rows = means[means["state"] == TRAINED]
    for name, (quantity, norm, scaling) in DISTANCES.items():
        color, line, marker, fill = LOOKS[name]
        is_of = (rows["quantity"] == quantity) & (rows["norm"] == norm) & (rows["scaling"] == scaling)
        own = rows[is_of].sort_values("layer")
        axes.plot(
            own["layer"], own["mean"], color=color, linestyle=line, marker=marker, markersize=3,
            markerfacecolor=fill, linewidth=1,
        )  # fmt: skip
    axes.set_xlabel(f"layer of {DEEPEST}")
    axes.set_ylabel("mean χ of the layer")
    axes.set_xticks(sorted(rows["layer"].unique()))
    keep_within(axes, "y", CHI, low=0)


ENTRY = FindingEntry(
    title="Beyond bits",
    question="Does χ of distances in place of bits, or of bits with other thresholds, say the same, and does "
    "it grow with depth?",
    study="beyond-bits",
    kept=("networks", AGREEMENT, "layers"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Trained networks: the mean χ of single paths against depth and what a layer adds (a dot for "
    "a seed), its correlation with χ of bits over the paths of a network (a dot for a network; markers are "
    "means with intervals), and the mean χ of each layer of the deepest network",
)
