"""How far S′ depends on the graph, the ridge and the sample, and whether the graph has the data's topology.

The paper of the Layer Matrix Decomposition (arXiv 2309.05968) leaves the metric open.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.wording import change_of, mean_of, row_where, with_interval
from spaceprobe.lmd.spectrum import participation_ratio
from spaceprobe.report.drawing.marks import Look, draw_means, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results

BASE = {"neighbours": 10, "laplacian_ridge": 0.01}
"""The defaults of the section ``lmd``; of the sample, the base is the largest of the study."""

FACTORS = (*BASE, "sample")
HIDDEN = 1
"""The layer whose S′ is compared: 32 × 32, whatever the data."""

MEASURES = ("largest", "directions")
"""The largest S′, and the number of directions that S′ lives on: its participation ratio."""

KNOWN_HOLES = {"swiss-roll": 0, "sphere": 0, "torus": 2}
"""The first Betti numbers of the surfaces; each is one component."""

AT = ["run", "epoch", *FACTORS]


def _keep(results: Results) -> Tables:
    spectra = results.frames["lmd_spectrum"]
    spectra = spectra[(spectra["basis"] == "laplacian") & (spectra["layer"] == HIDDEN)]
    groups = spectra.groupby(AT)["value"]
    separations = groups.agg(
        largest="max",
        # (Σs²)² / Σs⁴: of the values themselves, as of the entries of a vector.
        directions=lambda values: float(participation_ratio(values.to_numpy(float)[None])[0]),
    ).reset_index()
    runs = results.runs[["run", "dataset", "seed", "points_seed"]]
    separations = runs.merge(separations[_one_at_a_time(separations)], on="run")
    layers = results.frames["lmd_layers"]
    graphs = layers[(layers["metric"] == "laplacian") & (layers["layer"] == 0) & (layers["epoch"] == 0)]
    graphs = graphs[graphs["laplacian_ridge"] == BASE["laplacian_ridge"]]
    graphs = runs.merge(graphs[["run", "neighbours", "sample", "num_components"]], on="run")
    num_points = _data_of(results).points
    holes = [
        _num_holes(row["dataset"], row["points_seed"], num_points, row["sample"], row["neighbours"])
        for row in graphs.to_dict("records")
    ]
    graphs = graphs.assign(num_holes=holes, known_holes=graphs["dataset"].map(KNOWN_HOLES))
    dropped = ["run", "points_seed"]
    return {
        "separations": separations.drop(columns=dropped),
        "graphs": graphs.drop(columns=dropped).astype({"num_components": float, "num_holes": float}),
    }


def _one_at_a_time(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Return whether at most one of the factors is not at its base."""
    bases = {**BASE, "sample": rows["sample"].max()}
    is_changed = pd.DataFrame({name: rows[name] != base for name, base in bases.items()})
    is_one: pd.Series[bool] = is_changed.sum(axis=1) <= 1
    return is_one


def _data_of(results: Results) -> Any:
    """Return the section ``data`` of the study."""
    return results.study.sections["data"]


def _num_holes(dataset: str, points_seed: int, num_points: int, sample: int, neighbours: int) -> float:
    """Return the holes of the graph of the points that the study sampled; NaN where they take too long."""
    from spaceprobe.data import manifolds
    from spaceprobe.data.swiss_roll import swiss_roll
    from spaceprobe.lmd.graph import neighbour_graph
    from spaceprobe.lmd.topology import topology

    draw = {"swiss-roll": swiss_roll, "sphere": manifolds.sphere, "torus": manifolds.torus}[dataset]
    points = draw(num_points, seed=points_seed).train.first(sample).inputs.double()
    holes = topology(neighbour_graph(points, neighbours)).num_holes
    return np.nan if holes is None else float(holes)


def _derive(tables: Tables) -> Tables:
    separations, graphs = tables["separations"], tables["graphs"]
    changes = _changes(separations)
    by = ["epoch", "factor", "base", "value", "measure"]
    topology = [
        means_by(graphs, ["dataset", "known_holes", "neighbours", "sample"], name).assign(quantity=name)
        for name in ("num_components", "num_holes")
    ]
    return {
        "changes": changes,
        "change_means": means_by(changes, by, "change"),
        "topology": pd.concat(topology, ignore_index=True),
        COMPARISONS: with_holm([*_comparisons(changes)]),
    }


