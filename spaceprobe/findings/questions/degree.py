"""What the degree of polynomial activations does to dimension and rank, and which degree suits which data.

The LMD paper says that polynomials of degree n raise the manifold's dimension by the power n - 1 (arXiv
2309.05968). Read as d becoming d · d^(n-1) = d^n, since degree 1 has to leave d as it is.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.degree_figure import draw_degrees
from spaceprobe.findings.degrees import (
    ALL_MONOMIALS,
    BENT,
    BEST,
    DEGREES,
    ERROR,
    ESTIMATES,
    IDENTITY,
    INTRINSIC,
    POWER,
    POWER99,
    RELU,
    SEPARATION,
    SET,
    SIZE,
    choices_table,
    with_powers,
)
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of, row_where
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

CONVERGED = "has_converged"
"""Whether all matrices of a network have stably converged."""

BY_LAYER = {
    POWER: Bounds(0, None),
    POWER99: Bounds(0, None),
    INTRINSIC: Bounds(None, None),
    SEPARATION: Bounds(0, None),
    "rank_before": Bounds(0, None),
    "rank_after": Bounds(0, None),
    ALL_MONOMIALS: Bounds(0, 1),
}
"""What is measured of the activations of a layer; its means are over data sets and seeds."""


def _keep(results: Results) -> Tables:
    frames = results.frames
    runs = frames["runs"]
    named = runs.assign(**{SET: [_set_name(*row) for row in runs[["dataset", "cube_dimension"]].to_numpy()]})
    runs = named[["run", SET, "points", "activation", "seed"]]
    of_training = frames["training"].merge(frames["lmd_span"][["run", "epoch"]].drop_duplicates())
    errors = of_training.assign(**{ERROR: np.log10(of_training["test_loss"])})[["run", "epoch", ERROR]]
    converged = frames["lmd_convergence"].groupby(["run", "epoch"])["converged"].all().astype(float)
    errors = errors.merge(converged.rename(CONVERGED).reset_index(), on=["run", "epoch"])
    layers = _layers(frames, named)
    most = runs["points"].max()
    return {
        "errors": runs.merge(errors, on="run").drop(columns="run"),
        "layers": runs[runs["points"] == most].merge(layers, on="run").drop(columns=["run", "points"]),
        "data": _data(frames, named),
    }


def _set_name(dataset: str, dimension: int) -> str:
    return f"cube of {dimension}" if dataset == "cube" else dataset


def _layers(frames: Mapping[str, pd.DataFrame], runs: pd.DataFrame) -> pd.DataFrame:
    """Return what the activation of a hidden layer does: a row for each network, epoch and layer from 1."""
    key = ["run", "epoch", "layer"]
    linear = frames["lmd_span"][[*key, "space", "rank", "rank99"]].astype({"rank": float, "rank99": float})
    dimension = frames["lmd_dimension"].query("estimator == 'twonn'")[[*key, "space", "dimension"]]
    points = linear.merge(dimension, on=[*key, "space"])
    before = points[points["space"] == "output"].assign(layer=points["layer"] + 1)
    after = points[points["space"] == "input"]
    both = before.merge(after, on=key, suffixes=("_before", "_after"))
    values = frames["lmd_spectrum"].query("basis == 'laplacian'")
    squares = values.assign(first=values["value"] ** 2, second=values["value"] ** 4)
    sums = squares.groupby(key)[["first", "second"]].sum()
    separation = (sums["first"] ** 2 / sums["second"]).rename(SEPARATION).reset_index()
    both = both.drop(columns=["space_before", "space_after"]).merge(separation, on=key, how="left")
    return both.merge(runs[["run", "width"]], on="run")


def _data(frames: Mapping[str, pd.DataFrame], runs: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of the training points before training, and what there is to be told apart."""
    dimension = frames["lmd_dimension"].query(
        "epoch == 0 and layer == 0 and space == 'input' and estimator == 'twonn'"
    )[["run", "dimension"]]
    layers = frames["lmd_layers"].query("epoch == 0 and metric == 'laplacian'")
    components = layers[layers["layer"] == 0][["run", "num_components"]]
    last = layers[layers["layer"] == layers.groupby("run")["layer"].transform("max")]
    runs = runs[runs["activation"] == IDENTITY].rename(columns={"depth": "num_layers"})
    data = runs[["run", SET, "points", "seed", "num_layers"]].merge(components, on="run")
    data = data.merge(last[["run", "num_outputs"]], on="run").merge(dimension, on="run")
    return data.drop(columns="run")


