"""Whether folding goes with the gap between training and test, and what else does so, less or more."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import DIFFERS, INCONCLUSIVE, UNTESTED, comparison, with_holm
from spaceprobe.analysis.gap import EVERY, MEAN, gap_ranks
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of, with_interval
from spaceprobe.report.drawing.marks import count_axis, grid_figure
from spaceprobe.report.drawing.style import INK
from spaceprobe.report.entry import sentence
from spaceprobe.report.figures.gap import KINDS, NAMES, kind_of
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.stages.gap.tables import GAP_RANKS
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.table import Bounds

PRIMARY = "chi_row_max_median"

OTHERS = ("path_norm", "sharpness", "margin", "region_density", "image_length", "train_loss")
"""What folding is compared with: what the field relates to the gap, and the training loss, which is free."""

RESPONSE = {"response": "accuracy_gap", "min_train_accuracy": 0.0}
"""Training minus test accuracy, of all networks."""

KEPT = ("epoch", "is_last", "measure", "axis", "num_groups", "num_pairs", "tau")
"""The columns of gap_ranks.csv that are kept of each seed."""

LABELS = "random_labels"
ZERO = "zero"
BOUNDS = Bounds(-1, 1)


def _keep(results: Results) -> Tables:
    ranks = ranks_by_seed(results.frames)
    ranks = ranks[ranks["is_last"] | (ranks["axis"] == MEAN)].reset_index(drop=True)
    return {"ranks": ranks.astype(dict.fromkeys(("epoch", "num_groups", "num_pairs"), int))}


def ranks_by_seed(frames: Frames) -> pd.DataFrame:
    """Return the rows of gap_ranks.csv of `RESPONSE` for each seed by itself; their means are those of it.

    Args:
        frames: runs, training, folding, complexity and perhaps path_images.

    Returns:
        The columns ``seed`` and `KEPT`, without rows that have no τ.
    """
    by_seed = []
    for seed, runs in frames["runs"].groupby("seed"):
        names = ("training", "folding", "complexity", "path_images")
        tables = {name: frames[name] for name in names if name in frames}
        own = {name: table[table["run"].isin(runs["run"])] for name, table in tables.items()}
        ranks = gap_ranks(Frames({"runs": runs, **own}, frames.tables.values()), GAP_RANKS)
        is_kept = np.all([ranks[name] == value for name, value in RESPONSE.items()], axis=0)
        by_seed.append(ranks.loc[is_kept & ranks["tau"].notna(), [*KEPT]].assign(seed=seed))
    ranked: pd.DataFrame = pd.concat(by_seed, ignore_index=True)[["seed", *KEPT]]
    return ranked


def _derive(tables: Tables) -> Tables:
    ranks = tables["ranks"]
    means = means_by(ranks, ["measure", "epoch", "is_last", "axis"], "tau", BOUNDS)
    return {"means": means, COMPARISONS: with_holm([*_comparisons(ranks)])}


def _comparisons(ranks: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield τ of folding against 0, epoch by epoch, and how much larger |τ| of others is at the end."""
    plain = ranks[ranks["axis"] == MEAN]
    folding = plain[plain["measure"] == PRIMARY]
    for (epoch, is_last), rows in folding.groupby(["epoch", "is_last"]):
        about = {"measure": PRIMARY, "epoch": epoch, "is_last": is_last}
        yield about | {"against": ZERO} | comparison([*rows["tau"]])
    strength = plain[plain["is_last"]].assign(strength=plain["tau"].abs())
    for measure in OTHERS:
        own, other = (strength[strength["measure"] == name] for name in (PRIMARY, measure))
        differences = seed_differences(own, other, "strength")
        about = {"measure": measure, "epoch": int(strength["epoch"].max()), "is_last": True}
        yield about | {"against": PRIMARY} | comparison(differences)


def _says(numbers: Numbers) -> list[Markup]:
    compared = numbers.frames[COMPARISONS]

    def tau(measure: str, axis: str = MEAN) -> Markup:
        return mean_of(numbers, "means", {"measure": measure, "is_last": True, "axis": axis}, "+.2f")

    def against_zero(row: int) -> Markup:
        where = {"measure": PRIMARY, "epoch": compared.at[row, "epoch"], "against": ZERO}
        epoch = numbers.cell(COMPARISONS, row, "epoch", "d")
        return sentence("{} after {} epochs", change_of(numbers, where), epoch)

    own = compared[compared["against"] == ZERO].sort_values("epoch", ascending=False)
    folding = sentence(
        "Between networks that differ in one setting alone, Kendall's τ of the row maxima of χ and the gap "
        "between training and test accuracy at the end is, on average over settings, {}; at the end it is "
        "{} between networks that differ in their random labels alone, and {} between all of a seed.",
        Markup(", ").join(against_zero(int(row)) for row in own.index),
        tau(PRIMARY, LABELS),
        tau(PRIMARY, EVERY),
    )
    others = sentence(
        "The τ of what else was measured at the end is {}.",
        Markup(", ").join(sentence("{} for the {}", tau(name), NAMES[name]) for name in OTHERS),
    )
    return [folding, others, _strengths(numbers)]


