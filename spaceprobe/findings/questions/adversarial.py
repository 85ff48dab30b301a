"""Whether paths to adversarial twins fold, and whether networks that fold more resist more."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.association import is_constant
from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.analysis.over_seeds import mean_correlation, t_interval
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import networks_table, of_states, seed_differences
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, grid_figure, legend_above, sequence_looks
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED
from spaceprobe.tables.table import Bounds

CHECKS, FOLDING = "folding_checks_adversarial", "folding_adversarial"
BALL = ("norm", "radius")
WAY = ("attack", *BALL)

FOLDED, ROBUST = "folded", "robust_accuracy"
"""The share of paths to twins that fold, and the share of twins that are classified rightly."""

FOLDS = "chi_row_max_median"
"""How far a network folds between the images of all class pairs."""

CONTROL = "random-"
"""Begins the name of the control of an attack."""

PGD, FGSM = "pgd", "fgsm"
NORM_NAMES = {"linf": "L∞", "l2": "L₂"}

SHALLOW, DEEP = "2x30", "6x10"
ALL, ZERO = "all", "zero"

TWIN, RANDOM, EXCESS = "twins", "random", "excess"
"""The share of paths to twins that fold, that of paths to their controls, and the first minus the second."""

LEAST_NETWORKS = 3
"""Of two, r is 1 or -1 whatever they show."""

DEPTHS, SEEDS = "depths", "seeds"
"""Over what a correlation is: the architectures of a seed, or the seeds of an architecture."""


def _keep(results: Results) -> Tables:
    chi = results.frames[FOLDING].query("measure == 'chi'")
    key = ["run", "epoch", "class", *WAY]
    rows = results.frames[CHECKS].merge(chi[[*key, FOLDED, "mean"]], on=key)
    values = ["accuracy", ROBUST, "mean_norm", FOLDED, "mean"]
    by_run = rows.groupby(["run", "epoch", *WAY], as_index=False, sort=False)[values].mean()
    paths = of_states(results, by_run)
    networks = networks_table(results, [FOLDS])
    return {
        "paths": paths[["run", "architecture", "depth", "seed", "state", *WAY, *values]],
        "networks": networks[networks["state"] == TRAINED].reset_index(drop=True),
    }


def _derive(tables: Tables) -> Tables:
    paired = _paired(tables["paths"])
    robust = _robust(tables)
    by = ["state", "attack", *BALL]
    means = pd.concat(
        [
            means_by(paired, by, name, bounds).assign(of=name)
            for name, bounds in ((TWIN, Bounds(0, 1)), (RANDOM, Bounds(0, 1)), (EXCESS, Bounds(-1, 1)))
        ],
        ignore_index=True,
    )
    return {
        "means": means,
        "robust": robust,
        "robust_means": means_by(robust, ["architecture"], ROBUST, Bounds(0, 1)),
        "correlations": _correlations(robust),
        COMPARISONS: with_holm([*_comparisons(paired, robust)]),
    }


def _paired(paths: pd.DataFrame) -> pd.DataFrame:
    """Return the shares that fold, to twins and controls, of each network, state, attack and ball."""
    is_control = paths["attack"].str.startswith(CONTROL)
    controls = paths[is_control].assign(attack=paths["attack"].str.removeprefix(CONTROL))
    key = ["run", "architecture", "depth", "seed", "state", *WAY]
    both = paths[~is_control][[*key, FOLDED]].merge(
        controls[[*key, FOLDED]], on=key, suffixes=("_twin", "_random")
    )
    both = both.rename(columns={f"{FOLDED}_twin": TWIN, f"{FOLDED}_random": RANDOM})
    return both.assign(**{EXCESS: both[TWIN] - both[RANDOM]})


def _robust(tables: Tables) -> pd.DataFrame:
    """Return the robust accuracy of trained networks under PGD, a mean over balls, and how far they fold."""
    paths, networks = tables["paths"], tables["networks"]
    pgd = paths[(paths["attack"] == PGD) & (paths["state"] == TRAINED)]
    shares = pgd.groupby("run", sort=False, as_index=False)[[ROBUST]].mean()
    return networks[["run", "architecture", "depth", "seed", "test_accuracy", FOLDS]].merge(shares, on="run")


def _correlations(robust: pd.DataFrame) -> pd.DataFrame:
    """Return mean correlations of robust accuracy with folding: within seeds, and within architectures."""
    rows = []
    for over, group in ((DEPTHS, "seed"), (SEEDS, "architecture")):
        found = [
            _pearson(part[FOLDS].to_numpy(np.float64), part[ROBUST].to_numpy(np.float64))
            for _, part in robust.groupby(group, sort=False)
        ]
        values = np.array([r for r in found if math.isfinite(r)])
        mean = mean_correlation(values, t_interval)
        low, high = mean.interval or (math.nan, math.nan)
        value = math.nan if mean.value is None else mean.value
        rows.append({"over": over, "mean": value, "low": low, "high": high, "num_groups": len(values)})
    return pd.DataFrame(rows)


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's r of the networks that have both numbers, NaN of fewer than three or of a constant."""
    is_known = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_known], y[is_known]
    if len(x) < LEAST_NETWORKS or is_constant(x) or is_constant(y):
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def _comparisons(paired: pd.DataFrame, robust: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield twins against controls, and deep against shallow networks: what folds, and what resists."""
    for state in (TRAINED, UNTRAINED):
        of_state = paired[(paired["state"] == state) & ((paired["attack"] == PGD) | (state == TRAINED))]
        for (attack, norm), rows in of_state.groupby(["attack", "norm"], sort=False):
            about = {"measure": EXCESS, "state": state, "attack": attack, "norm": norm}
            yield about | {"of": ALL, "against": ZERO} | comparison([*rows.groupby("seed")[EXCESS].mean()])
    trained = paired[paired["state"] == TRAINED]
    first, second = (
        trained[trained["architecture"] == name]
        .groupby("seed", as_index=False)[[TWIN, RANDOM, EXCESS]]
        .mean()
        for name in (SHALLOW, DEEP)
    )
    ends = {"state": TRAINED, "attack": ALL, "norm": ALL, "of": DEEP, "against": SHALLOW}
    for measure in (TWIN, RANDOM, EXCESS):
        yield {"measure": measure, **ends} | comparison(seed_differences(first, second, measure))
    first, second = (robust[robust["architecture"] == name] for name in (SHALLOW, DEEP))
    about = {"measure": ROBUST, **ends, "attack": PGD}
    yield about | comparison(seed_differences(first, second, ROBUST))


def _says(numbers: Numbers) -> list[Markup]:
    def excess(state: str, attack: str, norm: str) -> Markup:
        where = {"measure": EXCESS, "state": state, "attack": attack, "norm": norm}
        return sentence("{} in {}", change_of(numbers, where), NORM_NAMES[norm])

    def both(state: str, attack: str) -> Markup:
        return sentence("{} and {}", *(excess(state, attack, norm) for norm in NORM_NAMES))

    def deeper(measure: str) -> Markup:
        return change_of(numbers, {"measure": measure, "of": DEEP})

    shares = [mean_of(numbers, "robust_means", {"architecture": name}) for name in (SHALLOW, DEEP)]
    over = [mean_of(numbers, "correlations", {"over": over}) for over in (DEPTHS, SEEDS)]
    return [
        sentence(
            "The share that folds of paths from images to adversarial twins, minus that of paths to random "
            "points as far from them, is {} for PGD and {} for FGSM in trained networks, and {} for PGD in "
            "untrained ones.",
            both(TRAINED, PGD),
            both(TRAINED, FGSM),
            both(UNTRAINED, PGD),
        ),
        sentence(
            "A trained `6x10` in place of a `2x30` changes the share of paths to twins that fold by {}, and "
            "that of paths to random points by {}, so the difference by {}.",
            *(deeper(measure) for measure in (TWIN, RANDOM, EXCESS)),
        ),
        sentence(
            "The robust accuracy under PGD, a mean over the balls, is {} in a `2x30` and {} in a `6x10`, a "
            "change of {}; its correlation with the row maxima of χ is {} over the depths of a seed, and {} "
            "over the seeds of a depth, there with an interval over depths.",
            *shares,
            deeper(ROBUST),
            *over,
        ),
    ]


def _draw(tables: Tables) -> Figure:
    means, robust = tables["means"], tables["robust"]
    norms = [norm for norm in NORM_NAMES if (means["norm"] == norm).any()]
    figure = grid_figure(len(norms) + 1, 3, height=2.7)
    for axes, norm in zip(figure.axes, norms, strict=False):
        _draw_ball(axes, means[(means["norm"] == norm) & (means["attack"] == PGD)])
        axes.set_title(f"PGD in {NORM_NAMES[norm]}")
        axes.set_xlabel("radius of the ball")
    figure.axes[0].set_ylabel("share of paths that fold")
    last = figure.axes[len(norms)]
    looks = sequence_looks([*dict.fromkeys(robust["architecture"])])
    for name, look in looks.items():
        rows = robust[robust["architecture"] == name]
        last.plot(
            rows[FOLDS], rows[ROBUST], linestyle="none", marker=look.marker, color=look.color, label=name,
            markersize=4.5,
        )  # fmt: skip
    last.set_xlabel("row maxima of χ")
    last.set_ylabel("robust accuracy, PGD")
    last.set_title("trained networks")
    last.legend(fontsize=7)
    states = [_look(state, of) for state in STATE_LOOKS for of in ENDS]
    legend_above(figure, states, has_markers=True)
    return figure


ENDS = {TWIN: "to twins", RANDOM: "to random points"}


def _look(state: str, of: str) -> Look:
    """Return how the paths of networks in a state, to twins or to random points, are drawn."""
    look = STATE_LOOKS[state]
    name = f"{state}, {ENDS[of]}"
    return look._replace(name=name) if of == TWIN else Look(name, look.color, ":", "x", look.color)


def _draw_ball(axes: Axes, means: pd.DataFrame) -> None:
    """Draw the share of paths to twins and to random points that fold, at each radius."""
    radii = sorted(means["radius"].unique())
    series = [(state, of) for state in STATE_LOOKS for of in ENDS]
    for number, (state, of) in enumerate(series):
        look = _look(state, of)
        rows = means[(means["state"] == state) & (means["of"] == of)].sort_values("radius")
        mean = rows["mean"].to_numpy(float)
        ends = np.nan_to_num(np.abs([rows["low"] - mean, rows["high"] - mean]))
        places = [radii.index(radius) + 0.12 * (number - 1.5) for radius in rows["radius"]]
        axes.errorbar(
            places, mean, ends, color=look.color, linestyle=look.line, capsize=2.5, elinewidth=1,
            marker=look.marker, markersize=4.5, markerfacecolor=look.fill, clip_on=False,
        )  # fmt: skip
    axes.set_xticks(range(len(radii)), [f"{radius:g}" for radius in radii])
    axes.set_xlim(-0.5, len(radii) - 0.5)
    keep_within(axes, "y", Bounds(0, 1), low=0)


ENTRY = FindingEntry(
    title="Adversarial paths",
    question="Do paths to adversarial twins fold otherwise than random ones of equal norm, and do networks "
    "that fold more resist more?",
    study="adversarial-paths",
    kept=("paths", "networks"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Left, against the radius of the ball: the share that folds of paths from images to adversarial "
    "twins, and to random points as far from them, a mean over seeds of all architectures with its interval; "
    "right, a network each: the share of twins that are classified rightly, against how far it folds between "
    "images",
)
