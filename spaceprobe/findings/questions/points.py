"""How many points a path needs, and where: ways of sampling against the exact walk of the same paths.

The folding paper takes evenly spaced points, calls that suboptimal, and bounds their number n by the number
N of units (arXiv 2502.09954, section 5).
"""

from collections.abc import Callable, Iterator

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
from spaceprobe.report.drawing.limits import COUNTED, keep_within
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above, log_scale
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, by_state
from spaceprobe.tables.table import Bounds

EXACT, EVEN, BISECTING, BOTH = "exact", "even", "bisecting", "bisecting further"
"""Ways to walk a path. Bisecting starts with its two ends alone, `BOTH` with some evenly spaced points."""

ENDS_ALONE = 2
"""Points that bisecting starts with."""

PAPER_POINTS = 100
"""Evenly spaced points that the folding paper takes (docs/benchmarks.md)."""

SHALLOW, DEEP, LARGE = "2x30", "6x10", "10x60"
SPOKEN = (SHALLOW, DEEP, LARGE)

PATH = ["run", "epoch", "source_class", "target_class", "source", "target"]
"""What tells the paths of a study apart."""

MEASURES = ("error", "bias", "wrong", "num_evaluated", "regions_seen")
"""Of a way in a network: the mean absolute error of χ, its mean error, the share of paths whose χ is another
than the exact one, the mean number of points at which the network is run, and the share of regions seen."""

REGIONS = ("mean_regions", "max_regions", "above_units")
"""Of the exact paths of a network: the mean and the largest number of linear regions, and the share of paths
that cross more of them than the network has units."""

SHARES = dict.fromkeys(("error", "wrong", "regions_seen", "above_units"), Bounds(0, 1))

TENT_LAYERS = 6
"""Chosen: the tent map of docs/definitions.md, "Known answers"."""


def _keep(results: Results) -> Tables:
    paths = results.frames["paths"].merge(
        results.runs[["run", "architecture", "depth", "width", "seed"]], on="run"
    )
    paths = pd.concat([rows.assign(state=state) for state, rows in by_state(paths).items()])
    paths["num_units"] = paths["depth"] * paths["width"]
    exact = paths[paths["method"] == EXACT]
    both = paths[paths["method"] != EXACT].astype({"num_points": int})
    both = both.merge(
        exact[[*PATH, "chi", "num_regions"]], on=PATH, suffixes=("", "_exact"), validate="many_to_one"
    )
    differs = both["chi"] - both["chi_exact"]
    both = both.assign(
        way=np.select(
            [both["method"] == "sampled", both["num_points"] == ENDS_ALONE],
            [EVEN, BISECTING],
            BOTH,
        ),
        error=differs.abs(),
        bias=differs,
        wrong=(differs != 0).astype(float),
        regions_seen=both["num_regions"] / both["num_regions_exact"],
    )
    by = ["architecture", "num_units", "seed", "state"]
    ways = both.groupby([*by, "way", "num_points"], sort=False, as_index=False)
    is_above = (exact["num_regions"] > exact["num_units"]).astype(float)
    regions = exact.assign(above_units=is_above).groupby(by, sort=False, as_index=False)
    return {
        "ways": ways[[*MEASURES]].mean(),
        "regions": regions.agg(
            mean_regions=("num_regions", "mean"),
            max_regions=("num_regions", "max"),
            above_units=("above_units", "mean"),
        ).astype({"max_regions": float}),
    }


WAY = ["architecture", "num_units", "state", "way", "num_points"]


def _derive(tables: Tables) -> Tables:
    ways, regions = tables["ways"], tables["regions"]
    means = [_means(ways, WAY, measure) for measure in MEASURES]
    of_regions = [_means(regions, WAY[:3], measure) for measure in REGIONS]
    return {
        "means": pd.concat(means, ignore_index=True),
        "region_means": pd.concat(of_regions, ignore_index=True),
        "tent": _tent_map(),
        COMPARISONS: with_holm([*_comparisons(ways)]),
    }


