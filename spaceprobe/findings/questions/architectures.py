"""Whether networks of other kinds fold as an MLP does, at as many counted units."""

from collections.abc import Iterator

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import bounds_of
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.figures.architectures import draw_kinds
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.architectures import (
    EXACTLY,
    SAMPLED,
    STATE,
    WALKED,
    counted_units,
    folding_by_network,
)
from spaceprobe.results.groups import LABEL, GroupedRows
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

NETWORK = "network"
MEASURES = ("folded", "median", "test_accuracy")
SHARE = bounds_of("folding", "folded")
"""The range of shares, accuracies and χ alike."""

BASES = {EXACTLY: "mlp 4x392", SAMPLED: "mlp 4x392 gelu"}
"""With what the other networks of several layers are compared, by how their paths were walked."""


def _keep(results: Results) -> Tables:
    rows = folding_by_network(results.runs, results.frames["folding_histogram"])
    runs = results.runs.set_index("run")[["model", "architecture", "activation"]]
    names = {str(run): _name(*row) for run, row in zip(runs.index, runs.to_numpy(), strict=True)}
    names_of_rows, units = rows["run"].map(names), rows["run"].map(counted_units(results))
    rows = rows.drop(columns=[LABEL])
    rows.insert(1, NETWORK, names_of_rows)
    return {"networks": rows.assign(units=units, folds=rows["folded"] > 0)}


def _name(model: str, architecture: str, activation: str) -> str:
    """Return what a network is called."""
    return " ".join([model, architecture, *([] if activation in ("relu", "sign") else [activation])])


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"]
    by = [NETWORK, WALKED, STATE, "units", "depth"]
    means = [means_by(networks, by, name, SHARE).assign(measure=name) for name in MEASURES]
    return {
        "means": pd.concat(means, ignore_index=True),
        COMPARISONS: with_holm([*_comparisons(networks)]),
    }


def _comparisons(networks: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield how other networks of several layers differ from the MLP that was walked in the same way."""
    of = dict([*networks.groupby([NETWORK, STATE])])
    for walked, base in BASES.items():
        for name in _others(networks, walked):
            for measure in MEASURES[:2]:
                differences = seed_differences(of[base, TRAINED], of[name, TRAINED], measure)
                yield {NETWORK: name, "base": base, WALKED: walked, "measure": measure} | comparison(
                    differences
                )


def _others(networks: pd.DataFrame, walked: str) -> list[str]:
    """Return the networks of several layers beside the base, that were walked in one way."""
    is_other = (networks["depth"] > 1) & (networks[WALKED] == walked) & (networks[NETWORK] != BASES[walked])
    return [*networks.loc[is_other, NETWORK].unique()]


def _says(numbers: Numbers) -> list[Markup]:
    return [_single_layers(numbers), *(_several(numbers, walked) for walked in BASES)]


def _single_layers(numbers: Numbers) -> Markup:
    """Say whether networks with one hidden layer fold, trained or not, walked exactly."""
    networks = numbers.frames["networks"]
    where = {"depth": 1, WALKED: EXACTLY}
    rows = networks[(networks["depth"] == 1) & (networks[WALKED] == EXACTLY)]
    names = [_named(numbers, name) for name in rows[NETWORK].unique()]
    return sentence(
        "With one hidden layer of {} counted units ({}), {} of {} networks, untrained and trained, have a "
        "path that folds, and of the trained ones {} of {}.",
        numbers.statistic("min", "networks", "units", where, ",d"),
        joined(names),
        *(
            numbers.statistic("count", "networks", None, {**where, **more})
            for more in ({"folds": True}, {}, {STATE: TRAINED, "folds": True}, {STATE: TRAINED})
        ),
    )


def _named(numbers: Numbers, name: str) -> Markup:
    """Return the name of a network."""
    networks = numbers.frames["networks"]
    return numbers.text("networks", int(networks.index[networks[NETWORK] == name][0]), NETWORK)


def _several(numbers: Numbers, walked: str) -> Markup:
    """Say how networks of several layers differ from the MLP, all walked in one way."""

    def mean(name: str, measure: str) -> Markup:
        where = {NETWORK: name, STATE: TRAINED, "measure": measure}
        means = numbers.frames["means"]
        is_there = (means[NETWORK] == name) & (means[STATE] == TRAINED) & (means["measure"] == measure)
        return mean_of(numbers, "means", where) if is_there.any() else Markup("none")

    def other(name: str) -> Markup:
        folded, median = (change_of(numbers, {NETWORK: name, "measure": measure}) for measure in MEASURES[:2])
        return sentence(
            "{}, of accuracy {}, has {} of that share and {} of that median",
            _named(numbers, name), mean(name, "test_accuracy"), folded, median,
        )  # fmt: skip

    base = BASES[walked]
    lead = "Walked exactly" if walked == EXACTLY else "Sampled, so that lengths are lower bounds"
    return sentence(
        "{}, a share of {} of the paths of trained {} fold, with a median χ of {}, at an accuracy of {}; {}.",
        lead,
        mean(base, "folded"),
        _named(numbers, base),
        mean(base, "median"),
        mean(base, "test_accuracy"),
        joined([other(name) for name in _others(numbers.frames["networks"], walked)], "; "),
    )


def _draw(tables: Tables) -> Figure:
    networks = tables["networks"].rename(columns={NETWORK: LABEL})
    units = dict(zip(networks["run"], networks["units"], strict=True))
    networks = networks[networks[STATE].isin((UNTRAINED, TRAINED))]
    return draw_kinds(GroupedRows(networks, [*networks[LABEL].unique()], []), units)


ENTRY = FindingEntry(
    title="Architectures",
    question="Do other architectures fold as an MLP does, at as many counted units? Does one hidden layer?",
    study="any-architecture",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="A row for each network, with its counted units: χ of the paths that fold (points are medians of "
    "seeds, bars quantiles), the share of paths that do, and the test accuracy; networks below the dotted "
    "line are sampled",
)
