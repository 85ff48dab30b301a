"""Whether networks with other activations fold as those with ReLUs do, at equal size and accuracy."""

from collections.abc import Iterator
from typing import Any

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
MEASURES = (MEAN_CHI, SYMMETRIC, "test_accuracy")
BOUNDS = bounds_of("folding", "folded")
"""The range of shares, accuracies and χ alike."""

SAME, ACCURACY = "epoch", "test_accuracy"
"""In the column ``matched``: both networks after the last epoch, or at the nearest accuracy."""

FIRST = ["run", "architecture", "activation", "method", "seed", "epoch", "state", "test_accuracy"]


def _keep(results: Results) -> Tables:
    """Return every network at every epoch that was folded."""
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
    return {"networks": networks[[*FIRST, MEAN_CHI, SYMMETRIC]]}


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


MATCHED = ("activation", "method", "architecture", "seed", "matched", "epoch", "epoch_relu", "mismatch")
"""The columns of `matched_table` before the measures."""


def matched_table(networks: pd.DataFrame) -> pd.DataFrame:
    """Return networks with other activations beside ReLU networks of their seed and architecture.

    Matched in accuracy, the less accurate one is taken after the last epoch, and the other one after that
    epoch beyond 0 at which it is nearest to it.

    Args:
        networks: see `_keep`.

    Returns:
        A row for each reading of them and ``matched``: both after the last epoch (`SAME`), or of the nearest
        test accuracy (`ACCURACY`). The epochs of both; by how much the network is above the one with ReLUs in
        accuracy (``mismatch``) and the measures. Paths of both are walked in the same way.
    """
    keys = ["architecture", "seed", "method"]
    trained = networks[networks["epoch"] > 0]
    is_relu = trained["activation"] == RELU
    relus = dict([*trained[is_relu].groupby(keys)])
    rows = []
    for (activation, *key), epochs in trained[~is_relu].groupby(["activation", *keys], sort=False):
        if tuple(key) not in relus:
            continue
        for matched in (SAME, ACCURACY):
            pair = _pair(epochs, relus[tuple(key)], matched)
            if pair is not None:
                network, relu = pair
                about = {"activation": activation, "method": key[2], "architecture": key[0], "seed": key[1]}
                about |= {"matched": matched, "epoch": network["epoch"], "epoch_relu": relu["epoch"]}
                above = {name: network[name] - relu[name] for name in ("test_accuracy", MEAN_CHI, SYMMETRIC)}
                rows.append(about | {"mismatch": above.pop("test_accuracy"), **above})
    return pd.DataFrame(rows, columns=[*MATCHED, MEAN_CHI, SYMMETRIC])


def _pair(
    first: pd.DataFrame, second: pd.DataFrame, matched: str
) -> "tuple[pd.Series[Any], pd.Series[Any]] | None":
    """Return an epoch of each of two networks; None where one has no accuracy."""
    last = [rows.sort_values("epoch").iloc[-1] for rows in (first, second)]
    if matched == SAME:
        return last[0], last[1]
    if last[0]["test_accuracy"] < last[1]["test_accuracy"]:
        found = nearest(second, "test_accuracy", last[0]["test_accuracy"])
        return None if found is None else (last[0], found)
    found = nearest(first, "test_accuracy", last[1]["test_accuracy"])
    return None if found is None else (found, last[1])


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


PANELS = {
    MEAN_CHI: "mean χ of paths",
    "above": "minus ReLU, equal accuracy",
    SYMMETRIC: "symmetric share of pairs",
    "test_accuracy": "test accuracy",
}
SAMPLED_LOOK = Look("sampled: right of the dotted line", MUTED, ":")
ABOVE_LOOK = Look("", GRAY, "none", "D", PAPER)


def _draw(tables: Tables) -> Figure:
    networks = tables["networks"]
    matched = tables["matched"][tables["matched"]["matched"] == ACCURACY]
    figure = grid_figure(len(PANELS), 2, height=2.6)
    places = [(activation, method) for method, others in OF_METHOD.items() for activation in (RELU, *others)]
    for axes, (measure, name) in zip(figure.axes, PANELS.items(), strict=True):
        for place, key in enumerate(places):
            if measure == "above":
                rows = matched[(matched[["activation", "method"]] == [*key]).all(axis=1)]
                draw_column(axes, place, rows, MEAN_CHI, ABOVE_LOOK, BOUNDS.of_difference())
                continue
            is_here = (networks[["activation", "method"]] == [*key]).all(axis=1)
            for state, shift in ((UNTRAINED, -0.15), (TRAINED, 0.15)):
                rows = networks[is_here & (networks["state"] == state)]
                draw_column(axes, place + shift, rows, measure, STATE_LOOKS[state], BOUNDS)
        if measure == "above":
            axes.axhline(0, color=MUTED, linewidth=0.8, zorder=0)
        else:
            keep_within(axes, "y", BOUNDS, low=0)
        axes.axvline(len(OF_METHOD[EXACT]) + 0.5, color=MUTED, linewidth=0.8, linestyle=":")
        axes.set_xlim(-0.5, len(places) - 0.5)
        names = [activation for activation, _ in places]
        axes.set_xticks(range(len(places)), names, rotation=30, ha="right", fontsize=7)
        axes.set_ylabel(name)
    looks = [look._replace(line="none") for look in STATE_LOOKS.values()]
    legend_above(figure, [*looks, SAMPLED_LOOK], has_markers=True)
    return figure


ENTRY = FindingEntry(
    title="Activations",
    question="Do networks with other activations fold as those with ReLUs do, at equal size and accuracy?",
    study="activations",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="A dot is a network, a marker the mean over seeds with its interval; equal accuracy is the "
    "nearest that two networks of a seed have at any epoch; Hardtanh has two bits a unit; a pair of patterns "
    "is symmetric if one between is farther from both than they are from each other",
)