def _derive(tables: Tables) -> Tables:
    layers, choices = with_powers(tables["layers"]), choices_table(tables)
    first = layers[layers["layer"] == 1]
    means = [
        means_by(first, ["activation", "epoch"], measure, bounds).assign(measure=measure)
        for measure, bounds in BY_LAYER.items()
    ]
    by_set = [
        means_by(first, ["activation", SET, "epoch"], measure, BY_LAYER[measure]).assign(measure=measure)
        for measure in ("rank_before", "rank_after", INTRINSIC)
    ]
    errors = means_by(tables["errors"], [SET, "points", "activation", "epoch"], ERROR)
    choice_means = [
        means_by(choices, ["epoch"], measure).assign(measure=measure)
        for measure in (BEST, *ESTIMATES, *(f"{BEST}_minus_{name}" for name in ESTIMATES))
    ]
    converged = means_by(tables["errors"], ["epoch"], CONVERGED, Bounds(0, 1))
    choice_means.append(converged.assign(measure=CONVERGED))
    return {
        "means": pd.concat(means, ignore_index=True),
        "set_means": pd.concat(by_set, ignore_index=True),
        "error_means": errors,
        "choices": choices,
        "choice_means": pd.concat(choice_means, ignore_index=True),
        COMPARISONS: with_holm([*_comparisons(first, choices)]),
    }


