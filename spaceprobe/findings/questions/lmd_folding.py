"""Whether folding goes with rank, S' or dimension, over architectures and over seeds."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.aggregates import aggregate_epochs
from spaceprobe.analysis.association import associate
from spaceprobe.analysis.by_seed import MEAN_COLUMNS
from spaceprobe.analysis.comparisons import DIFFERS, INCONCLUSIVE, UNTESTED, comparison, with_holm
from spaceprobe.analysis.over_seeds import t_interval
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import RUN_COLUMNS
from spaceprobe.findings.wording import mean_of, row_where
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, INK, MUTED, ORANGE, PAPER
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.table import Bounds

FOLDS = "chi_row_max_median"
"""How far a network folds; the correlations of `SHARE` are shown, not tested."""

SHARE = "chi_folded_mean"
RESPONSES = (FOLDS, SHARE)

PREDICTORS = {
    "rank": "rank (data)",
    "rank_share": "rank over the shorter side",
    "participation": "participation ratio of σ",
    "spread": "participation ratio of S′ (data)",
    "stretch": "largest S′ (laplacian)",
    "dimension": "dimension of pre-activations",
}
"""What the decomposition says of a network, and what readers call it: each the mean over its hidden layers.

The rank is that of the rule ``data99``; S' is of the matrix cut to it.
"""

ACCURACY, WIDTH, NOTHING = "test_accuracy", "width", "none"
GIVENS = (NOTHING, ACCURACY, WIDTH)
"""What is held fixed."""

ARCHITECTURES, SEEDS = "architectures", "seeds"
UNITS = {ARCHITECTURES: "seed", SEEDS: "architecture"}
"""Over what a correlation is, and what has one each: the architectures of a seed, the seeds of an
architecture."""

CORRELATION = Bounds(-1, 1)
WAY = ("over", "predictor", "response", "given", "epoch", "is_last")
"""The columns that tell correlations of a unit apart."""


def _keep(results: Results) -> Tables:
    return {"networks": networks_by_epoch(results.frames)}


def networks_by_epoch(frames: Frames) -> pd.DataFrame:
    """Return how far each network folds at each epoch, and the means of `PREDICTORS` over its hidden layers.

    The readout is left out: it lies behind all units that fold.

    Args:
        frames: runs, training, folding and the tables of the stage lmd, with the metrics data and laplacian.

    Returns:
        A row for each network and epoch: `RUN_COLUMNS`, ``epoch``, ``is_last``, the test accuracy at that
        epoch, `RESPONSES` and `PREDICTORS`; NaN for what no layer has.
    """
    networks = frames["runs"][[*RUN_COLUMNS]]
    folding = aggregate_epochs(frames)[["run", "epoch", *RESPONSES]]
    networks = networks.merge(folding, on="run")
    networks = networks.merge(frames["training"][["run", "epoch", ACCURACY]], on=["run", "epoch"])
    is_last = networks["epoch"] == networks.groupby("run")["epoch"].transform("max")
    networks.insert(len(RUN_COLUMNS) + 1, "is_last", is_last)
    for name, values in _by_layer(frames).items():
        hidden = values.reset_index().merge(networks[["run", "depth"]].drop_duplicates(), on="run")
        hidden = hidden[hidden["layer"] < hidden["depth"]]
        means = hidden.groupby(["run", "epoch"], as_index=False)[name].mean()
        networks = networks.merge(means, on=["run", "epoch"], how="left")
    ordered: pd.DataFrame = networks.drop(columns=ACCURACY)
    ordered.insert(len(RUN_COLUMNS) + 2, ACCURACY, networks[ACCURACY])
    return ordered


def _by_layer(frames: Frames) -> "Mapping[str, pd.Series[float]]":
    """Return each of `PREDICTORS` of each layer of each network and epoch."""
    place = ["run", "epoch", "layer"]
    ranks, spectrum, dimension = (frames[name] for name in ("lmd_ranks", "lmd_spectrum", "lmd_dimension"))
    by_rule = ranks[ranks["rule"] == "data99"].set_index(place)["rank"].astype(float)
    sides = frames["lmd_layers"].drop_duplicates(place).set_index(place)[["num_outputs", "num_inputs"]]
    squares = spectrum.assign(square=spectrum["energy"] ** 2)
    spreads = 1 / squares.groupby(["basis", *place])["square"].sum()
    largest = spectrum[spectrum["index"] == 1].set_index(["basis", *place])["value"]
    is_output = (dimension["space"] == "output") & (dimension["estimator"] == "mle")
    found = {
        "rank": by_rule,
        "rank_share": by_rule / sides.min(axis=1),
        "participation": spreads["svd"],
        "spread": spreads["data"],
        "stretch": largest["laplacian"],
        "dimension": dimension[is_output].set_index(place)["dimension"],
    }
    return {name: values.rename(name) for name, values in found.items()}


def _derive(tables: Tables) -> Tables:
    every = correlations(tables["networks"])
    is_shown = every["is_last"] & (every["response"] == FOLDS)
    return {
        "correlations": every[is_shown].reset_index(drop=True),
        "means": _means(every),
        COMPARISONS: with_holm([*_comparisons(every)]),
    }


def correlations(networks: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlations of folding with what the decomposition says, unit by unit.

    Over architectures a unit is a seed, and over seeds it is an architecture, all of whose networks have one
    width. Before training nothing but the width is held fixed: all networks are at chance.

    Args:
        networks: as of `networks_by_epoch`.

    Returns:
        A row for each unit and each of `WAY`: ``unit``, ``num_networks`` and ``spearman``, partial where
        something is given; NaN where there is none, as with fewer than five networks, a constant column, or
        what is given determines one.
    """
    rows = []
    for over, unit_column in UNITS.items():
        by = ["epoch", "is_last", unit_column]
        for (epoch, is_last, unit), group in networks.groupby(by, sort=False):
            for given in GIVENS:
                if (given == ACCURACY and epoch == 0) or (given == WIDTH and over == SEEDS):
                    continue
                for predictor in predictors_over(over):
                    for response in RESPONSES:
                        count, found = _spearman(group, predictor, response, given)
                        way = (over, predictor, response, given, epoch, is_last)
                        cells = {"unit": str(unit), "num_networks": count, "spearman": found}
                        rows.append({**dict(zip(WAY, way, strict=True)), **cells})
    return pd.DataFrame(rows)