def _changes(separations: pd.DataFrame) -> pd.DataFrame:
    """Return by how much each setting changes S′ relative to the base, the mean over surfaces."""
    bases = {**BASE, "sample": separations["sample"].max()}
    network = ["dataset", "seed", "epoch"]
    is_base = np.all([separations[name] == base for name, base in bases.items()], axis=0)
    base = separations[is_base].set_index(network)
    rows = []
    for factor in FACTORS:
        others = separations[separations[factor] != bases[factor]]
        for measure in MEASURES:
            own = others.set_index(network)
            ratio = own[measure] / base[measure].reindex(own.index) - 1
            found = own.assign(change=ratio).reset_index().rename(columns={factor: "value"})
            means = found.groupby(["epoch", "value", "seed"], as_index=False)["change"].mean()
            about = {"factor": factor, "base": float(bases[factor]), "measure": measure}
            rows.append(means.assign(**about, value=means["value"].astype(float)))
    columns = ["epoch", "factor", "base", "value", "measure", "seed", "change"]
    table: pd.DataFrame = pd.concat(rows, ignore_index=True)[columns]
    return table


def _comparisons(changes: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield what each setting changes at the last epoch, against nothing."""
    last = changes[changes["epoch"] == changes["epoch"].max()]
    for (factor, value, measure), rows in last.groupby(["factor", "value", "measure"], sort=False):
        yield {"factor": factor, "value": value, "measure": measure} | comparison([*rows["change"]])


def _says(numbers: Numbers) -> list[Markup]:
    means, topology = numbers.frames["change_means"], numbers.frames["topology"]
    epochs = sorted(means["epoch"].unique())
    last, early = epochs[-1], epochs[1]

    def epoch(at: int) -> Markup:
        return numbers.cell("change_means", int(means[means["epoch"] == at].index[0]), "epoch", "d")

    def bases() -> Markup:
        rows = [int(means[means["factor"] == factor].index[0]) for factor in FACTORS]
        values = (numbers.cell("change_means", row, "base", "g") for row in rows)
        return sentence("k = {}, ρ = {} and {} points", *values)

    def changes(measure: str, at: int) -> Markup:
        rows = means[(means["epoch"] == at) & (means["measure"] == measure)]
        parts = []
        for factor, value in sorted(zip(rows["factor"], rows["value"], strict=True), key=_place):
            where = {"factor": factor, "value": value, "measure": measure}
            row = row_where(means, {**where, "epoch": at})
            shown = with_interval(numbers, "change_means", row, "mean", "+.3f")
            if at == last:
                shown = change_of(numbers, where)
            cell = numbers.cell("change_means", row, "value", "g")
            parts.append(sentence("{} with " + SETTINGS[factor], shown, cell))
        return sentence(", ".join(["{}"] * (len(parts) - 1)) + " and {}", *parts)

    def of_graph(quantity: str, dataset: str, neighbours: int) -> Markup:
        where = {"quantity": quantity, "dataset": dataset, "neighbours": neighbours}
        where |= {"sample": _spoken_sample(topology)}
        return mean_of(numbers, "topology", where, ".1f")

    def of_surfaces(quantity: str, neighbours: int) -> Markup:
        return sentence("{}, {} and {}", *(of_graph(quantity, name, neighbours) for name in KNOWN_HOLES))

    def known(column: str) -> Markup:
        rows = [int(topology[topology["dataset"] == name].index[0]) for name in KNOWN_HOLES]
        return sentence("{}, {} and {}", *(numbers.cell("topology", row, column, "d") for row in rows))

    spoken = topology[topology["sample"] == _spoken_sample(topology)]
    few, many = int(BASE["neighbours"]), int(spoken["neighbours"].max())
    base, most = (int(spoken[spoken["neighbours"] == number].index[0]) for number in (few, many))
    return [
        sentence(
            "The largest S′ of the second layer, averaged over the surfaces, changes at epoch {}, relative "
            "to that at {}, by a share of {}; at epoch {} by {}.",
            epoch(last), bases(), changes("largest", last), epoch(early), changes("largest", early),
        ),
        sentence(
            "The number of directions of S′, its participation ratio, changes at epoch {} by a share of {}; "
            "at epoch {} by {}.",
            epoch(last), changes("directions", last), epoch(early), changes("directions", early),
        ),
        sentence(
            "The graph of {} neighbours of {} points has {} components on the Swiss roll, the sphere and the "
            "torus, where each surface has one, and {} holes, where they have {}; with {} neighbours it has "
            "{} components and {} holes.",
            numbers.cell("topology", base, "neighbours", "d"),
            numbers.cell("topology", base, "sample", "d"),
            of_surfaces("num_components", few), of_surfaces("num_holes", few), known("known_holes"),
            numbers.cell("topology", most, "neighbours", "d"),
            of_surfaces("num_components", many), of_surfaces("num_holes", many),
        ),
    ]  # fmt: skip


SETTINGS = {"neighbours": "k = {}", "laplacian_ridge": "ρ = {}", "sample": "{} points"}
"""How a sentence names a value of each factor."""


def _spoken_sample(topology: pd.DataFrame) -> int:
    return int(topology["sample"][topology["sample"] >= SPOKEN_SAMPLE].min())


def _place(of: tuple[str, float]) -> tuple[int, float]:
    """Return where a value of a factor stands among those that are named."""
    factor, value = of
    return FACTORS.index(factor), value


SPOKEN_SAMPLE = 500
"""The sample, or the next larger one, whose graph is spoken of: of more points not all holes are counted."""

MEASURE_LOOKS = {
    "largest": Look("largest S′", BLUE, "-", "o", BLUE),
    "directions": Look("directions of S′", ORANGE, "--", "s", PAPER),
}
SURFACE_LOOKS = {
    "swiss-roll": Look("holes: Swiss roll", GRAY, "-", "o", GRAY),
    "sphere": Look("sphere", GRAY, "--", "s", PAPER),
    "torus": Look("torus", GRAY, ":", "^", GRAY),
}
LABELS = {"neighbours": "neighbours k", "laplacian_ridge": "ridge ρ", "sample": "points"}


def _draw(tables: Tables) -> Figure:
    means, topology = tables["change_means"], tables["topology"]
    figure = grid_figure(len(FACTORS) + 1, 2, height=2.3)
    last = means[means["epoch"] == means["epoch"].max()]
    for axes, factor in zip(figure.axes, FACTORS, strict=False):
        for measure, look in MEASURE_LOOKS.items():
            rows = last[(last["factor"] == factor) & (last["measure"] == measure)]
            base = rows[:1].assign(value=rows["base"], mean=0.0, low=0.0, high=0.0)
            rows = pd.concat([rows, base]).sort_values("value")
            draw_means(axes, rows, [*rows["value"]], look)
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.set_xscale("log")
        of_factor = last[last["factor"] == factor]
        ticks = sorted({*of_factor["value"], *of_factor["base"]})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(LABELS[factor])
        axes.set_ylabel("relative change")
    axes = figure.axes[-1]
    of_sample = topology[
        (topology["sample"] == _spoken_sample(topology)) & (topology["quantity"] == "num_holes")
    ]
    for name, look in SURFACE_LOOKS.items():
        rows = of_sample[of_sample["dataset"] == name].sort_values("neighbours")
        draw_means(axes, rows, [*rows["neighbours"]], look)
    axes.set_yscale("symlog", linthresh=1)
    ticks = sorted(of_sample["neighbours"].unique())
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel(LABELS["neighbours"])
    axes.set_ylabel("holes of the graph")
    legend_above(figure, [*MEASURE_LOOKS.values(), *SURFACE_LOOKS.values()], has_markers=True)
    return figure


ENTRY = FindingEntry(
    title="Sensitivity of S′",
    question="How far does S′ depend on neighbours, ridge and sample, and does the graph fit the data?",
    study="lmd-sensitivity",
    kept=("separations", "graphs"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="What a setting changes in S′ of the second layer at the last epoch, relative to the base, the "
    "mean over surfaces; and the holes of the graph by neighbours, at the sample that is spoken of. A marker "
    "is the mean over seeds with its interval",
)
