"""Whether layers made of the five factors of the LMD do better than plain ones, and with which n'.

The LMD paper proposes them (arXiv 2309.05968).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of, row_where
from spaceprobe.report.drawing.limits import COUNTED, NUMBERED, keep_within
from spaceprobe.report.drawing.marks import Look, count_axis, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, PAPER
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results, read_csv
from spaceprobe.study.layout import table_path
from spaceprobe.tables.table import UNBOUNDED, Bounds

DATASET, LAYERS, EPOCH, LAYER = "dataset", "layers", "epoch", "layer"
SHARE = Bounds(0, 1)
ACCURACY, PARAMETERS, TIME = "test_accuracy", "num_parameters", "training_s"
RANK, SPREAD = "rank", "s_participation"
"""The number of directions of a weight; and the participation ratio of S', in the metric of the data."""

PLAIN, MATCHED, MATCHED_TWICE = "plain", "plain, as many parameters", "plain, as many as twice n′"
FIVE, HALF, TWICE, ADAPTING = (
    "five factors",
    "five factors, half n′",
    "five factors, twice n′",
    "five, adapting n′",
)
TWO = "two factors"

WIDTHS = {
    ("mnist", "2x14"): MATCHED, ("mnist", "2x29"): MATCHED_TWICE,
    ("digits", "2x32"): MATCHED, ("digits", "2x53"): MATCHED_TWICE,
}  # fmt: skip
"""Plain networks with about as many parameters as `FIVE` and as `TWICE`."""

FACTORED = {(1.0, False): FIVE, (0.5, False): HALF, (2.0, False): TWICE, (2.0, True): ADAPTING}
"""Networks of five factors, by what the dimension is multiplied by, and whether directions are dropped."""

DATASETS = ("mnist", "digits")

LOOKS = {
    PLAIN: Look(PLAIN, GRAY, "-", "s", GRAY),
    MATCHED: Look(MATCHED, GRAY, "--", "o", PAPER),
    MATCHED_TWICE: Look(MATCHED_TWICE, GRAY, ":", "D", PAPER),
    TWO: Look(TWO, ORANGE, "-", "v", ORANGE),
    HALF: Look(HALF, BLUE, ":", "<", PAPER),
    FIVE: Look(FIVE, BLUE, "-", "o", BLUE),
    TWICE: Look(TWICE, BLUE, "--", "D", PAPER),
    ADAPTING: Look(ADAPTING, ORANGE, "-.", "^", PAPER),
}

AT_END = (
    (MATCHED, FIVE),
    (TWO, FIVE),
    (PLAIN, FIVE),
    (MATCHED_TWICE, TWICE),
    (FIVE, ADAPTING),
    (TWICE, ADAPTING),
)
"""What is compared after the last epoch: the second minus the first."""

EARLIER = AT_END[:2]
"""What is compared after earlier epochs too."""

FIRST, LAST = "first", "last"
"""The epochs that sentences name: the first one that is kept of the training, and the last."""


def _keep(results: Results) -> Tables:
    runs = results.runs
    columns = ["run", DATASET, "seed"]
    named = runs.assign(**{LAYERS: [_layers_of(dict(row)) for _, row in runs.iterrows()]})
    timings = read_csv(table_path(results.folder, "timings"))
    times = timings[timings["stage"] == "train"].groupby("run")["duration_s"].sum()
    networks = named[[*columns, LAYERS, PARAMETERS, ACCURACY]].assign(**{TIME: named["run"].map(times)})
    spectrum = results.frames["lmd_spectrum"]
    kept_epochs = sorted(spectrum[EPOCH].unique())
    training = results.frames["training"]
    curve = training.loc[training[EPOCH].isin(kept_epochs), ["run", EPOCH, ACCURACY]]
    of_runs = named[["run", DATASET, LAYERS, "seed"]]
    return {
        "networks": networks.reset_index(drop=True),
        "accuracies": of_runs.merge(curve).drop(columns="run"),
        "directions": of_runs.merge(_directions(results)).drop(columns="run"),
    }


