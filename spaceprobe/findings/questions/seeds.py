"""How far seeds agree on the correlation of folding with depth, of which the folding paper reports one."""

import math

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.association import CONFIDENCE, is_perfect
from spaceprobe.analysis.comparisons import DIFFERS, comparison, with_holm
from spaceprobe.analysis.over_seeds import mean_correlation, t_interval
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import MEASURE_NAMES, seed_differences
from spaceprobe.findings.wording import change_of, mean_of, row_where
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, grid_figure
from spaceprobe.report.drawing.style import GRAY, MUTED, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

PRIMARY = "chi_row_max_median"
RESPONSES = (PRIMARY, "chi_max", "chi_folded_mean", "chi_mean", "peak_max", "peak_row_max_median")

PAPER_R, PAPER_DIGITS = 0.987, 3
"""Pearson's r of depth and folding of one seed, as the paper prints it (arXiv 2502.09954, section 5)."""

KEPT = ("response", "state", "given", "min_accuracy", "seed", "num_runs", "pearson", "spearman")
"""The columns of correlations.csv that are kept."""

BY = ("response", "state", "given", "min_accuracy")

PLAIN = {"given": "none", "min_accuracy": 0.0}
"""No partial correlation, no filter by accuracy."""

PARTIAL = {"given": "test_accuracy"}
ZERO = "zero"


def _keep(results: Results) -> Tables:
    """Return the correlation of each seed with depth, partial ones of the primary response alone."""
    table = results.frames["correlations"]
    is_kept = (table["predictor"] == "depth") & (table["seed"] != "all") & table["response"].isin(RESPONSES)
    is_kept &= (table["given"] == "none") | (table["response"] == PRIMARY)
    return {"correlations": table.loc[is_kept, [*KEPT]].astype({"seed": int}).reset_index(drop=True)}


def _derive(tables: Tables) -> Tables:
    by_seed = tables["correlations"]
    means = pd.DataFrame(
        [
            dict(zip(BY, key, strict=True)) | _spread(rows["pearson"])
            for key, rows in by_seed.groupby([*BY], sort=False)
        ]
    )
    return {"means": means, COMPARISONS: with_holm(_comparisons(by_seed))}


def _spread(column: "pd.Series[float]") -> dict[str, object]:
    """Return mean and quantiles of r, and how many seeds show the paper's r or more."""
    from scipy.stats import binomtest

    values = column.dropna().to_numpy(np.float64)
    mean = mean_correlation(values, t_interval)
    low, high = mean.interval or (math.nan, math.nan)
    quantiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)) if len(values) else np.full(5, np.nan)
    num_as_high = int((values.round(PAPER_DIGITS) >= PAPER_R).sum())
    share: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    if len(values):
        ends = binomtest(num_as_high, len(values)).proportion_ci(CONFIDENCE, method="exact")
        share = num_as_high / len(values), float(ends.low), float(ends.high)
    return {
        "mean": math.nan if mean.value is None else mean.value,
        "low": low,
        "high": high,
        **dict(zip(("least", "q25", "median", "q75", "largest"), map(float, quantiles), strict=True)),
        "num_seeds": len(values),
        "num_without": len(column) - len(values),
        "paper": PAPER_R,
        "num_as_high": num_as_high,
        **dict(zip(("share_as_high", "share_low", "share_high"), share, strict=True)),
    }


def _comparisons(by_seed: pd.DataFrame) -> list[dict[str, object]]:
    """Return comparisons of atanh(r), which is closer to normal: of states, with 0, of statistics."""
    table = by_seed.assign(z=[_atanh(r) for r in by_seed["pearson"]])
    plain = table[(table["given"] == "none") & (table["min_accuracy"] == 0)]
    of = dict([*plain.groupby(["response", "state"])])
    about = {"response": PRIMARY, "given": "none"}
    states = seed_differences(of[PRIMARY, UNTRAINED], of[PRIMARY, TRAINED], "z")
    rows = [
        {**about, "state": TRAINED, "against": UNTRAINED} | comparison(states),
        {**about, "state": DIFFERENCE, "against": ZERO} | comparison([*of[PRIMARY, DIFFERENCE]["z"]]),
    ]
    partial = table[(table["given"] != "none") & (table["min_accuracy"] == 0) & (table["state"] == TRAINED)]
    rows.append({**about, **PARTIAL, "state": TRAINED, "against": ZERO} | comparison([*partial["z"]]))
    for response in RESPONSES[1:]:
        other = seed_differences(of[PRIMARY, TRAINED], of[response, TRAINED], "z")
        rows.append({**about, "response": response, "state": TRAINED, "against": PRIMARY} | comparison(other))
    return rows


def _atanh(r: float) -> float:
    """Return atanh(r), NaN where there is none."""
    return math.nan if math.isnan(r) or is_perfect(r) else math.atanh(r)


