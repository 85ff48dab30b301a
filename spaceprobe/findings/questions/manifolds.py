"""Whether ranks and S′ follow the dimension of the data, over data sets with a manifold and without one.

The manifold hypothesis of arXiv 2309.05968, and the sign of its failure that it names: singular values that
decay slowly.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import rank_correlation, seed_differences
from spaceprobe.findings.wording import change_of, mean_of, row_where
from spaceprobe.lmd.decay import decay_exponent, energy_beyond
from spaceprobe.lmd.spectrum import participation_ratio
from spaceprobe.report.drawing.marks import Look, draw_means, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers, rows_where
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

AT = ["run", "epoch", "layer"]
"""What tells the weight matrices of a study apart."""

NETWORK = ["dataset", "seed", "epoch"]

HIDDEN = 1
"""The layer that is compared over data sets: 64 × 64 for all of them, whatever their number of inputs."""

NEAREST, FULL, DATA = "nearest neighbours", "full graph", "data"
"""What S′ is measured by: the laplacian metric on two graphs, or the data metric."""

OF_LAYERS = ("dimension_in", "dimension_out", "functional", "decay", "beyond")
"""Of a layer: dimension (TwoNN) of what enters it and of its pre-activations, functional rank, the exponent
of its singular values, and the share of their energy beyond the functional rank."""

NOISE = "noise"
"""It has no functional rank to compare: its test points are named at chance, whatever is kept of a layer."""

SPOKEN = ("swiss-roll", "mnist", NOISE)


def _keep(results: Results) -> Tables:
    frames = results.frames
    runs = results.runs[["run", "dataset", "seed"]]
    neighbours = frames["lmd_spectrum"]["neighbours"]
    few, all_others = int(neighbours.min()), int(neighbours.max())
    once = {name: frames[name][frames[name]["neighbours"] == few] for name in ("lmd_dimension", "lmd_ranks")}
    dimensions = once["lmd_dimension"][once["lmd_dimension"]["estimator"] == "twonn"]
    spaces = dimensions.pivot_table(index=AT, columns="space", values="dimension")
    functional = once["lmd_ranks"][once["lmd_ranks"]["rule"] == "functional"].set_index(AT)["rank"].to_dict()
    spectra = frames["lmd_spectrum"]
    values = {
        key: rows.sort_values("index")["value"].to_numpy(float)
        for key, rows in spectra[spectra["neighbours"] == few].query("basis == 'svd'").groupby(AT)
    }
    layers = pd.DataFrame(
        [
            {
                **dict(zip(AT, key, strict=True)),
                "dimension_in": spaces["input"].get(key, np.nan),
                "dimension_out": spaces["output"].get(key, np.nan),
                "functional": float(functional[key]),
                "decay": decay_exponent(of_layer),
                "beyond": energy_beyond(of_layer, int(functional[key])),
            }
            for key, of_layer in values.items()
        ]
    )
    separations = pd.concat(
        [
            _separations(spectra, basis, count).assign(metric=name)
            for name, basis, count in (
                (DATA, "data", few), (NEAREST, "laplacian", few), (FULL, "laplacian", all_others),
            )
        ]
    )  # fmt: skip
    components = frames["lmd_layers"].query("metric == 'laplacian'")[[*AT, "neighbours", "num_components"]]
    separations = separations.merge(components, on=[*AT, "neighbours"], how="left").drop(columns="neighbours")
    return {
        "layers": runs.merge(layers, on="run").drop(columns="run"),
        "separations": runs.merge(separations, on="run").drop(columns="run"),
    }


def _separations(spectra: pd.DataFrame, basis: str, neighbours: int) -> pd.DataFrame:
    """Return how many directions S′ lives on, its participation ratio, in each layer."""
    rows = spectra[(spectra["basis"] == basis) & (spectra["neighbours"] == neighbours)]
    groups = rows.groupby([*AT, "neighbours"])["value"]
    # (Σs²)² / Σs⁴: of the values themselves, as of the entries of a vector.
    return groups.agg(
        directions=lambda s: float(participation_ratio(s.to_numpy(float)[None])[0])
    ).reset_index()


def _derive(tables: Tables) -> Tables:
    layers, separations = tables["layers"], tables["separations"]
    means = []
    for measure in OF_LAYERS:
        rows = means_by(layers, ["epoch", "dataset", "layer"], measure)
        rows.insert(0, "measure", measure)
        means.append(rows)
    correlations = _correlations(layers, separations)
    return {
        "means": pd.concat(means, ignore_index=True),
        "separation_means": means_by(separations, ["epoch", "dataset", "layer", "metric"], "directions"),
        "correlations": correlations,
        "correlation_means": means_by(correlations, ["epoch", "measure"], "spearman", Bounds(-1, 1)),
        COMPARISONS: with_holm([*_comparisons(layers, separations, correlations)]),
    }


def _correlations(layers: pd.DataFrame, separations: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation over data sets of the data's dimension with measures of a layer."""
    data = layers[layers["layer"] == 0].set_index(NETWORK)["dimension_in"]
    hidden = layers[layers["layer"] == HIDDEN].set_index(NETWORK)
    of_hidden = separations[separations["layer"] == HIDDEN]
    measured = {name: hidden[name] for name in ("decay", "dimension_out")}
    measured["functional"] = hidden["functional"].drop(NOISE, level="dataset")
    for metric in (DATA, NEAREST, FULL):
        measured[metric] = of_hidden[of_hidden["metric"] == metric].set_index(NETWORK)["directions"]
    rows = []
    for measure, values in measured.items():
        both = pd.concat({"data": data, "value": values}, axis=1).dropna().reset_index()
        for (epoch, seed), group in both.groupby(["epoch", "seed"]):
            found = rank_correlation(group["data"], group["value"])
            rows.append({"epoch": epoch, "measure": measure, "seed": seed, "spearman": found})
    return pd.DataFrame(rows, columns=["epoch", "measure", "seed", "spearman"]).astype({"spearman": float})