def _means(rows: pd.DataFrame, by: list[str], measure: str) -> pd.DataFrame:
    bounds = SHARES.get(measure)
    means = means_by(rows, by, measure) if bounds is None else means_by(rows, by, measure, bounds)
    means.insert(0, "measure", measure)
    return means


def _tent_map() -> pd.DataFrame:
    """Return length, reach and regions of the exact path from 0 to 1 through a tent map."""
    import torch

    from spaceprobe.folding import walk_with_flips
    from spaceprobe.networks.tent_map import tent_map

    ends = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    folding, flips = walk_with_flips(tent_map(TENT_LAYERS), *ends)
    return pd.DataFrame(
        {
            "num_layers": TENT_LAYERS,
            "num_units": 2 * TENT_LAYERS,
            "length": folding.length,
            "reach": folding.reach_from_a,
            "num_regions": flips.num_steps + 1,
        }
    )


def _comparisons(ways: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield, in trained networks, the mean error of even points and of bisecting, and which errs less."""
    trained = ways[ways["state"] == TRAINED]
    for architecture, rows in trained.groupby("architecture", sort=False):
        even = rows[(rows["way"] == EVEN) & (rows["num_points"] == PAPER_POINTS)]
        bisecting = rows[rows["way"] == BISECTING]
        about = {"architecture": architecture, "state": TRAINED}
        for way, of_way in ((EVEN, even), (BISECTING, bisecting)):
            yield about | {"measure": "bias", "way": way, "against": EXACT} | comparison([*of_way["bias"]])
        differences = seed_differences(even, bisecting, "error")
        yield about | {"measure": "error", "way": BISECTING, "against": EVEN} | comparison(differences)


def _says(numbers: Numbers) -> list[Markup]:
    means, regions = numbers.frames["means"], numbers.frames["region_means"]

    def mean(measure: str, architecture: str, way: str, num_points: int | None, spec: str) -> Markup:
        where: dict[str, object] = {"measure": measure, "architecture": architecture, "way": way}
        where |= {"state": TRAINED, **({} if num_points is None else {"num_points": num_points})}
        return mean_of(numbers, "means", where, spec)

    def of_regions(measure: str, column: str, spec: str) -> Markup:
        return each(
            lambda name: numbers.cell(
                "region_means",
                row_where(regions, {"measure": measure, "architecture": name, "state": TRAINED}),
                column,
                spec,
            )
        )

    def change(measure: str, way: str, against: str) -> Markup:
        where = {"measure": measure, "way": way, "against": against}
        return each(lambda name: change_of(numbers, {**where, "architecture": name}))

    points = row_where(
        means,
        {
            "measure": "wrong", "architecture": SHALLOW, "state": TRAINED, "way": EVEN,
            "num_points": PAPER_POINTS,
        },
    )  # fmt: skip
    return [
        sentence(
            "The {} evenly spaced points of the folding paper see a share of {} of the linear regions of "
            "paths in trained `{}`, `{}` and `{}`, and χ is wrong on {} of the paths, on average by {}; at "
            "as many points as there are units it is wrong on {}.",
            numbers.cell("means", points, "num_points", "d"),
            each(lambda name: mean("regions_seen", name, EVEN, PAPER_POINTS, ".3f")),
            *SPOKEN,
            each(lambda name: mean("wrong", name, EVEN, PAPER_POINTS, ".3f")),
            change("bias", EVEN, EXACT),
            each(lambda name: mean("wrong", name, EVEN, _num_units(name), ".3f")),
        ),
        sentence(
            "Bisecting from the two ends runs these networks at {} points of a path, sees {} of the regions, "
            "has χ wrong on {}, and changes the absolute error of the even points by {}; an exact walk from "
            "region to region takes {} runs.",
            each(lambda name: mean("num_evaluated", name, BISECTING, None, ".1f")),
            each(lambda name: mean("regions_seen", name, BISECTING, None, ".3f")),
            each(lambda name: mean("wrong", name, BISECTING, None, ".3f")),
            change("error", BISECTING, EVEN),
            of_regions("mean_regions", "mean", ".1f"),
        ),
        sentence(
            "With {} units (N) a path crosses up to {} regions, and more than N on a share of {} of the "
            "paths; through a tent map of {} units one crosses {}, so that no number n ≤ N of points sees "
            "every region of every path.",
            of_regions("above_units", "num_units", "d"),
            of_regions("max_regions", "largest", ".0f"),
            of_regions("above_units", "mean", ".3f"),
            numbers.cell("tent", 0, "num_units", "d"),
            numbers.cell("tent", 0, "num_regions", "d"),
        ),
    ]


def each(of: Callable[[str], Markup]) -> Markup:
    """Return something of each of the architectures that are spoken of, in their order."""
    return sentence("{}, {} and {}", *map(of, SPOKEN))


def _num_units(architecture: str) -> int:
    depth, width = map(int, architecture.split("x"))
    return depth * width


LOOKS = {
    EVEN: Look("evenly spaced points", BLUE, "-", "o", BLUE),
    BOTH: Look("bisecting from some evenly spaced points", GRAY, ":", "^", GRAY),
    BISECTING: Look("bisecting from the two ends", ORANGE, "--", "s", PAPER),
}
EXACT_LOOK = Look("linear regions: the exact walk, without an error", GRAY, "-.", "")

PANELS = {
    "error": "mean absolute error of χ",
    "wrong": "share of paths with a wrong χ",
    "regions_seen": "share of regions seen",
}


def _draw(tables: Tables) -> Figure:
    figure = grid_figure(len(PANELS) * len(SPOKEN), len(SPOKEN), height=2.2)
    panels = [(measure, name) for measure in PANELS for name in SPOKEN]
    for axes, (measure, name) in zip(figure.axes, panels, strict=True):
        _draw_panel(axes, tables, measure, name)
        axes.set_title(name)
        if name == SPOKEN[0]:
            axes.set_ylabel(PANELS[measure])
    for axes in figure.axes[-len(SPOKEN) :]:
        axes.set_xlabel("points a path")
    legend_above(figure, [*LOOKS.values(), EXACT_LOOK], has_markers=True)
    return figure


def _draw_panel(axes: Axes, tables: Tables, measure: str, architecture: str) -> None:
    """Draw a measure of every way in trained networks of an architecture against its points."""
    means, regions = tables["means"], tables["region_means"]
    here = means[(means["architecture"] == architecture) & (means["state"] == TRAINED)]
    costs = here[here["measure"] == "num_evaluated"].set_index(["way", "num_points"])["mean"]
    for way, look in LOOKS.items():
        rows = here[(here["measure"] == measure) & (here["way"] == way)].sort_values("num_points")
        if rows.empty:  # an errorbar of nothing has a place in the layout: the figure's corner
            continue
        x = [float(costs[way, points]) for points in rows["num_points"]]
        ends = np.nan_to_num(np.abs([rows["low"] - rows["mean"], rows["high"] - rows["mean"]]))
        axes.errorbar(
            x, rows["mean"], ends, color=look.color, linestyle=look.line, capsize=2, elinewidth=1,
            marker=look.marker, markersize=4, markerfacecolor=look.fill,
        )  # fmt: skip
    crossed = regions[(regions["architecture"] == architecture) & (regions["state"] == TRAINED)]
    for value in crossed.loc[crossed["measure"] == "mean_regions", "mean"]:
        axes.axvline(value, color=EXACT_LOOK.color, linestyle=EXACT_LOOK.line, linewidth=1)
    log_scale(axes, "x")
    keep_within(axes, "y", SHARES.get(measure, COUNTED), low=0)


ENTRY = FindingEntry(
    title="How many points, and where",
    question="How far is χ from the exact walk when a path is read at points, and how many regions has it?",
    study="sampling-points",
    kept=("ways", "regions"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Trained networks, against the points of a path at which the network is run: a marker is the "
    "mean over seeds with its interval",
)