def _says(numbers: Numbers) -> list[Markup]:
    means = numbers.frames["means"]

    def at(state: str, response: str = PRIMARY, **others: object) -> dict[str, object]:
        return {**PLAIN, **others, "response": response, "state": state}

    def cell(column: str, where: dict[str, object], spec: str = ".3f") -> Markup:
        return numbers.cell("means", row_where(means, where), column, spec)

    def mean(where: dict[str, object]) -> Markup:
        return mean_of(numbers, "means", where)

    trained = at(TRAINED)
    spread = sentence(
        "In trained networks Pearson's r of depth and the row maxima of χ is {} on average over {} seeds and "
        "from {} to {} in single ones; the {} that the paper reports for one seed is reached, when rounded, "
        "by {} of them, a share of {} [{}, {}].",
        mean(trained),
        cell("num_seeds", trained, "d"),
        cell("least", trained),
        cell("largest", trained),
        cell("paper", trained),
        cell("num_as_high", trained, "d"),
        *(cell(column, trained, ".2f") for column in ("share_as_high", "share_low", "share_high")),
    )
    states = sentence(
        "Untrained networks have {} (from {} to {}), so that training changes atanh(r) by {}; what training "
        "adds to a network's row maxima has an r of {} with depth (from {} to {}), in atanh {}.",
        mean(at(UNTRAINED)),
        *(cell(column, at(UNTRAINED)) for column in ("least", "largest")),
        change_of(numbers, {"response": PRIMARY, "given": "none", "state": TRAINED, "against": UNTRAINED}),
        mean(at(DIFFERENCE)),
        *(cell(column, at(DIFFERENCE)) for column in ("least", "largest")),
        change_of(numbers, {"response": PRIMARY, "given": "none", "state": DIFFERENCE, "against": ZERO}),
    )
    ranked = means[(means["state"] == TRAINED) & (means["given"] == "none") & (means["min_accuracy"] == 0)]
    least, most = (
        str(means.at[at_row, "response"]) for at_row in (ranked["mean"].idxmin(), ranked["mean"].idxmax())
    )
    accurate = at(TRAINED, min_accuracy=0.9)
    others = {"state": TRAINED, "against": PRIMARY}
    depends = sentence(
        "Of {} statistics the {} has the least mean r in trained networks, {}, and the {} the largest, "
        "{}, and {} of the {} others differ from row maxima; at a fixed test accuracy the r of row maxima is "
        "{}, in atanh {}, and {}.",
        numbers.statistic("distinct", "means", "response"),
        MEASURE_NAMES[least],
        mean(at(TRAINED, least)),
        MEASURE_NAMES[most],
        mean(at(TRAINED, most)),
        numbers.statistic("count", COMPARISONS, None, {**others, "verdict": DIFFERS}),
        numbers.statistic("count", COMPARISONS, None, others),
        mean(at(TRAINED, **PARTIAL)),
        change_of(numbers, {"response": PRIMARY, **PARTIAL, "state": TRAINED, "against": ZERO}),
        _filtered(cell("num_seeds", accurate, "d"), mean(accurate), cell("min_accuracy", accurate, "g")),
    )
    return [spread, states, depends]


def _filtered(num_seeds: Markup, mean: Markup, accuracy: Markup) -> Markup:
    """Return what is left where every network of a seed has to reach the accuracy of the filter."""
    if num_seeds.striptags() == "0":
        return sentence("in none of the seeds do all networks reach a test accuracy of {}", accuracy)
    of = sentence("{} seed{}", num_seeds, "" if num_seeds.striptags() == "1" else "s")
    return sentence("{} in the {} whose networks all reach a test accuracy of {}", mean, of, accuracy)


LOOKS = {**STATE_LOOKS, DIFFERENCE: Look("trained minus untrained", GRAY, ":", "^", PAPER)}


def _draw(tables: Tables) -> Figure:
    by_seed, means = tables["correlations"], tables["means"]
    figure = grid_figure(2, 2, height=2.8)
    states = [*LOOKS]
    _draw_column(figure.axes[0], by_seed, means, [(PRIMARY, state) for state in states])
    figure.axes[0].set_xticks(range(len(states)), ["untrained", "trained", "trained\nminus untrained"])
    figure.axes[0].set_title("row maxima of χ, by state")
    _draw_column(figure.axes[1], by_seed, means, [(response, TRAINED) for response in RESPONSES])
    names = [MEASURE_NAMES[response].replace(" of ", "\nof ") for response in RESPONSES]
    figure.axes[1].set_xticks(range(len(RESPONSES)), names, rotation=35, ha="right", fontsize=7)
    figure.axes[1].set_title("trained networks, by statistic")
    figure.axes[0].set_ylabel("Pearson's r with depth, one a seed")
    return figure


def _draw_column(
    axes: Axes, by_seed: pd.DataFrame, means: pd.DataFrame, places: list[tuple[str, str]]
) -> None:
    """Draw the r of every seed, and the mean with its interval beside them."""
    for place, (response, state) in enumerate(places):
        look = LOOKS[state]
        is_here = (by_seed["response"] == response) & (by_seed["state"] == state)
        values = by_seed.loc[
            is_here & (by_seed["given"] == "none") & (by_seed["min_accuracy"] == 0), "pearson"
        ]
        xs = place - 0.15 + np.linspace(-0.1, 0.1, len(values))
        axes.plot(xs, values, linestyle="none", marker=".", markersize=3.5, color=look.color, alpha=0.6)
        row = row_where(means, {**PLAIN, "response": response, "state": state})
        mean, low, high = (float(means[name].iloc[row]) for name in ("mean", "low", "high"))
        ends = [[0.0], [0.0]] if math.isnan(low) else [[mean - low], [high - mean]]
        axes.errorbar(
            [place + 0.15], [mean], ends, color=look.color, linestyle="none", capsize=2.5, elinewidth=1,
            marker=look.marker, markersize=5, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.axhline(PAPER_R, color=MUTED, linewidth=0.8, linestyle="--")
    axes.set_ylim(-1.05, 1.05)


ENTRY = FindingEntry(
    title="Seeds",
    question="How far does the correlation of folding with depth vary from seed to seed, and with what?",
    study="depth-seeds",
    kept=("correlations",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="A dot is the correlation of one seed's networks, a marker the mean over seeds (of atanh) with "
    "its interval; the dashed line is what the paper reports",
)