def _strengths(numbers: Numbers) -> Markup:
    """Return which measures have a larger |τ| than folding has, which a smaller one, and which neither."""
    compared = numbers.frames[COMPARISONS]
    against = compared[compared["against"] == PRIMARY]
    kinds = {
        "larger for the {}": against[(against["verdict"] == DIFFERS) & (against["difference"] > 0)],
        "smaller for the {}": against[(against["verdict"] == DIFFERS) & (against["difference"] < 0)],
        "undecided for the {}": against[against["verdict"] == INCONCLUSIVE],
        "not tested for the {}": against[against["verdict"] == UNTESTED],
    }

    def named(row: int) -> Markup:
        value = with_interval(numbers, COMPARISONS, row, "difference", "+.2f")
        return sentence("{} ({})", NAMES[str(compared.at[row, "measure"])], value)

    parts = [
        sentence(text, Markup(", ").join(named(int(row)) for row in rows.index))
        for text, rows in kinds.items()
        if len(rows)
    ]
    return sentence("Against that of folding, |τ| is {}.", Markup("; ").join(parts))


def _draw(tables: Tables) -> Figure:
    ranks, means = tables["ranks"], tables["means"]
    figure = grid_figure(2, 2, height=3.6)
    plain = means[means["axis"] == MEAN]
    last = plain[plain["is_last"]].sort_values("mean", ascending=False)
    _forest(figure.axes[0], ranks[ranks["is_last"] & (ranks["axis"] == MEAN)], last)
    for measure in last["measure"]:
        rows = plain[plain["measure"] == measure].sort_values("epoch")
        look = KINDS[kind_of(measure)]
        is_primary = measure == PRIMARY
        figure.axes[1].plot(
            rows["epoch"], rows["mean"], look.line, color=look.color, marker=look.marker, markersize=3,
            markerfacecolor=look.fill, linewidth=1.8 if is_primary else 0.9, alpha=1 if is_primary else 0.6,
        )  # fmt: skip
    axes = figure.axes[1]
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_ylim(-1.02, 1.02)
    axes.set_xlabel("epoch of the measure")
    axes.set_ylabel("τ with the gap at the end")
    count_axis(axes)
    kinds = [kind for kind in KINDS if kind in {*map(kind_of, last["measure"])}]
    handles = [
        axes.plot(
            [], [], KINDS[kind].line, color=KINDS[kind].color, marker=KINDS[kind].marker,
            markerfacecolor=KINDS[kind].fill, label=KINDS[kind].name, linewidth=1.2,
        )[0]
        for kind in kinds
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=7.5)
    return figure


def _forest(axes: Axes, ranks: pd.DataFrame, last: pd.DataFrame) -> None:
    """Draw τ after the last epoch: a row for each measure, a dot for each seed."""
    for place, (measure, mean, low, high) in enumerate(
        last[["measure", "mean", "low", "high"]].itertuples(index=False)
    ):
        look = KINDS[kind_of(measure)]
        values = ranks.loc[ranks["measure"] == measure, "tau"]
        axes.plot(
            values, np.full(len(values), place), linestyle="none", marker=".", markersize=3,
            color=look.color, alpha=0.5,
        )  # fmt: skip
        ends = np.nan_to_num(np.abs([[low - mean], [high - mean]]))
        axes.errorbar(
            [mean], [place], xerr=ends, color=look.color, linestyle="none", capsize=2.5, elinewidth=1,
            marker=look.marker, markersize=4.5, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    names = [NAMES.get(name, name) for name in last["measure"]]
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-1.02, 1.02)
    axes.set_xlabel("τ with the gap, last epoch")


ENTRY = FindingEntry(
    title="Generalisation",
    question="Does folding go with the gap between training and test, early on and at the end, and more or "
    "less than what the field relates to it?",
    study="generalization",
    kept=("ranks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Kendall's τ of a measure and the gap at the end, the mean over settings in which networks "
    "differ alone: on the left at the end, a dot for a seed, a marker for the mean with its "
    "interval over seeds; on the right by the epoch of the measure, the thick line being row maxima of χ",
)