def _comparisons(
    layers: pd.DataFrame, separations: pd.DataFrame, correlations: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """Yield, at the last epoch, what is said of the hidden layer of each data set."""
    last = layers["epoch"].max()
    for measure, rows in correlations[correlations["epoch"] == last].groupby("measure", sort=False):
        yield {"about": "correlation", "measure": measure, "dataset": "all"} | comparison([*rows["spearman"]])
    at_last = layers[(layers["epoch"] == last) & (layers["layer"] == HIDDEN)]
    inputs = layers[(layers["epoch"] == last) & (layers["layer"] == 0)]
    of_noise = at_last[at_last["dataset"] == NOISE]
    for name, rows in at_last.groupby("dataset", sort=False):
        if name != NOISE:
            data = inputs[inputs["dataset"] == name].assign(functional=lambda rows: rows["dimension_in"])
            differences = seed_differences(data, rows, "functional")
            about = {"measure": "functional", "dataset": name}
            yield {"about": "rank minus dimension"} | about | comparison(differences)
            about = {"measure": "decay", "dataset": name}
            yield {"about": "minus noise"} | about | comparison(seed_differences(of_noise, rows, "decay"))
        here = rows_where(separations, {"epoch": last, "layer": HIDDEN, "dataset": name})
        few, full = (here[here["metric"] == metric] for metric in (NEAREST, FULL))
        about = {"measure": "directions", "dataset": name}
        yield {"about": "full minus nearest"} | about | comparison(seed_differences(few, full, "directions"))


def _says(numbers: Numbers) -> list[Markup]:
    means = numbers.frames["means"]
    epochs = sorted(means["epoch"].unique())
    last, early = int(epochs[-1]), int(epochs[1])

    def epoch(value: int) -> Markup:
        where = {"epoch": value, "measure": "functional", "layer": 0, "dataset": NOISE}
        return numbers.cell("means", row_where(means, where), "epoch", "d")

    def mean(measure: str, dataset: str, layer: int, spec: str = ".1f", at: int = last) -> Markup:
        where = {"epoch": at, "measure": measure, "layer": layer, "dataset": dataset}
        return mean_of(numbers, "means", where, spec)

    def correlation(measure: str, at: int) -> Markup:
        if at == last:
            return change_of(numbers, {"about": "correlation", "measure": measure})
        where = {"epoch": at, "measure": measure}
        if rows_where(numbers.frames["correlation_means"], where).empty:
            return sentence("none (constant)")
        return mean_of(numbers, "correlation_means", where, "+.3f")

    def each(about: str, names: Sequence[str]) -> Markup:
        parts = [
            sentence("{} ({})", change_of(numbers, {"about": about, "dataset": name}), name) for name in names
        ]
        return sentence(", ".join(["{}"] * (len(parts) - 1)) + " and {}", *parts)

    def way(dataset: str) -> Markup:
        return sentence(
            "{} in the data, {} and {} before the hidden layers' ReLUs and {} in the outputs ({})",
            mean("dimension_in", dataset, 0),
            *(mean("dimension_out", dataset, layer) for layer in (0, 1, 2)),
            dataset,
        )

    others = [name for name in SPOKEN if name != NOISE]
    return [
        sentence(
            "Over the data sets but noise, the dimension of the data (TwoNN) and the functional rank of the "
            "second layer have Spearman's ρ = {} at epoch {} and {} at epoch {}; over all of them, the "
            "number of directions of S′ (its participation ratio) has ρ = {} with the data metric and {} on "
            "the graph of nearest neighbours at epoch {}, and {} and {} at epoch {}.",
            correlation("functional", last), epoch(last), correlation("functional", early), epoch(early),
            correlation(DATA, last), correlation(NEAREST, last), epoch(last),
            correlation(DATA, early), correlation(NEAREST, early), epoch(early),
        ),
        sentence(
            "Layer by layer at epoch {}, the dimension is {}; {}; {}; the functional rank of the second "
            "layer minus the dimension of the data is {}.",
            epoch(last), *map(way, SPOKEN), each("rank minus dimension", others),
        ),
        sentence(
            "Its singular values fall as a power of their number with an exponent of {} for noise at epoch "
            "{}, a smaller one being the sign of failure, and the exponent minus that of noise is {} (the "
            "exponents being {}, {} and {} at epoch {}); a full graph in place of the nearest neighbours "
            "changes the directions of S′ by {}.",
            mean("decay", NOISE, HIDDEN, ".3f"), epoch(last), each("minus noise", others),
            *(mean("decay", name, HIDDEN, ".3f", early) for name in SPOKEN), epoch(early),
            each("full minus nearest", SPOKEN),
        ),
    ]  # fmt: skip


LOOKS = {
    "swiss-roll": Look("Swiss roll", BLUE, "-", "o", BLUE),
    "sphere": Look("sphere", BLUE, "--", "s", PAPER),
    "torus": Look("torus", BLUE, ":", "^", BLUE),
    "digits": Look("digits", ORANGE, "-", "o", ORANGE),
    "mnist": Look("MNIST", ORANGE, "--", "s", PAPER),
    "patches": Look("patches", ORANGE, ":", "^", ORANGE),
    NOISE: Look("noise", GRAY, "-.", "D", GRAY),
}
PLACES = ("data", "layer 0", "layer 1", "layer 2")


def _draw(tables: Tables) -> Figure:
    means, separations = tables["means"], tables["separation_means"]
    last = means["epoch"].max()
    figure = grid_figure(3, 3, height=2.9)
    dimensions, scatter, decay = figure.axes
    for name, look in LOOKS.items():
        here = means[(means["dataset"] == name) & (means["epoch"] == last)]
        inputs = here[(here["measure"] == "dimension_in") & (here["layer"] == 0)]
        outputs = here[here["measure"] == "dimension_out"].sort_values("layer")
        draw_means(dimensions, pd.concat([inputs, outputs]), [*range(1 + len(outputs))], look)
        of_metric = rows_where(separations, {"dataset": name, "epoch": last, "layer": HIDDEN})
        is_rank = (here["measure"] == "functional") & (here["layer"] == HIDDEN)
        rank = here[is_rank & (here["dataset"] != NOISE)]
        if len(inputs):
            x = float(inputs["mean"].iloc[0])
            draw_means(scatter, rank, [x] * len(rank), look._replace(line="none"))
            few = of_metric[of_metric["metric"] == NEAREST]
            draw_means(scatter, few, [x] * len(few), look._replace(line="none", marker="x"))
        rows = rows_where(means, {"dataset": name, "measure": "decay", "layer": HIDDEN}).sort_values("epoch")
        draw_means(decay, rows, [*range(len(rows))], look)
    dimensions.set_xticks(range(len(PLACES)), PLACES)
    dimensions.set_ylabel("dimension (TwoNN)")
    _log_axis(dimensions, "y", 2.2 * means.loc[means["measure"] == "dimension_in", "mean"].max())
    scatter.set_xlabel("dimension of the data")
    scatter.set_ylabel("rank of layer 1, directions of S′ (×)")
    for side in ("x", "y"):
        _log_axis(scatter, side, 2.2 * means.loc[means["measure"] == "dimension_in", "mean"].max())
    epochs = sorted(means["epoch"].unique())
    decay.set_xticks(range(len(epochs)), [str(epoch) for epoch in epochs])
    decay.set_xlabel("epoch")
    decay.set_ylabel("exponent of singular values")
    legend_above(figure, [*LOOKS.values()], has_markers=True)
    return figure


def _log_axis(axes: Axes, side: str, largest: float) -> None:
    """Make an axis logarithmic, from 0.8 on, with ticks at 1, 2, 5, 10 and so on."""
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50) if tick <= largest]
    axes.set(**{f"{side}scale": "log"})
    axes.set(**{f"{side}lim": (0.8, largest)})
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_ticks(ticks, [str(tick) for tick in ticks])
    axis.set_ticks([], minor=True)


ENTRY = FindingEntry(
    title="The manifold hypothesis",
    question="Do ranks, S′ and the dimension of layers follow the dimension of the data?",
    study="lmd-manifolds",
    kept=("layers", "separations"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="A line or a color is a data set. Left: the dimension of the data and of the pre-activations of "
    "each layer, at the last epoch. Middle: the functional rank of the second layer, and as crosses the "
    "directions of its S′ on the graph of nearest neighbours. Right: the exponent of its singular values "
    "over training. Markers are means over seeds with their intervals",
)
