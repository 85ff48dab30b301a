"""From how many points of a class on their paths tell what those of all its images tell.

The folding paper takes five clusters a class in place of all images (arXiv 2502.09954, appendix C).
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of, row_where
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, GRAY, MUTED, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.clusters import KIND, STATE, STATISTIC, K, cluster_networks
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED
from spaceprobe.tables.table import Bounds

LEVEL = "level"
PAIR, NETWORK = "class pair", "network"
"""A statistic of a class pair, or its median over the class pairs of a network."""

PAPER_K = 5
"""Points of a class that the folding paper takes."""

SHARE, ROW_MAXIMA = "folded", "row_max_median"
NAMES = {SHARE: "share of paths that fold", "mean": "mean χ", ROW_MAXIMA: "row maxima of χ"}
"""The statistics that are drawn, and what they are called; the tables have more."""

BASE = "random"
LOOKS = {
    "centres": Look("centres of k-means", BLUE, "-", "o", BLUE),
    "medoids": Look("medoids", ORANGE, "--", "s", PAPER),
    BASE: Look("random images", GRAY, ":", "^", GRAY),
}
SPREAD_LOOK = Look("spread: class pairs of a network, seeds of an architecture", MUTED, "-.", "", MUTED)


def _keep(results: Results) -> Tables:
    networks = cluster_networks(results)
    networks = networks[networks[STATE] == TRAINED]
    networks = networks.merge(results.runs[["run", "architecture"]], on="run")
    networks["cost"] = networks["num_paths"] / networks["num_all"]
    of_seeds = networks.groupby(["architecture", STATISTIC, KIND, K])["every"].transform("std")
    levels = {
        PAIR: networks[["error", "spread"]],
        NETWORK: pd.DataFrame(
            {"error": (networks["few"] - networks["every"]).abs(), "spread": of_seeds}, networks.index
        ),
    }
    by = ["seed", STATE, LEVEL, STATISTIC, KIND, K]
    errors = pd.concat(
        [
            networks.assign(level=name, error=values["error"], spread=values["spread"])
            for name, values in levels.items()
        ]
    )
    return {"errors": errors.groupby(by, sort=False, as_index=False)[[*NUMBERS]].mean()}


BY = [LEVEL, STATISTIC, KIND]

NUMBERS = ("error", "spread", "lacking", "cost")
"""Of a statistic with k points of a class: its error, the spread beside it, the share of class pairs in which
it has no value although it has one over all images, and the paths as a share of all."""

MAX_LACKING = 0.05
"""Of class pairs, for a k to be trusted. Chosen: quantiles are over folded paths, and of few paths
often none folds; a class pair without a value has no error either."""

ERRORS = Bounds(0, 1)
"""Of statistics that are in [0, 1] themselves."""


def _derive(tables: Tables) -> Tables:
    errors = tables["errors"]
    means = means_by(errors, [*BY, K], "error", ERRORS)
    others = errors.groupby([*BY, K], as_index=False)[[*NUMBERS[1:]]].mean()
    means = means.merge(others, on=[*BY, K], how="left")
    is_met = (means["high"] < means["spread"]) & (means["lacking"] <= MAX_LACKING)
    means["is_met"] = np.where(is_met, "yes", "no")
    return {"means": means, "trusted": _trusted(means), COMPARISONS: with_holm([*_comparisons(errors)])}


def _trusted(means: pd.DataFrame) -> pd.DataFrame:
    """Return from which k on, for it and all larger ones, a statistic can be trusted.

    It can where the whole interval of its error lies below the spread, and few class pairs lack a value
    (`MAX_LACKING`). Of each statistic and kind: ``from_k``, NaN for none, and whether that is at most
    `PAPER_K`, or any.
    """
    rows = []
    for key, group in means.groupby(BY, sort=False):
        group = group.sort_values(K, ascending=False)
        trusted = group.loc[(group["is_met"] == "yes").cummin(), K]
        from_k = float(trusted.min()) if len(trusted) else math.nan
        by_paper, by_last = ("yes" if is_met else "no" for is_met in (from_k <= PAPER_K, len(trusted) > 0))
        rows.append({**dict(zip(BY, key, strict=True)), "from_k": from_k})
        rows[-1] |= {"at_k": PAPER_K, "by_at_k": by_paper}
        rows[-1] |= {"largest_k": int(group[K].iloc[0]), "by_largest_k": by_last, "max_lacking": MAX_LACKING}
    return pd.DataFrame(rows)


def _comparisons(errors: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield how far the errors of centres and medoids are from those of random images, at the paper's k."""
    of = dict([*errors[errors[K] == PAPER_K].groupby(BY)])
    for level in (PAIR, NETWORK):
        for statistic in NAMES:
            for kind in [*LOOKS][:2]:
                differences = seed_differences(
                    of[level, statistic, BASE], of[level, statistic, kind], "error"
                )
                about = {LEVEL: level, STATISTIC: statistic, KIND: kind, "against": BASE, K: PAPER_K}
                yield about | comparison(differences)


