"""Whether networks with other activations fold as those with ReLUs do, at equal size and accuracy."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.columns import draw_column
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.matching import nearest
from spaceprobe.findings.tables import MEAN_CHI, mean_chi
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import GRAY, MUTED, PAPER
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

RELU = "relu"
EXACT, ADAPTIVE = "exact", "adaptive"
OF_METHOD = {EXACT: ("leaky-relu", "hardtanh"), ADAPTIVE: ("gelu", "silu", "tanh")}
"""The other activations, by how their paths are walked: as those of the ReLUs that they are compared with."""

SYMMETRIC = "symmetric"
MEASURES = {
    MEAN_CHI: "mean χ of paths",
    SYMMETRIC: "share of pairs that are symmetric",
    "test_accuracy": "test accuracy",
}
BOUNDS = bounds_of("folding", "folded")
"""The range of shares, accuracies and χ alike."""

SAME, ACCURACY = "epoch", "test_accuracy"
"""In the column ``matched``: a ReLU network of the last epoch, or of the epoch with the nearest accuracy."""

FIRST = ["run", "architecture", "activation", "method", "seed", "epoch", "state", "test_accuracy"]


def _keep(results: Results) -> Tables:
    """Return trained and untrained networks, and those with ReLUs at all epochs."""
    frames = results.frames
    of_network = ["run", "method", "epoch"]
    runs = frames["runs"][["run", "architecture", "activation", "seed"]]
    folding = mean_chi(frames["folding"], of_network)
    pairs = frames["path_symmetries"].groupby(of_network, as_index=False)[SYMMETRIC].mean()
    accuracies = frames["training"][["run", "epoch", "test_accuracy"]]
    networks = (
        runs.merge(folding, on="run").merge(pairs, on=of_network).merge(accuracies, on=["run", "epoch"])
    )
    last = networks.groupby("run")["epoch"].transform("max")
    states = np.select([networks["epoch"] == 0, networks["epoch"] == last], [UNTRAINED, TRAINED], "between")
    networks = networks.assign(state=states)
    is_kept = (networks["state"] != "between") | (networks["activation"] == RELU)
    return {"networks": networks.loc[is_kept, [*FIRST, MEAN_CHI, SYMMETRIC]].reset_index(drop=True)}


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"]
    of_state = networks[networks["state"] != "between"]
    by = ["activation", "method", "state"]
    means = [means_by(of_state, by, name, BOUNDS).assign(measure=name) for name in MEASURES]
    matched = matched_table(networks)
    return {
        "means": pd.concat(means, ignore_index=True),
        "matched": matched,
        COMPARISONS: with_holm([*_comparisons(matched)]),
    }


MATCHED = ("activation", "method", "architecture", "seed", "matched", "epoch", "mismatch")
"""The columns of `matched_table` before the measures."""


def matched_table(networks: pd.DataFrame) -> pd.DataFrame:
    """Return trained networks with other activations beside ReLU networks of their seed and architecture.

    Args:
        networks: see `_keep`.

    Returns:
        A row for each of them and ``matched``: the epoch of the ReLU network, the last (`SAME`) or that of
        the nearest test accuracy beyond epoch 0 (`ACCURACY`); by how much the network is above it in the
        accuracy (``mismatch``) and the measures. Paths of both are walked in the same way.
    """
    relus = networks[(networks["activation"] == RELU) & (networks["epoch"] > 0)]
    others = networks[(networks["activation"] != RELU) & (networks["state"] == TRAINED)]
    keys = ["architecture", "seed", "method"]
    rows = []
    for network in others.to_dict("records"):
        alike = relus[(relus[keys] == [network[key] for key in keys]).all(axis=1)]
        same = alike[alike["state"] == TRAINED]
        found = {
            SAME: None if same.empty else same.iloc[0],
            ACCURACY: nearest(alike, "test_accuracy", network["test_accuracy"]),
        }
        for matched, relu in found.items():
            if relu is not None:
                about = {key: network[key] for key in MATCHED[:4]}
                mismatch = network["test_accuracy"] - relu["test_accuracy"]
                above = {name: network[name] - relu[name] for name in (MEAN_CHI, SYMMETRIC)}
                rows.append(
                    {**about, "matched": matched, "epoch": relu["epoch"], "mismatch": mismatch, **above}
                )
    return pd.DataFrame(rows, columns=[*MATCHED, MEAN_CHI, SYMMETRIC])


def _comparisons(matched: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield how far networks are above those with ReLUs: one number a seed, over the architectures."""
    for method, activations in OF_METHOD.items():
        for activation in activations:
            for measure, of in ((MEAN_CHI, SAME), (MEAN_CHI, ACCURACY), (SYMMETRIC, ACCURACY)):
                rows = matched[(matched["activation"] == activation) & (matched["matched"] == of)]
                differences = [*rows.groupby("seed")[measure].mean()]
                about = {"activation": activation, "method": method, "measure": measure, "matched": of}
                yield about | comparison(differences)