def _layers_of(run: Mapping[str, Any]) -> str:
    """Return what a network's layers are called.

    Args:
        run: a row of runs.csv.

    Raises:
        ValueError: it is none of those that the study sweeps.
    """
    model, architecture = run["model"], run["architecture"]
    if model == "mlp":
        name = PLAIN if architecture == "2x64" else WIDTHS.get((run[DATASET], architecture))
    elif model == "low-rank-mlp":
        name = TWO
    else:
        name = FACTORED.get((float(run["rank_factor"]), run["rank_drop"] != 0))
    if name is None:
        raise ValueError(f"{run['run']}: is none of the networks that this finding is about")
    return name


def _directions(results: Results) -> pd.DataFrame:
    """Return for each weight of each epoch its rank, and the participation ratio of S' of the data."""
    key = ["run", EPOCH, LAYER]
    ranks, spectrum = results.frames["lmd_ranks"], results.frames["lmd_spectrum"]
    rank = ranks.loc[ranks["rule"] == "numerical", [*key, "rank"]]
    of_data = spectrum[spectrum["basis"] == "data"]
    energy = of_data.assign(square=of_data["energy"] ** 2).groupby(key, sort=False)["square"].sum()
    return rank.merge((1 / energy).rename(SPREAD).reset_index(), how="left")


def _derive(tables: Tables) -> Tables:
    networks, accuracies, directions = (tables[name] for name in ("networks", "accuracies", "directions"))
    of_runs = [
        means_by(networks, [DATASET, LAYERS], name, bounds).assign(measure=name)
        for name, bounds in ((PARAMETERS, Bounds(0)), (TIME, Bounds(0)), (ACCURACY, SHARE))
    ]
    of_layers = [
        means_by(directions, [DATASET, LAYERS, EPOCH, LAYER], name, UNBOUNDED).assign(measure=name)
        for name in (RANK, SPREAD)
    ]
    return {
        "network_means": pd.concat(of_runs, ignore_index=True),
        "accuracy_means": means_by(accuracies, [DATASET, LAYERS, EPOCH], ACCURACY, SHARE),
        "direction_means": pd.concat(of_layers, ignore_index=True),
        COMPARISONS: with_holm([*_comparisons(accuracies)]),
    }