def _says(numbers: Numbers) -> list[Markup]:
    means, trusted = numbers.frames["means"], numbers.frames["trusted"]

    def at_paper_k(level: str, statistic: str) -> dict[str, object]:
        return {LEVEL: level, STATISTIC: statistic, KIND: "centres", K: PAPER_K}

    def cell(column: str, where: dict[str, object], spec: str) -> Markup:
        return numbers.cell("means", row_where(means, where), column, spec)

    def error(statistic: str) -> Markup:
        where = at_paper_k(PAIR, statistic)
        return sentence("{} for the {}", mean_of(numbers, "means", where), NAMES[statistic])

    def counts(level: str, column: str) -> Markup:
        parts = [
            numbers.statistic("count", "trusted", None, {LEVEL: level, KIND: kind, column: "yes"})
            for kind in LOOKS
        ]
        return sentence("{}, {} and {}", *parts)

    def change(kind: str, statistic: str) -> Markup:
        return change_of(numbers, {LEVEL: PAIR, STATISTIC: statistic, KIND: kind})

    share = at_paper_k(PAIR, SHARE)
    first = int(trusted.index[0])
    num_statistics = numbers.statistic("distinct", "trusted", STATISTIC)
    return [
        sentence(
            "With {} centres of k-means a class, a share of {} of the paths between all images, the error "
            "at a class pair is {} and {}, where the spread over class pairs is {} and {}.",
            cell(K, share, "d"),
            cell("cost", share, ".4f"),
            error(SHARE),
            error(ROW_MAXIMA),
            cell("spread", share, ".3f"),
            cell("spread", at_paper_k(PAIR, ROW_MAXIMA), ".3f"),
        ),
        sentence(
            "A k is to be trusted if, for it and all larger ones, the interval of the error lies below the "
            "spread and a share of at most {} of the class pairs lacks a value: of {} statistics of a class "
            "pair {} (centres, medoids, random images) can be trusted at a k of {}, and {} at {}; of as many "
            "medians of a network, beside their spread over seeds, {} and {}.",
            numbers.cell("trusted", first, "max_lacking", ".2f"),
            num_statistics,
            counts(PAIR, "by_at_k"),
            numbers.cell("trusted", first, "at_k", "d"),
            counts(PAIR, "by_largest_k"),
            numbers.cell("trusted", first, "largest_k", "d"),
            counts(NETWORK, "by_at_k"),
            counts(NETWORK, "by_largest_k"),
        ),
        sentence(
            "In place of {} random images, centres change the error at a class pair by {} for the {} and by "
            "{} for {}, medoids by {} and {}.",
            cell(K, share, "d"),
            change("centres", SHARE),
            NAMES[SHARE],
            change("centres", ROW_MAXIMA),
            NAMES[ROW_MAXIMA],
            change("medoids", SHARE),
            change("medoids", ROW_MAXIMA),
        ),
    ]


def _draw(tables: Tables) -> Figure:
    means = tables["means"]
    figure = grid_figure(2 * len(NAMES), len(NAMES), height=2.4)
    panels = [(level, statistic) for level in (PAIR, NETWORK) for statistic in NAMES]
    for axes, (level, statistic) in zip(figure.axes, panels, strict=True):
        rows = means[(means[LEVEL] == level) & (means[STATISTIC] == statistic)]
        _draw_errors(axes, rows)
        axes.set_title(NAMES[statistic])
        if statistic == SHARE:
            axes.set_ylabel(f"error of a {level}")
        if level == NETWORK:
            axes.set_xlabel("k, and its share of all paths")
    legend_above(figure, [*LOOKS.values(), SPREAD_LOOK], has_markers=True)
    return figure


def _draw_errors(axes: Axes, means: pd.DataFrame) -> None:
    """Draw the errors of one statistic against the share of paths, and their spread."""
    axes.set_xscale("log")
    for kind, shift in zip(LOOKS, (0.9, 1, 1.1), strict=True):  # side by side, so that intervals are seen
        look, rows = LOOKS[kind], means[means[KIND] == kind].sort_values(K)
        ends = np.nan_to_num(np.abs([rows["low"] - rows["mean"], rows["high"] - rows["mean"]]))
        axes.errorbar(
            shift * rows["cost"], rows["mean"], ends, color=look.color, linestyle=look.line, capsize=2,
            elinewidth=1, marker=look.marker, markersize=4, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.axhline(means["spread"].mean(), color=SPREAD_LOOK.color, linestyle=SPREAD_LOOK.line, linewidth=1)
    ticks = means.drop_duplicates(K).sort_values(K)
    labels = [f"{k}\n{100 * cost:.2g} %" for k, cost in zip(ticks[K], ticks["cost"], strict=True)]
    axes.set_xticks(ticks["cost"].to_numpy(float), labels, fontsize=6.5)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)


ENTRY = FindingEntry(
    title="Clusters instead of all pairs",
    question="From how many points of a class on do they tell what all of its images tell?",
    study="cluster-pairs",
    kept=("errors",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="The mean absolute difference from all pairs of images in trained networks, of class pairs above "
    "and of the median over class pairs below: a marker is the mean over seeds with its interval, the line "
    "the spread that an error has to stay below",
)