def _says(numbers: Numbers) -> list[Markup]:
    def relu(measure: str, method: str) -> Markup:
        where = {"activation": RELU, "method": method, "state": TRAINED, "measure": measure}
        means = numbers.frames["means"]
        is_there = np.all([means[name] == value for name, value in where.items()], axis=0).any()
        return mean_of(numbers, "means", where) if is_there else Markup("none")

    def changes(measure: str, method: str) -> Markup:
        return joined([
            sentence(
                "by {} with {}",
                change_of(numbers, {"activation": activation, "measure": measure, "matched": ACCURACY}),
                activation,
            )
            for activation in OF_METHOD[method]
        ])  # fmt: skip

    return [
        sentence(
            "Walked exactly, the mean χ of paths of trained ReLU networks is {}; against ReLU networks of "
            "the nearest test accuracy, it changes {}.",
            relu(MEAN_CHI, EXACT),
            changes(MEAN_CHI, EXACT),
        ),
        sentence(
            "Sampled adaptively, so that lengths are lower bounds, it is {} with ReLUs, and changes {}.",
            relu(MEAN_CHI, ADAPTIVE),
            changes(MEAN_CHI, ADAPTIVE),
        ),
        sentence(
            "Of the pairs of patterns on a path, a share of {} is symmetric with ReLUs, walked exactly; at "
            "the nearest accuracy that changes {}, and sampled {}.",
            relu(SYMMETRIC, EXACT),
            *(changes(SYMMETRIC, method) for method in OF_METHOD),
        ),
    ]


SAMPLED_LOOK = Look("sampled: right of the dotted line", MUTED, ":", "")
MATCHED_LOOK = Look("ReLU of the nearest accuracy", GRAY, "none", "x", PAPER)


def _draw(tables: Tables) -> Figure:
    networks, matched = tables["networks"], tables["matched"]
    figure = grid_figure(len(MEASURES), 3, height=3.0)
    places = [(activation, method) for method, others in OF_METHOD.items() for activation in (RELU, *others)]
    for axes, (measure, name) in zip(figure.axes, MEASURES.items(), strict=True):
        for place, (activation, method) in enumerate(places):
            is_here = (networks["activation"] == activation) & (networks["method"] == method)
            for state, look in STATE_LOOKS.items():
                rows = networks[is_here & (networks["state"] == state)]
                draw_column(axes, place + (0.1 if state == TRAINED else -0.15), rows, measure, look, BOUNDS)
            trained = networks[is_here & (networks["state"] == TRAINED)]
            relus = _relus_of(trained, matched, measure)
            draw_column(axes, place + 0.3, relus, measure, MATCHED_LOOK, BOUNDS)
        axes.axvline(len(OF_METHOD[EXACT]) + 0.5, color=MUTED, linewidth=0.8, linestyle=":")
        axes.set_xticks(
            range(len(places)), [activation for activation, _ in places], rotation=45, ha="right", fontsize=7
        )
        axes.set_ylabel(name)
        keep_within(axes, "y", BOUNDS, low=0)
    looks = [look._replace(line="none") for look in STATE_LOOKS.values()]
    legend_above(figure, [*looks, MATCHED_LOOK, SAMPLED_LOOK], has_markers=True)
    return figure


def _relus_of(trained: pd.DataFrame, matched: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the measure of the ReLU networks that trained ones are matched with in accuracy."""
    above = "mismatch" if measure == "test_accuracy" else measure
    of = matched.loc[matched["matched"] == ACCURACY, [*MATCHED[:4], above]].rename(columns={above: "above"})
    pairs = trained.merge(of, on=[*MATCHED[:4]])
    return pairs.assign(**{measure: pairs[measure] - pairs["above"]})


ENTRY = FindingEntry(
    title="Activations",
    question="Do networks with other activations fold as those with ReLUs do, at equal size and accuracy?",
    study="activations",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="A dot is a network, a marker the mean over seeds with its interval; Hardtanh has two bits a "
    "unit; a pair of patterns is symmetric if one between is farther from both than they are from each other",
)