def predictors_over(over: str) -> list[str]:
    """Return what folding is set against: within an architecture the shorter sides are the same for all."""
    return [name for name in PREDICTORS if over == ARCHITECTURES or name != "rank_share"]


def _spearman(networks: pd.DataFrame, predictor: str, response: str, given: str) -> tuple[int, float]:
    """Return how many networks have all numbers, and the correlation over these; NaN where there is none."""
    columns = [predictor, response, *([] if given == NOTHING else [given])]
    known = networks[columns].dropna().to_numpy(np.float64)
    found = associate(*known.T) if len(known) else "no networks"
    if isinstance(found, str) or found.spearman is None:
        return len(known), math.nan
    return len(known), found.spearman


def _means(every: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over units of each way, with its 95 % t interval; see `by_seed.means_by`."""
    rows = []
    for key, group in every.dropna(subset="spearman").groupby([*WAY], sort=False):
        values = group["spearman"].to_numpy(np.float64)
        mean = float(np.mean(values))
        low, high = t_interval(values, CORRELATION) or (math.nan, math.nan)
        cells = (mean, low, high, len(values), float(values.min()), float(values.max()), len(values))
        rows.append({**dict(zip(WAY, key, strict=True)), **dict(zip(MEAN_COLUMNS, cells, strict=True))})
    means = pd.DataFrame(rows, columns=[*WAY, *MEAN_COLUMNS])
    return means.drop(columns="num_values").rename(columns={"num_seeds": "num_units"})


def _comparisons(every: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the correlations with `FOLDS` against 0, untrained and after the last epoch."""
    tested = every[(every["response"] == FOLDS) & (every["is_last"] | (every["epoch"] == 0))]
    for key, group in tested.groupby([*WAY], sort=False):
        way = dict(zip(WAY, key, strict=True))
        found = comparison([*group["spearman"]])
        note = str(found["note"])
        yield way | found | {"note": note.replace("seed", "architecture") if way["over"] == SEEDS else note}


def _says(numbers: Numbers) -> list[Markup]:
    return [_at_the_end(numbers, ARCHITECTURES), _at_the_end(numbers, SEEDS), _earlier(numbers)]


def _shown(numbers: Numbers, where: Mapping[str, object]) -> Markup:
    """Return a mean correlation with its interval; a dash where no unit has one."""
    means = numbers.frames["means"]
    if not np.all([means[name] == value for name, value in where.items()], axis=0).any():
        return Markup("–")
    return mean_of(numbers, "means", where, "+.2f")


LEAD = {
    ARCHITECTURES: "Over the architectures of a seed",
    SEEDS: "Over the seeds of an architecture, with intervals over architectures",
}


def _at_the_end(numbers: Numbers, over: str) -> Markup:
    """Return which correlations at the last epoch differ from 0 at a fixed accuracy, and what they are."""
    compared = numbers.frames[COMPARISONS]
    rows = compared[(compared["over"] == over) & compared["is_last"] & (compared["given"] == ACCURACY)]
    kinds = {
        "positive for {}": rows[(rows["verdict"] == DIFFERS) & (rows["difference"] > 0)],
        "negative for {}": rows[(rows["verdict"] == DIFFERS) & (rows["difference"] < 0)],
        "inconclusive for {}": rows[rows["verdict"] == INCONCLUSIVE],
        "not tested for {}": rows[rows["verdict"] == UNTESTED],
    }

    def shown(row: int) -> Markup:
        predictor = str(compared.at[row, "predictor"])
        where = {"over": over, "predictor": predictor, "response": FOLDS, "is_last": True}
        values = [_shown(numbers, {**where, "given": ACCURACY})]
        values.append(sentence("{} without", _shown(numbers, {**where, "given": NOTHING})))
        if over == ARCHITECTURES:
            values.append(sentence("{} at a fixed width", _shown(numbers, {**where, "given": WIDTH})))
        return sentence("the {} ({})", PREDICTORS[predictor], joined(values))

    parts = [
        sentence(text, joined([shown(int(row)) for row in found.index]))
        for text, found in kinds.items()
        if len(found)
    ]
    epoch = numbers.cell(COMPARISONS, int(rows.index[0]), "epoch", "d")
    return sentence(
        "{}, Spearman's correlation of the row maxima of χ with a mean over hidden layers, after {} epochs "
        "and at a fixed test accuracy, is {}.",
        LEAD[over],
        epoch,
        joined(parts, "; "),
    )


def _earlier(numbers: Numbers) -> Markup:
    """Return the correlations over architectures at other epochs, and which untrained ones differ from 0."""
    compared = numbers.frames[COMPARISONS]
    epochs = sorted({*numbers.frames["networks"]["epoch"]} - {0})[:-1]

    def at_epochs(predictor: str) -> Markup:
        where = {"over": ARCHITECTURES, "predictor": predictor, "response": FOLDS}
        untrained = {**where, "given": NOTHING, "epoch": 0}
        verdict = str(compared.at[row_where(compared, untrained), "verdict"])
        told = "" if verdict == DIFFERS else f" ({verdict})"
        before = sentence("{}{} untrained", _shown(numbers, untrained), told)
        later = [_shown(numbers, {**where, "given": ACCURACY, "epoch": epoch}) for epoch in epochs]
        return sentence("{} for the {}", joined([before, *later]), PREDICTORS[predictor])

    networks = numbers.frames["networks"]
    rows = [int(networks.index[networks["epoch"] == epoch][0]) for epoch in epochs]
    after = joined([numbers.cell("networks", row, "epoch", "d") for row in rows], " and ")
    return sentence(
        "At other epochs the correlation over architectures would have come out, before training and, at a "
        "fixed test accuracy, after {} epochs, as {}.",
        after,
        joined([at_epochs(name) for name in PREDICTORS], "; "),
    )


LOOKS = {
    NOTHING: Look("as it is", MUTED, "--", "s", PAPER),
    ACCURACY: Look("at a fixed test accuracy", BLUE, "-", "o", BLUE),
    WIDTH: Look("at a fixed width", ORANGE, ":", "D", PAPER),
}


def _draw(tables: Tables) -> Figure:
    means, every = tables["means"], tables["correlations"]
    figure = grid_figure(2, 2, height=4.2)
    for axes, over in zip(figure.axes, UNITS, strict=True):
        is_here = (means["over"] == over) & means["is_last"] & (means["response"] == FOLDS)
        _forest(axes, every[every["over"] == over], means[is_here])
        axes.set_title(f"over {over}")
    figure.axes[1].set_yticklabels([])
    legend_above(figure, [*LOOKS.values()], has_markers=True)
    return figure


def _forest(axes: Axes, every: pd.DataFrame, means: pd.DataFrame) -> None:
    """Draw the correlations at the last epoch: a row for each predictor, a dot for each unit."""
    for place, predictor in enumerate(PREDICTORS):
        for shift, (given, look) in zip((-0.24, 0, 0.24), LOOKS.items(), strict=True):
            is_one = (every["predictor"] == predictor) & (every["given"] == given)
            values = every.loc[is_one, "spearman"].dropna()
            mean = means[(means["predictor"] == predictor) & (means["given"] == given)]
            if values.empty or mean.empty:
                continue
            y = place + shift
            axes.plot(
                values, np.full(len(values), y), linestyle="none", marker=".", markersize=3,
                color=look.color, alpha=0.5,
            )  # fmt: skip
            ends = np.nan_to_num(np.abs([mean["low"] - mean["mean"], mean["high"] - mean["mean"]]))
            axes.errorbar(
                mean["mean"], [y], xerr=ends, color=look.color, linestyle="none", capsize=2.5, elinewidth=1,
                marker=look.marker, markersize=4.5, markerfacecolor=look.fill,
            )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(PREDICTORS)), [*PREDICTORS.values()], fontsize=7.5)
    axes.set_ylim(len(PREDICTORS) - 0.5, -0.5)
    axes.set_xlim(-1.04, 1.04)
    axes.set_xlabel("Spearman's ρ with row maxima of χ")


ENTRY = FindingEntry(
    title="Folding and the decomposition of layers",
    question="Does folding go with rank, S′ or dimension over architectures and seeds, at equal accuracy?",
    study="lmd-folding",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Spearman's correlation of the row maxima of χ with means over hidden layers, at the last epoch: "
    "on the left a dot is a seed, whose architectures are compared, on the right an architecture, whose "
    "seeds are; a marker is the mean with its interval",
)
