"""How far seeds agree on the correlation of folding with depth, of which the folding paper reports one."""

import math
from collections.abc import Mapping

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
from spaceprobe.report.numbers import Numbers, rows_where
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED

PRIMARY = "chi_row_max_median"
RESPONSES = (PRIMARY, "chi_max", "chi_folded_mean", "chi_mean", "peak_max", "peak_row_max_median")

PAPER_R, PAPER_DIGITS = 0.987, 3
"""Pearson's r of depth and folding of one seed, as the paper prints it (arXiv 2502.09954, section 5)."""

EXACT, SAMPLED = "exact", "sampled"

READING = ("method", "per_class")
"""What tells the readings of a network's paths apart: how they were walked, and between how many images."""

QUESTION = ("response", "state", "given", "min_accuracy")
KEPT = (*QUESTION, *READING, "num_points", "seed", "num_runs", "pearson", "spearman")
"""The columns of correlations.csv that are kept."""

BY = (*QUESTION, *READING)

PLAIN = {"given": "none", "min_accuracy": 0.0}
"""No partial correlation, no filter by accuracy."""

PARTIAL = {"given": "test_accuracy"}
ZERO = "zero"


def _keep(results: Results) -> Tables:
    """Return the correlation of each seed with depth, partial ones of the primary response alone.

    Of the readings beside the main one only what is compared is kept: the plain correlations.
    """
    table = results.frames["correlations"]
    if "per_class" not in table:  # which has no column where it does not vary
        (per_class,) = results.frames["aggregates"]["per_class"].unique()
        table = table.assign(per_class=per_class)
    is_kept = (table["predictor"] == "depth") & (table["seed"] != "all") & table["response"].isin(RESPONSES)
    is_kept &= (table["given"] == "none") | (table["response"] == PRIMARY)
    is_plain = (table["given"] == "none") & (table["min_accuracy"] == 0) & (table["response"] == PRIMARY)
    is_kept &= is_plain | table.index.isin(rows_where(table, main_reading(table)).index)
    return {"correlations": table.loc[is_kept, [*KEPT]].astype({"seed": int}).reset_index(drop=True)}


def main_reading(table: pd.DataFrame) -> dict[str, object]:
    """Return the reading that is spoken of where nothing is said: the exact one of the most images."""
    return {"method": EXACT, "per_class": int(table.loc[table["method"] == EXACT, "per_class"].max())}