def _comparisons(layers: pd.DataFrame, choices: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield what is compared at the last epoch: one number a seed, the mean over data sets."""
    last = layers[layers["epoch"] == layers["epoch"].max()]
    of = {name: last[last["activation"] == name] for name in (RELU, *DEGREES)}
    for name in BENT:
        degree = DEGREES[name]
        about = {"of": name, "degree": degree}
        values = of[name].groupby("seed")[POWER99].mean() - degree
        yield about | {"measure": POWER99, "against": "the degree"} | comparison([*values])
    for name in (*BENT, RELU):
        about = {"of": name, "degree": DEGREES.get(name, 1)}
        values = of[name].groupby("seed")[INTRINSIC].mean()
        yield about | {"measure": INTRINSIC, "against": "zero"} | comparison([*values])
    for name in BENT:
        about = {"of": name, "degree": DEGREES[name]}
        behind = {
            side: of[side].groupby("seed", as_index=False)[SEPARATION].mean() for side in (IDENTITY, name)
        }
        differences = seed_differences(behind[IDENTITY], behind[name], SEPARATION)
        yield about | {"measure": SEPARATION, "against": IDENTITY} | comparison(differences)
    ends = choices[choices["epoch"] == choices["epoch"].max()]
    for estimate in ESTIMATES:
        about = {"of": estimate, "degree": 0}
        values = ends.groupby("seed")[f"{BEST}_minus_{estimate}"].mean()
        yield about | {"measure": BEST, "against": "the estimate"} | comparison([*values])
        for degree in DEGREES.values():
            above = ends[f"{ERROR}_at_{estimate}"] - ends[f"{ERROR}_at_degree_{degree}"]
            values = above.groupby(ends["seed"]).mean()
            about = {"of": estimate, "degree": degree}
            yield about | {"measure": ERROR, "against": "that degree"} | comparison([*values])


def _says(numbers: Numbers) -> list[Markup]:
    means = numbers.frames["means"]
    *_, other, last = [0, 0, *sorted(means["epoch"].unique())]

    def epoch(number: int) -> Markup:
        row = int(means.index[means["epoch"] == number][0])
        return numbers.cell("means", row, "epoch", "d")

    def change(measure: str, of: str, **where: object) -> Markup:
        return change_of(numbers, {"measure": measure, "of": of, **where})

    def mean(measure: str, of: str, at: int = last, spec: str = ".2f") -> Markup:
        where = {"measure": measure, "activation": of, "epoch": at}
        row = means[(means[[*where]] == [*where.values()]).all(axis=1)]
        return mean_of(numbers, "means", where, spec) if len(row) else Markup("unknown")

    def degree(of: str) -> Markup:
        where = {"measure": POWER99, "of": of}
        return numbers.cell(COMPARISONS, row_where(numbers.frames[COMPARISONS], where), "degree", "d")

    def each(part: Mapping[str, Markup] | list[Markup]) -> Markup:
        values = [*part.values()] if isinstance(part, Mapping) else part
        return sentence(", ".join(["{}"] * (len(values) - 1)) + " and {}", *values)

    first = row_where(numbers.frames[COMPARISONS], {"measure": POWER99, "of": BENT[0]})
    num_seeds = numbers.cell(COMPARISONS, first, "num_seeds", "d")
    linear = sentence(
        "At epoch {}, over {} seeds, activations of degree {} turn the rank of the first layer's "
        "pre-activations, {} in the "
        "mean over data, into {}: where the width leaves room this raises it to the power {}; counted in "
        "components that hold nearly all of the variance, the power minus the degree, zero if a dimension d "
        "became d to the degree, is {} (at epoch {} that power itself is {}), and the rank is that of all "
        "monomials, or the width, in a share of {} of networks.",
        epoch(last),
        num_seeds,
        each([degree(name) for name in BENT]),
        mean("rank_before", BENT[0]),
        each([mean("rank_after", name) for name in BENT]),
        each([mean(POWER, name) for name in BENT]),
        each([change(POWER99, name) for name in BENT]),
        epoch(other),
        each([mean(POWER99, name, other) for name in BENT]),
        each([mean(ALL_MONOMIALS, name) for name in BENT]),
    )
    intrinsic = sentence(
        "The dimension by nearest neighbours changes from these pre-activations to the activations by {} "
        "with the same degrees and by {} with a ReLU (at epoch {} by {}), and the participation ratio of S′ "
        "of the next matrix, minus that behind the identity, is {}.",
        each([change(INTRINSIC, name) for name in BENT]),
        change(INTRINSIC, RELU),
        epoch(other),
        each([mean(INTRINSIC, name, other) for name in (*BENT, RELU)]),
        each([change(SEPARATION, name) for name in BENT]),
    )
    return [linear, intrinsic, _says_of_choice(numbers, last, other, epoch)]


def _says_of_choice(numbers: Numbers, last: int, other: int, epoch: Any) -> Markup:
    """Return what came of the estimates."""
    choices = numbers.frames["choice_means"]

    def chosen(measure: str, at: int) -> Markup:
        where = {"measure": measure, "epoch": at}
        row = choices[(choices[[*where]] == [*where.values()]).all(axis=1)]
        return mean_of(numbers, "choice_means", where, ".2f") if len(row) else Markup("unknown")

    def change(measure: str, estimate: str, degree: int) -> Markup:
        return change_of(numbers, {"measure": measure, "of": estimate, "degree": degree})

    def number(degree: int) -> Markup:
        where = {"measure": ERROR, "of": SIZE, "degree": degree}
        return numbers.cell(COMPARISONS, row_where(numbers.frames[COMPARISONS], where), "degree", "d")

    def against(estimate: str) -> Markup:
        parts = [
            sentence("{} for degree {}", change(ERROR, estimate, degree), number(degree))
            for degree in DEGREES.values()
        ]
        return sentence(", ".join(["{}"] * len(parts)), *parts)

    parts = [
        sentence(
            "it minus the estimate {} is {} (at epoch {} {}), and the error at the estimate over that at one "
            "degree for all, as a power of ten, is {}",
            name,
            change(BEST, estimate, 0),
            epoch(other),
            chosen(f"{BEST}_minus_{estimate}", other),
            against(estimate),
        )
        for estimate, name in ESTIMATES.items()
    ]
    return sentence(
        "The degree with the smallest error on held-out points is {} in the mean at epoch {}, by which a "
        "share of {} of networks has stably converged, and {} at epoch {}: {}; {}.",
        chosen(BEST, last),
        epoch(last),
        chosen(CONVERGED, last),
        chosen(BEST, other),
        epoch(other),
        *parts,
    )


ENTRY = FindingEntry(
    title="Degree and dimension",
    question="Does a polynomial activation raise the dimension by a power, and can its best degree be told "
    "from the data?",
    study="lmd-degree",
    kept=("errors", "layers", "data"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=draw_degrees,
    caption="Of the first hidden layer at the last epoch, a mark for each network: rank behind the "
    "activation against that before it, with the number of monomials (lines) and the power that the paper "
    "names (dotted), both up to the width; the same of the dimension by nearest neighbours; the held-out "
    "error on each kind of data with most points, means over seeds with intervals; and the best degree "
    "against both estimates, larger marks for more cases",
)
