"""What the degree of polynomial activations does to dimension and rank, and which degree suits which data.

The LMD paper says that polynomials of degree n raise the manifold's dimension by the power n - 1 (arXiv
2309.05968). Read as d becoming d · d^(n-1) = d^n, since degree 1 has to leave d as it is.
"""

from collections.abc import Hashable, Iterator, Mapping
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
from spaceprobe.lmd.degree import activation_degree, num_monomials, num_pieces_of
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, GRAY, INK, MUTED, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

RELU = "relu"
DEGREES = {f"polynomial-{degree}": degree for degree in range(1, 5)}
"""The degree of each activation that is a polynomial."""

IDENTITY = next(iter(DEGREES))
BENT = [name for name in DEGREES if name != IDENTITY]

SET = "set"
"""The column that tells data apart: the dataset, and its dimension where that can be chosen."""

POWER, POWER99, INTRINSIC, SEPARATION = "power", "power99", "added_dimension", "separation"
ALL_MONOMIALS = "has_all_monomials"
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

SIZE, TOPOLOGY = "by_size", "by_topology"
ESTIMATES = {SIZE: "from the number of points", TOPOLOGY: "from components and outputs"}
BEST, ERROR = "best", "log_error"


def _keep(results: Results) -> Tables:
    frames = results.frames
    runs = frames["runs"]
    named = runs.assign(**{SET: [_set_name(*row) for row in runs[["dataset", "cube_dimension"]].to_numpy()]})
    runs = named[["run", SET, "points", "activation", "seed"]]
    of_training = frames["training"].merge(frames["lmd_span"][["run", "epoch"]].drop_duplicates())
    errors = of_training.assign(**{ERROR: np.log10(of_training["test_loss"])})[["run", "epoch", ERROR]]
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
    """Return what the activation of each hidden layer does: a row for each network, epoch and layer from 1."""
    key = ["run", "epoch", "layer"]
    linear = frames["lmd_span"][[*key, "space", "rank", "rank99"]]
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
    return {
        "means": pd.concat(means, ignore_index=True),
        "set_means": pd.concat(by_set, ignore_index=True),
        "error_means": errors,
        "choices": choices,
        "choice_means": pd.concat(choice_means, ignore_index=True),
        COMPARISONS: with_holm([*_comparisons(first, choices)]),
    }


def with_powers(layers: pd.DataFrame) -> pd.DataFrame:
    """Return layers with the powers to which linear dimensions are raised, and by how much the other rises.

    The power is log(after) / log(before), NaN where one direction or none comes in. `ALL_MONOMIALS` is 1
    where the rank is that of all monomials of the degree without the constant one, or the width where there
    are more of them, and else 0; NaN for what is not a polynomial.

    Args:
        layers: rows with ``activation``, ``width``, ``rank_before``, ``rank_after``, the same of ``rank99``
            and of ``dimension``.
    """
    powers = {}
    for name, rank in ((POWER, "rank"), (POWER99, "rank99")):
        before = np.log(layers[f"{rank}_before"].where(layers[f"{rank}_before"] > 1).astype(float))
        powers[name] = (
            np.log(layers[f"{rank}_after"].where(layers[f"{rank}_after"] > 0).astype(float)) / before
        )
    is_all = [
        float(after == min(width, round(num_monomials(before, DEGREES[name])) - 1))
        if name in DEGREES
        else np.nan
        for name, width, before, after in layers[
            ["activation", "width", "rank_before", "rank_after"]
        ].itertuples(index=False)
    ]
    added = layers["dimension_after"] - layers["dimension_before"]
    return layers.assign(**powers, **{INTRINSIC: added, ALL_MONOMIALS: is_all})


def choices_table(tables: Tables) -> pd.DataFrame:
    """Return for each data set, number of points, seed and epoch which degree is best, and which is estimated.

    Args:
        tables: ``errors``, the logarithm of the error on held-out points; and ``data``.

    Returns:
        `BEST` is the degree of the smallest error, the lower of equal ones. Estimates above the largest
        degree that was trained are cut to it. ``log_error_at_…`` is the error at each estimate and at each
        degree minus that of the best one.
    """
    about = [SET, "points", "seed"]
    known = {tuple(row[name] for name in about): row for row in tables["data"].to_dict("records")}
    polynomials = tables["errors"][tables["errors"]["activation"].isin([*DEGREES])].dropna(subset=ERROR)
    rows = []
    for key, networks in polynomials.groupby([*about, "epoch"], sort=False):
        data = known.get(key[:-1])
        error = {DEGREES[row["activation"]]: row[ERROR] for row in networks.to_dict("records")}
        if data is None or not data["dimension"] > 0 or {*error} != {*DEGREES.values()}:
            continue
        best = min(sorted(error), key=error.__getitem__)
        estimated = {name: min(value, max(error)) for name, value in _estimates(data).items()}
        chosen = {**estimated, **{f"degree_{degree}": degree for degree in error}}
        rows.append(
            {
                **dict(zip([*about, "epoch"], key, strict=True)),
                BEST: float(best),
                **{name: float(value) for name, value in estimated.items()},
                **{f"{BEST}_minus_{name}": float(best - value) for name, value in estimated.items()},
                **{f"{ERROR}_at_{name}": error[degree] - error[best] for name, degree in chosen.items()},
            }
        )
    differences = [f"{BEST}_minus_{name}" for name in ESTIMATES]
    at = [f"{ERROR}_at_{name}" for name in (*ESTIMATES, *(f"degree_{n}" for n in DEGREES.values()))]
    return pd.DataFrame(rows, columns=[*about, "epoch", BEST, *ESTIMATES, *differences, *at])