def _comparisons(accuracies: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield differences of the test accuracy, seed by seed: all of the last epoch, some of earlier ones."""
    of = dict([*accuracies.groupby([DATASET, LAYERS, EPOCH])])
    epochs = [epoch for epoch in sorted(accuracies[EPOCH].unique()) if epoch > 0]
    for dataset in DATASETS:
        for epoch in epochs:
            for first, second in AT_END if epoch == epochs[-1] else EARLIER:
                about = {DATASET: dataset, EPOCH: epoch, "first": first, "second": second}
                sides = of[dataset, first, epoch], of[dataset, second, epoch]
                yield about | comparison(seed_differences(*sides, ACCURACY))


THOUSAND = 1000


class _Cells:
    """What the sentences say of one dataset, each from a cell."""

    def __init__(self, numbers: Numbers, dataset: str) -> None:
        self._numbers, self._dataset = numbers, dataset
        epochs = numbers.frames[COMPARISONS][EPOCH]
        self.last, self.first = int(epochs.max()), int(epochs.min())

    def accuracy(self, layers: str) -> Markup:
        where = {DATASET: self._dataset, LAYERS: layers, "measure": ACCURACY}
        return _mean(self._numbers, "network_means", where)

    def of_run(self, measure: str, layers: str, spec: str) -> Markup:
        where = {DATASET: self._dataset, LAYERS: layers, "measure": measure}
        return _mean(self._numbers, "network_means", where, spec)

    def fastest(self, layers: str) -> Markup:
        """Return the seconds of the fastest training: what else the machine does only makes it slower."""
        means = self._numbers.frames["network_means"]
        row = row_where(means, {DATASET: self._dataset, LAYERS: layers, "measure": TIME})
        return self._numbers.cell("network_means", row, "least", ".1f")

    def directions(self, measure: str, layers: str, epoch: int, spec: str = ".1f") -> Markup:
        """Return the mean of each weight matrix, first to last, without intervals."""
        means = self._numbers.frames["direction_means"]
        is_it = (means[DATASET] == self._dataset) & (means[LAYERS] == layers) & (means["measure"] == measure)
        rows = means.index[is_it & (means[EPOCH] == epoch)]
        return joined([self._numbers.cell("direction_means", int(row), "mean", spec) for row in rows])

    def change(self, first: str, second: str, epoch: int | None = None) -> Markup:
        where = {
            DATASET: self._dataset, EPOCH: self.last if epoch is None else epoch, "first": first,
            "second": second,
        }  # fmt: skip
        return change_of(self._numbers, where)

    def epoch(self, which: str) -> Markup:
        """Return the number of the first or the last epoch that is compared."""
        return self._numbers.statistic("min" if which == FIRST else "max", COMPARISONS, EPOCH)


def _mean(numbers: Numbers, table: str, where: Mapping[str, object], spec: str = ".3f") -> Markup:
    """Return a mean with its interval; none where no seed has a number."""
    frame = numbers.frames[table]
    is_there = np.all([frame[name] == value for name, value in where.items()], axis=0).any()
    return mean_of(numbers, table, where, spec) if is_there else Markup("none")


def _says(numbers: Numbers) -> list[Markup]:
    of = {dataset: _Cells(numbers, dataset) for dataset in DATASETS}
    any_of = of[DATASETS[0]]
    names = {"mnist": "MNIST", "digits": "the digits of scikit-learn"}

    def each(template: str, *parts: "list[Markup]") -> Markup:
        """Return a clause for each dataset."""
        return joined(
            [
                sentence(template, names[dataset], *(part[number] for part in parts))
                for number, dataset in enumerate(DATASETS)
            ],
            "; ",
        )

    cells = [*of.values()]
    fixed = each(
        "of {1} on {0} with n′ = {2} by layer and {3} parameters, a difference of {4} from plain layers of "
        "{5} parameters, of {6} from two factors of the same ranks, and of {7} from plain layers of as many "
        "units and {8} parameters",
        [c.accuracy(FIVE) for c in cells],
        [c.directions(RANK, FIVE, 0) for c in cells],
        [c.of_run(PARAMETERS, FIVE, ",.0f") for c in cells],
        [c.change(MATCHED, FIVE) for c in cells],
        [c.of_run(PARAMETERS, MATCHED, ",.0f") for c in cells],
        [c.change(TWO, FIVE) for c in cells],
        [c.change(PLAIN, FIVE) for c in cells],
        [c.of_run(PARAMETERS, PLAIN, ",.0f") for c in cells],
    )
    adapted = each(
        "on {} the difference from plain layers of as many parameters is {}, and an n′ that starts there "
        "and adapts ends at {} by layer, with {} parameters and a test accuracy of {}, a difference of {} "
        "from n′ fixed at the dimension and of {} from twice that",
        [c.change(MATCHED_TWICE, TWICE) for c in cells],
        [c.directions(RANK, ADAPTING, c.last) for c in cells],
        [c.of_run(PARAMETERS, ADAPTING, ",.0f") for c in cells],
        [c.accuracy(ADAPTING) for c in cells],
        [c.change(FIVE, ADAPTING) for c in cells],
        [c.change(TWICE, ADAPTING) for c in cells],
    )
    early = each(
        "on {} the differences from plain layers of as many parameters and from two factors are {} and {}, "
        "the participation ratio of S′ in the metric of the data goes from {} by layer before training to {} "
        "at the end (plain layers of as many units: {} to {}), and the fastest training takes {} s, against "
        "{} s with two factors and {} s with plain layers of as many parameters",
        [c.change(MATCHED, FIVE, c.first) for c in cells],
        [c.change(TWO, FIVE, c.first) for c in cells],
        [c.directions(SPREAD, FIVE, 0) for c in cells],
        [c.directions(SPREAD, FIVE, c.last) for c in cells],
        [c.directions(SPREAD, PLAIN, 0) for c in cells],
        [c.directions(SPREAD, PLAIN, c.last) for c in cells],
        [c.fastest(FIVE) for c in cells],
        [c.fastest(TWO) for c in cells],
        [c.fastest(MATCHED) for c in cells],
    )
    return [
        sentence(
            "After epoch {}, over seeds {} to {}, layers of five factors, n′ being the dimension of what "
            "enters each layer before training, have a test accuracy {}.",
            any_of.epoch(LAST),
            numbers.statistic("min", "networks", "seed"),
            numbers.statistic("max", "networks", "seed"),
            fixed,
        ),
        sentence("With twice that n′, {}.", adapted),
        sentence("After epoch {}, {}.", any_of.epoch(FIRST), early),
    ]


def _draw(tables: Tables) -> Figure:
    networks = tables["networks"]
    shown = [name for name in LOOKS if (networks[LAYERS] == name).any()]
    figure = grid_figure(3 * len(DATASETS), 3, height=2.4)
    for row, dataset in enumerate(DATASETS):
        by_size, by_epoch, spread = figure.axes[3 * row : 3 * row + 3]
        _draw_by_size(by_size, tables, dataset, shown)
        _draw_by_epoch(by_epoch, tables["accuracy_means"], dataset, shown, ACCURACY)
        by_epoch.set_ylabel(f"test accuracy, {dataset}")
        means = tables["direction_means"]
        of_first = means[(means["measure"] == SPREAD) & (means[LAYER] == 0)]
        _draw_by_epoch(spread, of_first, dataset, shown, SPREAD)
        spread.set_ylabel("participation of S′")
        keep_within(spread, "y", NUMBERED)
    legend_above(figure, [LOOKS[name] for name in shown], has_markers=True)
    return figure


def _draw_by_size(axes: Axes, tables: Tables, dataset: str, shown: list[str]) -> None:
    """Draw the accuracy after the last epoch against the parameters: a dot a network, a marker a mean."""
    networks, means = tables["networks"], tables["network_means"]
    for name in shown:
        look = LOOKS[name]
        own = networks[(networks[DATASET] == dataset) & (networks[LAYERS] == name)]
        axes.plot(
            own[PARAMETERS] / THOUSAND,
            own[ACCURACY],
            linestyle="none",
            marker=".",
            markersize=3,
            color=look.color,
            alpha=0.5,
        )
        is_own = (means[DATASET] == dataset) & (means[LAYERS] == name)
        row, size = (means[is_own & (means["measure"] == measure)] for measure in (ACCURACY, PARAMETERS))
        if row.empty or size.empty:
            continue
        ends = np.nan_to_num(np.abs([row["low"] - row["mean"], row["high"] - row["mean"]]))
        axes.errorbar(
            size["mean"] / THOUSAND, row["mean"], ends, color=look.color, linestyle="none", capsize=2.5,
            elinewidth=1, marker=look.marker, markersize=5, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.set(xlabel="thousands of parameters", ylabel=f"test accuracy, {dataset}")
    count_axis(axes)
    keep_within(axes, "x", COUNTED, low=0)
    keep_within(axes, "y", SHARE)


def _draw_by_epoch(axes: Axes, means: pd.DataFrame, dataset: str, shown: list[str], measure: str) -> None:
    """Draw means over seeds against the epochs that were kept."""
    for name in shown:
        look = LOOKS[name]
        own = means[(means[DATASET] == dataset) & (means[LAYERS] == name)].sort_values(EPOCH)
        axes.plot(
            own[EPOCH], own["mean"], color=look.color, linestyle=look.line, marker=look.marker, markersize=4,
            markerfacecolor=look.fill,
        )  # fmt: skip
    axes.set_xlabel("epoch")
    count_axis(axes)
    keep_within(axes, "x", COUNTED, low=0)
    if measure == ACCURACY:
        keep_within(axes, "y", SHARE)


ENTRY = FindingEntry(
    title="Layers made of the five factors",
    question="Do layers made of the five factors of the LMD do better than plain ones of as many parameters, "
    "and than two factors? Is n′ to be the dimension of the data, or to adapt?",
    study="lmd-factored-layers",
    kept=("networks", "accuracies", "directions"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Test accuracy at the end against the parameters (a dot is a network, a marker the mean over "
    "seeds with its interval) and by epoch, and the participation ratio of S′ of the first weight matrix in "
    "the metric of the data (lines are means over seeds); a row for each data set. Where n′ adapts, "
    "directions whose share in the sum of squares of S′ is small are dropped after some of the epochs",
)