def _derive(tables: Tables) -> Tables:
    by_seed = tables["correlations"]
    means = pd.DataFrame(
        [
            dict(zip(BY, key, strict=True))
            | {"num_points": rows["num_points"].max()}
            | _spread(rows["pearson"])
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
    """Return comparisons of atanh(r), which is closer to normal: of states, statistics and methods, with 0.

    A row is about ``state`` minus ``against``, or about ``response`` minus it; where it is `SAMPLED`, about
    exact minus sampled paths between the same images.
    """
    every = by_seed.assign(z=[_atanh(r) for r in by_seed["pearson"]])
    table = rows_where(every, main_reading(every))
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
    for state in STATE_LOOKS:
        exact, sampled = (
            rows_where(every, {**_beside(every, method), **PLAIN, "response": PRIMARY, "state": state})
            for method in (EXACT, SAMPLED)
        )
        methods = seed_differences(sampled, exact, "z")
        rows.append({**about, "state": state, "against": SAMPLED} | comparison(methods))
    return rows


def _beside(table: pd.DataFrame, method: str) -> dict[str, object]:
    """Return the reading of a method between the images of which there is a sampled one."""
    return {"method": method, "per_class": int(table.loc[table["method"] == SAMPLED, "per_class"].max())}


def _atanh(r: float) -> float:
    """Return atanh(r), NaN where there is none."""
    return math.nan if math.isnan(r) or is_perfect(r) else math.atanh(r)


def _says(numbers: Numbers) -> list[Markup]:
    means = numbers.frames["means"]
    main = main_reading(means)

    def at(state: str, response: str = PRIMARY, **others: object) -> dict[str, object]:
        return {**PLAIN, **main, **others, "response": response, "state": state}

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
    ranked = rows_where(means, {**PLAIN, **main, "state": TRAINED})
    least, most = (
        str(means.at[at_row, "response"]) for at_row in (ranked["mean"].idxmin(), ranked["mean"].idxmax())
    )
    accurate = at(TRAINED, min_accuracy=0.9)
    others = {"state": TRAINED, "against": PRIMARY}
    exact, sampled = (at(TRAINED) | _beside(means, method) for method in (EXACT, SAMPLED))
    depends = sentence(
        "Of {} statistics the {} has the least mean r in trained networks, {}, and the {} the largest, "
        "{}, and {} of the {} others differ from row maxima; {}; between {} images a class r of row maxima "
        "is {} exactly and {} sampled at {} points a path, in atanh a difference of {}.",
        numbers.statistic("distinct", "means", "response"),
        MEASURE_NAMES[least],
        mean(at(TRAINED, least)),
        MEASURE_NAMES[most],
        mean(at(TRAINED, most)),
        numbers.statistic("count", COMPARISONS, None, {**others, "verdict": DIFFERS}),
        numbers.statistic("count", COMPARISONS, None, others),
        _filtered(cell("num_seeds", accurate, "d"), mean(accurate), cell("min_accuracy", accurate, "g")),
        cell("per_class", sampled, "d"),
        mean(exact),
        mean(sampled),
        cell("num_points", sampled, ".0f"),
        change_of(numbers, {"response": PRIMARY, "given": "none", "state": TRAINED, "against": SAMPLED}),
    )
    return [spread, states, depends]


def _filtered(num_seeds: Markup, mean: Markup, accuracy: Markup) -> Markup:
    """Return what r is where every network of a seed has to reach the accuracy of the filter."""
    if num_seeds.striptags() == "0":
        return sentence("in none of the seeds do all networks reach a test accuracy of {}", accuracy)
    of = sentence("{} seed{}", num_seeds, "" if num_seeds.striptags() == "1" else "s")
    return sentence(
        "r of row maxima is {} in the {} whose networks all reach a test accuracy of {}", mean, of, accuracy
    )


LOOKS = {**STATE_LOOKS, DIFFERENCE: Look("trained minus untrained", GRAY, ":", "^", PAPER)}


def _draw(tables: Tables) -> Figure:
    by_seed, means = tables["correlations"], tables["means"]
    figure = grid_figure(3, 3, height=2.9)
    main = {**PLAIN, **main_reading(means), "response": PRIMARY, "state": TRAINED}
    columns = (
        [main | {"state": state} for state in LOOKS],
        [main | {"response": response} for response in RESPONSES],
        [main | _beside(means, method) for method in (EXACT, SAMPLED)],
    )
    names = (
        ["untrained", "trained", "difference"],
        [MEASURE_NAMES[response].replace(" of ", "\nof ") for response in RESPONSES],
        [EXACT, SAMPLED],
    )
    titles = ("row maxima of χ, by state", "trained, by statistic", "trained, by method")
    for axes, places, labels, title in zip(figure.axes, columns, names, titles, strict=True):
        for place, where in enumerate(places):
            _draw_seeds(axes, by_seed, means, place, where)
        axes.set_xticks(range(len(places)), labels, rotation=45, ha="right", fontsize=7)
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.set_ylim(-1.05, 1.05)
        axes.axhline(PAPER_R, color=MUTED, linewidth=0.8, linestyle="--")
        axes.set_title(title)
    figure.axes[0].set_ylabel("Pearson's r with depth, one a seed")
    return figure


def _draw_seeds(
    axes: Axes, by_seed: pd.DataFrame, means: pd.DataFrame, place: int, where: Mapping[str, object]
) -> None:
    """Draw the r of every seed, and the mean with its interval beside them."""
    look = LOOKS[str(where["state"])]
    values = rows_where(by_seed, where)["pearson"]
    xs = place - 0.15 + np.linspace(-0.1, 0.1, len(values))
    axes.plot(xs, values, linestyle="none", marker=".", markersize=3.5, color=look.color, alpha=0.6)
    row = row_where(means, where)
    mean, low, high = (float(means[name].iloc[row]) for name in ("mean", "low", "high"))
    ends = [[0.0], [0.0]] if math.isnan(low) else [[mean - low], [high - mean]]
    axes.errorbar(
        [place + 0.15], [mean], ends, color=look.color, linestyle="none", capsize=2.5, elinewidth=1,
        marker=look.marker, markersize=5, markerfacecolor=look.fill,
    )  # fmt: skip


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
    "its interval; the dashed line is what the paper reports; methods are compared on the same images",
)