def _estimates(data: Mapping[Hashable, Any]) -> dict[str, int]:
    """Return the degree of activations by each estimate."""
    pieces = num_pieces_of(int(data["num_components"]), int(data["num_outputs"]))
    needed = {SIZE: int(data["points"]), TOPOLOGY: pieces}
    return {
        name: activation_degree(data["dimension"], number, int(data["num_layers"]))
        for name, number in needed.items()
    }


def _comparisons(layers: pd.DataFrame, choices: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield what is compared at the last epoch: one number a seed, the mean over data sets."""
    last = layers[layers["epoch"] == layers["epoch"].max()]
    of = {name: last[last["activation"] == name] for name in (RELU, *DEGREES)}
    for name in BENT:
        degree = DEGREES[name]
        about = {"of": name, "degree": degree}
        for measure in (POWER, POWER99):
            values = of[name].groupby("seed")[measure].mean() - degree
            yield about | {"measure": measure, "against": "the degree"} | comparison([*values])
    for name in (*BENT, RELU):
        about = {"of": name, "degree": DEGREES.get(name, 1)}
        values = of[name].groupby("seed")[INTRINSIC].mean()
        yield about | {"measure": INTRINSIC, "against": "zero"} | comparison([*values])
    for name in BENT:
        about = {"of": name, "degree": DEGREES[name]}
        sides = (of[side].groupby("seed", as_index=False)[SEPARATION].mean() for side in (IDENTITY, name))
        differences = seed_differences(*sides, SEPARATION)
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
        where = {"measure": POWER, "of": of}
        return numbers.cell(COMPARISONS, row_where(numbers.frames[COMPARISONS], where), "degree", "d")

    def each(part: Mapping[str, Markup] | list[Markup]) -> Markup:
        values = [*part.values()] if isinstance(part, Mapping) else part
        return sentence(", ".join(["{}"] * (len(values) - 1)) + " and {}", *values)

    linear = sentence(
        "At epoch {}, activations of degree {} turn the linear dimension of the first layer's pre-activations, "
        "{} in the mean over data, into {}; the power of this minus the degree, zero if a dimension d became "
        "d to the degree, is {}, for the components that hold nearly all of the variance {} (at epoch {} "
        "their power itself is {}), and the rank is that of all monomials, or the width, in a share of {} of "
        "networks.",
        epoch(last),
        each([degree(name) for name in BENT]),
        mean("rank_before", BENT[0]),
        each([mean("rank_after", name) for name in BENT]),
        each([change(POWER, name) for name in BENT]),
        each([change(POWER99, name) for name in BENT]),
        epoch(other),
        each([mean(POWER99, name, other) for name in BENT]),
        each([mean(ALL_MONOMIALS, name) for name in BENT]),
    )
    intrinsic = sentence(
        "The dimension by nearest neighbours changes from these pre-activations to the activations by {} with "
        "the same degrees and by {} with a ReLU (at epoch {} by {}), and the participation ratio of S′ of the "
        "next matrix is above that behind the identity by {}.",
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
        "The degree with the smallest error on held-out points is {} in the mean at epoch {} and {} at epoch "
        "{}: {}; {}.",
        chosen(BEST, last),
        epoch(last),
        chosen(BEST, other),
        epoch(other),
        *parts,
    )


LOOKS = dict(
    zip(
        (RELU, *DEGREES),
        (
            Look("ReLU", MUTED, "--", "x", MUTED),
            *(
                Look(f"degree {degree}", color, "-", marker, fill)
                for degree, (color, marker, fill) in enumerate(
                    ((GRAY, "o", PAPER), (BLUE, "s", BLUE), (ORANGE, "^", ORANGE), (INK, "D", PAPER)), 1
                )
            ),
        ),
        strict=True,
    )
)


def _draw(tables: Tables) -> Figure:
    figure = grid_figure(4, 2, height=2.6)
    rank, dimension, error, choice = figure.axes
    layers = with_powers(tables["layers"])
    last = layers[(layers["layer"] == 1) & (layers["epoch"] == layers["epoch"].max())]
    _draw_ranks(rank, last)
    _draw_dimensions(dimension, last)
    _draw_errors(error, tables["error_means"])
    _draw_choices(choice, tables["choices"])
    estimates = [Look(f"estimated {name}", *look) for name, look in zip(ESTIMATES.values(), OF_ESTIMATE)]
    legend_above(figure, [*LOOKS.values(), *estimates], has_markers=True)
    return figure


def _dots(axes: Axes, x: Any, y: Any, look: Look) -> None:
    axes.plot(
        x, y, linestyle="none", marker=look.marker, markersize=3.5, color=look.color,
        markerfacecolor=look.fill, clip_on=False,
    )  # fmt: skip


def _draw_ranks(axes: Axes, layers: pd.DataFrame) -> None:
    """Draw the linear dimension behind the activation against that before it, with those of all monomials."""
    x = np.unique(layers["rank_before"])
    width = layers["width"].max()
    for name, look in LOOKS.items():
        rows = layers[layers["activation"] == name]
        _dots(axes, rows["rank_before"], rows["rank_after"], look)
        if name in BENT:
            expected = [min(width, num_monomials(value, DEGREES[name]) - 1) for value in x]
            axes.plot(x, expected, color=look.color, linewidth=0.8)
            axes.plot(
                x, np.minimum(width, x ** DEGREES[name]), color=look.color, linewidth=0.8, linestyle=":"
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set_xlabel("rank of pre-activations")
    axes.set_ylabel("rank of activations")


def _draw_dimensions(axes: Axes, layers: pd.DataFrame) -> None:
    """Draw the same of the dimension by nearest neighbours, with the line where nothing changes."""
    for name, look in LOOKS.items():
        rows = layers[layers["activation"] == name]
        _dots(axes, rows["dimension_before"], rows["dimension_after"], look)
    most = float(np.nanmax(layers[["dimension_before", "dimension_after"]].to_numpy(float), initial=1))
    axes.plot([0, most], [0, most], color=MUTED, linewidth=0.8)
    axes.set_xlabel("dimension of pre-activations")
    axes.set_ylabel("dimension of activations")


def _draw_errors(axes: Axes, means: pd.DataFrame) -> None:
    """Draw the error of each activation relative to that of degree 1, data set by data set, most points."""
    rows = means[(means["epoch"] == means["epoch"].max()) & (means["points"] == means["points"].max())]
    sets = [*rows[SET].unique()]
    for place, name in enumerate(sets):
        own = rows[rows[SET] == name].set_index("activation")
        for activation, look in LOOKS.items():
            if activation not in own.index:
                continue
            row = own.loc[activation]
            shift = 0.12 * ([*LOOKS].index(activation) - 2)
            ends = np.nan_to_num([[row["mean"] - row["low"]], [row["high"] - row["mean"]]])
            axes.errorbar(
                [place + shift], [row["mean"]], ends.tolist(), color=look.color, linestyle="none",
                elinewidth=0.8, marker=look.marker, markersize=3.5, markerfacecolor=look.fill,
            )  # fmt: skip
    axes.set_xticks(range(len(sets)), sets, rotation=30, ha="right", fontsize=7)
    axes.set_ylabel("log₁₀ of held-out error")


OF_ESTIMATE = ((BLUE, "none", "P", BLUE), (ORANGE, "none", "v", PAPER))
"""Colour, line, marker and fill of each estimate."""


def _draw_choices(axes: Axes, choices: pd.DataFrame) -> None:
    """Draw the best degree against the estimated one; the area of a mark is the number of cases."""
    last = choices[choices["epoch"] == choices["epoch"].max()]
    for shift, estimate, (color, _, marker, fill) in zip((-0.12, 0.12), ESTIMATES, OF_ESTIMATE):
        counts = last.groupby([estimate, BEST]).size().reset_index(name="count")
        axes.scatter(
            counts[estimate] + shift, counts[BEST], s=6 * counts["count"] + 6, marker=marker,
            edgecolors=color, facecolors=fill, linewidths=1,
        )  # fmt: skip
    ends = [min(DEGREES.values()), max(DEGREES.values())]
    axes.plot(ends, ends, color=MUTED, linewidth=0.8)
    axes.set_xticks([*DEGREES.values()])
    axes.set_yticks([*DEGREES.values()])
    axes.set_xlabel("estimated degree")
    axes.set_ylabel("best degree")


ENTRY = FindingEntry(
    title="Degree and dimension",
    question="Does a polynomial activation raise the dimension by a power, and can its best degree be told "
    "from the data?",
    study="lmd-degree",
    kept=("errors", "layers", "data"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Of the first hidden layer at the last epoch, a mark for each network: linear dimension behind the "
    "activation against that before it, with the number of monomials (lines) and the power that the paper "
    "names (dotted), both up to the width; the same of the dimension by nearest neighbours; the held-out error "
    "on each kind of data with most points, means over seeds with intervals; and the best degree against both "
    "estimates, larger marks for more cases",
)
