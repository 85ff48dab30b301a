"""How many random labels networks fit, which frequencies they meet on held-out points, and whether both go.

The first open question of arXiv 2309.05968; the words are defined in docs/definitions.md.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import DIFFERS, UNTESTED, comparison, with_holm
from spaceprobe.analysis.crossing import BETWEEN, crossing
from spaceprobe.findings.columns import draw_column
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of, row_where
from spaceprobe.report.drawing.marks import STATE_LOOKS, grid_figure, log_scale
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, PAPER
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED
from spaceprobe.tables.table import Bounds

DEGREES = {"relu": 1, "polynomial-2": 2, "polynomial-3": 3}
"""The degree of an activation: that of its pieces."""

CAPACITY, REACH, REGIONS, TRADE = "capacity", "reach", "region_density", "trade"
FITTED = 0.99
"""Chosen: the share of random labels from which on a number of points counts as fitted."""
MISSED = 0.5
"""Chosen: the error, over that of the mean, up to which a frequency counts as met."""

NETWORK = ["dataset", "degree", "architecture", "seed", "epoch"]
OF_SETTING = ["dataset", "degree", "architecture"]
ALL = "all"
POSITIVE, CORRELATION = Bounds(0, None), Bounds(-1, 1)


def _keep(results: Results) -> Tables:
    frames = results.frames
    runs = frames["runs"].assign(degree=frames["runs"]["activation"].map(DEGREES))
    about = runs[["run", "dataset", "degree", "architecture", "seed", "task"]]
    regions = about.merge(frames["complexity_regions"], on="run")
    epochs = sorted({*frames["complexity"]["epoch"]} - {0})
    training = frames["training"]
    training = training[training["epoch"].isin(epochs)]
    convergence = frames["lmd_convergence"]
    convergence = convergence[convergence["epoch"].isin(epochs)]
    at_rest = convergence.groupby(["run", "epoch"])["converged"].all().rename("converged").reset_index()
    settings = runs[["run", "points", "target_frequency"]].rename(columns={"points": "num_points"})
    curves = about.merge(settings, on="run").merge(training, on="run").merge(at_rest, on=["run", "epoch"])
    is_label = curves["task"] == "classification"
    fits = curves[is_label].rename(columns={"train_accuracy": "fitted"})
    errors = curves[~is_label].rename(columns={"test_loss": "error"})
    of_targets = regions[regions["task"] == "regression"]
    return {
        "fits": fits[[*NETWORK, "num_points", "fitted", "converged"]].reset_index(drop=True),
        "errors": errors[[*NETWORK, "target_frequency", "error", "converged"]].reset_index(drop=True),
        "regions": of_targets.groupby([*NETWORK], as_index=False, sort=False)[[REGIONS]].mean(),
    }


def _derive(tables: Tables) -> Tables:
    networks = networks_table(tables["fits"], tables["errors"])
    trades = trades_table(networks)
    by_degree = [means_by(networks, ["epoch", "degree"], name, POSITIVE) for name in (CAPACITY, REACH)]
    means = [means_by(networks, ["epoch", *OF_SETTING], name, POSITIVE) for name in (CAPACITY, REACH)]
    names = (CAPACITY, REACH)
    return {
        "networks": networks,
        "trades": trades,
        "means": pd.concat([rows.assign(measure=name) for name, rows in zip(names, means, strict=True)]
                           , ignore_index=True),
        "degrees": pd.concat([rows.assign(measure=name) for name, rows in zip(names, by_degree, strict=True)]
                             , ignore_index=True),
        "widths": means_by(tables["regions"], ["epoch", "architecture"], REGIONS, POSITIVE),
        "trade_means": means_by(trades, ["epoch", "dataset"], TRADE, CORRELATION),
        "best": best_table(networks),
        COMPARISONS: with_holm([*_comparisons(networks, trades, tables["regions"])]),
    }  # fmt: skip


def networks_table(fits: pd.DataFrame, errors: pd.DataFrame) -> pd.DataFrame:
    """Return the capacity and the reach of the networks of each setting, seed and epoch.

    Args:
        fits: `NETWORK`, ``num_points`` and ``fitted``, the share of their random labels.
        errors: `NETWORK`, ``target_frequency`` and ``error``, on held-out points.

    Returns:
        `NETWORK`, ``capacity`` and ``reach``, each with the bound that it is (``capacity_bound``, see
        `crossing`).
    """
    found = []
    for name, rows, place, value, threshold in (
        (CAPACITY, fits, "num_points", "fitted", FITTED),
        (REACH, errors, "target_frequency", "error", MISSED),
    ):
        measured = []
        for key, own in rows.groupby(NETWORK, sort=False):
            own = own.sort_values(place)
            where, bound = crossing([*own[place]], [*own[value]], threshold, falls=name == CAPACITY)
            measured.append({**dict(zip(NETWORK, key, strict=True)), name: where, f"{name}_bound": bound})
        found.append(pd.DataFrame(measured))
    return found[0].merge(found[1], on=NETWORK)


def trades_table(networks: pd.DataFrame) -> pd.DataFrame:
    """Return how capacity and reach go together where networks differ in degree alone.

    Returns:
        For each epoch, seed and ``dataset`` Kendall's τ_b of both over the degrees, a mean over the widths
        that have one: NaN where no width has, such as where all are bounds; and its mean over the surfaces,
        as that of ``all``.
    """
    rows = []
    for (epoch, seed), of_seed in networks.groupby(["epoch", "seed"], sort=False):
        found: dict[object, float] = {}
        for dataset, own in of_seed.groupby("dataset", sort=False):
            by_width = [_tau(rows[CAPACITY], rows[REACH]) for _, rows in own.groupby("architecture")]
            found[dataset] = float(pd.Series(by_width, dtype=float).mean())
        found[ALL] = float(pd.Series([*found.values()], dtype=float).mean())
        rows += [
            {"epoch": epoch, "seed": seed, "dataset": dataset, TRADE: tau} for dataset, tau in found.items()
        ]
    return pd.DataFrame(rows)


def _tau(first: "pd.Series[float]", second: "pd.Series[float]") -> float:
    """Return Kendall's τ_b; NaN where one is constant or a number is missing."""
    from scipy import stats  # here: it takes half a second, and few that import this module need it

    if first.nunique() < 2 or second.nunique() < 2 or first.isna().any() or second.isna().any():
        return math.nan
    return float(stats.kendalltau(first, second).statistic)


def best_table(networks: pd.DataFrame) -> pd.DataFrame:
    """Return, for each surface and epoch, the setting that keeps most of both at once.

    Of each setting the means over seeds are divided by the largest of the surface; that whose lesser share is
    the largest is the best of both.

    Returns:
        ``epoch``, ``dataset``, ``degree``, ``architecture``, the shares ``capacity`` and ``reach``, and
        ``is_as_last``, whether it is the setting of the last epoch. Nothing of surfaces without numbers.
    """
    rows = []
    for (epoch, dataset), own in networks.groupby(["epoch", "dataset"], sort=False):
        means = own.groupby(["degree", "architecture"], sort=False)[[CAPACITY, REACH]].mean().dropna()
        if means.empty:
            continue
        shares = means / means.max()
        chosen = int(shares.min(axis=1).to_numpy().argmax())
        degree, architecture = shares.index.to_list()[chosen]
        about = {"epoch": epoch, "dataset": dataset, "degree": degree, "architecture": architecture}
        rows.append(about | shares.iloc[chosen].to_dict())
    table = pd.DataFrame(rows, columns=["epoch", *OF_SETTING, CAPACITY, REACH])
    last = table[table["epoch"] == table["epoch"].max()].set_index("dataset")
    is_as_last = [
        bool((last.loc[row["dataset"], ["degree", "architecture"]] == row[["degree", "architecture"]]).all())
        for _, row in table.iterrows()
    ]
    return table.assign(is_as_last=is_as_last)


def _comparisons(
    networks: pd.DataFrame, trades: pd.DataFrame, regions: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """Yield what degree and width change, in doublings, and how capacity and reach go together."""
    narrow, wide = narrow_and_wide(networks)
    for epoch, own in networks.groupby("epoch"):
        for measure in (CAPACITY, REACH):
            doubled = own.assign(**{measure: np.log2(own[measure])})
            for degree in sorted({*own["degree"]} - {1}):
                yield {
                    "measure": measure, "of": f"degree {degree}", "against": "degree 1", "epoch": epoch,
                    **_change(doubled, "degree", 1, degree, measure),
                }  # fmt: skip
            yield {
                "measure": measure, "of": wide, "against": narrow, "epoch": epoch,
                **_change(doubled, "architecture", narrow, wide, measure),
            }  # fmt: skip
        crossed = regions[regions["epoch"] == epoch]
        doubled = crossed.assign(**{REGIONS: np.log2(crossed[REGIONS])})
        yield {
            "measure": REGIONS, "of": wide, "against": narrow, "epoch": epoch,
            **_change(doubled, "architecture", narrow, wide, REGIONS),
        }  # fmt: skip
        together = trades[trades["epoch"] == epoch]
        for dataset, rows in together.groupby("dataset", sort=False):
            yield {
                "measure": TRADE, "of": dataset, "against": "zero", "epoch": epoch,
                **comparison([*rows[TRADE]]),
            }  # fmt: skip


def _change(
    rows: pd.DataFrame, axis: str, first: object, second: object, measure: str
) -> Mapping[str, object]:
    """Return the comparison of two values of an axis: means over all else, seed by seed."""
    before, after = (
        rows[rows[axis] == value].groupby("seed")[[measure]].mean().reset_index() for value in (first, second)
    )
    return comparison(seed_differences(before, after, measure))


def narrow_and_wide(rows: pd.DataFrame) -> tuple[str, str]:
    """Return the architectures of the fewest and of the most units, such as ``2x8`` and ``2x32``."""
    ordered = sorted({*rows["architecture"]}, key=lambda name: [int(part) for part in name.split("x")][::-1])
    return ordered[0], ordered[-1]


def _says(numbers: Numbers) -> list[Markup]:
    frames = numbers.frames
    compared = frames[COMPARISONS]
    narrow, wide = narrow_and_wide(frames["networks"])
    epochs = sorted({*frames["networks"]["epoch"]})
    last, earlier = epochs[-1], epochs[-2::-1]
    higher = [f"degree {degree}" for degree in sorted({*frames["networks"]["degree"]} - {1})]

    def changes(measure: str, epoch: int, of: list[str]) -> Markup:
        found = [change_of(numbers, {"measure": measure, "of": name, "epoch": epoch}) for name in of]
        return joined(found, " and ")

    def number_of_epoch(epoch: int) -> Markup:
        row = int(compared.index[compared["epoch"] == epoch][0])
        return numbers.cell(COMPARISONS, row, "epoch", "d")

    def before(measure: str) -> Markup:
        every = [
            sentence(
                "; after {} epochs these were {}, and {}",
                number_of_epoch(epoch),
                changes(measure, epoch, higher),
                changes(measure, epoch, [wide]),
            )
            for epoch in earlier
        ]
        return joined(every, "")

    def degrees() -> Markup:
        table = frames["degrees"]
        rows = table.index[(table["measure"] == CAPACITY) & (table["epoch"] == last) & (table["degree"] > 1)]
        return joined([numbers.cell("degrees", int(row), "degree", "d") for row in rows], " and ")

    def of_first(measure: str) -> Markup:
        return mean_of(numbers, "degrees", {"measure": measure, "epoch": last, "degree": 1}, ".3g")

    def counts(table: str, **where: object) -> Markup:
        return numbers.statistic("count", table, None, {"epoch": last, **where})

    capacity = sentence(
        "After {} epochs a ReLU network fits the random labels of {} points but for one in a hundred, its "
        "capacity, on average over surfaces, widths and {} seeds; polynomials of degree {} change that by "
        "{} doublings and the width from `{}` to `{}` by {}{}; {} of {} networks of random labels had stably "
        "converged, and {} of {} capacities were interpolated, the others being bounds.",
        number_of_epoch(last),
        of_first(CAPACITY),
        numbers.statistic("distinct", "fits", "seed"),
        degrees(),
        changes(CAPACITY, last, higher),
        *(narrow, wide),
        changes(CAPACITY, last, [wide]),
        before(CAPACITY),
        counts("fits", converged=True),
        counts("fits"),
        _interpolated(numbers, CAPACITY, last),
        counts("networks"),
    )
    reach = sentence(
        "ReLU networks meet targets on held-out points up to a frequency of {}, their reach, beyond which "
        "more than half of the variance is missed; polynomials change that by {} doublings and width by "
        "{}{}; {} of {} reaches of all networks were interpolated, and the ReLU networks of `{}` cross {} "
        "linear regions per unit of length, which width changes by {} doublings.",
        of_first(REACH),
        changes(REACH, last, higher),
        changes(REACH, last, [wide]),
        before(REACH),
        _interpolated(numbers, REACH, last),
        counts("networks"),
        narrow,
        mean_of(numbers, "widths", {"epoch": last, "architecture": narrow}, ".3g"),
        changes(REGIONS, last, [wide]),
    )
    return [capacity, reach, _best(numbers, last, earlier)]


def _interpolated(numbers: Numbers, measure: str, epoch: int) -> Markup:
    """Return how many capacities or reaches are numbers between two that were measured."""
    return numbers.statistic("count", "networks", None, {"epoch": epoch, f"{measure}_bound": BETWEEN})


def _best(numbers: Numbers, last: int, earlier: list[int]) -> Markup:
    """Return whether capacity and reach go together, and which network keeps most of both."""
    compared, best = numbers.frames[COMPARISONS], numbers.frames["best"]
    where = {"measure": TRADE, "of": ALL, "epoch": last}
    row = row_where(compared, where)
    verdict, together = compared.at[row, "verdict"], float(str(compared.at[row, "difference"]))
    words = "so whether there is a trade is open"
    if verdict == DIFFERS:
        words = "so they rise together" if together > 0 else "so there is a trade"
    elif verdict == UNTESTED:
        words = "which says nothing of a trade"
    own = best[best["epoch"] == last]
    named = [
        sentence(
            "on {} `{}` of degree {} with {} and {}",
            numbers.text("best", int(row), "dataset"),
            str(best.at[row, "architecture"]),
            numbers.cell("best", int(row), "degree", "d"),
            numbers.cell("best", int(row), CAPACITY, ".2f"),
            numbers.cell("best", int(row), REACH, ".2f"),
        )
        for row in own.index
    ]
    same = [
        sentence(
            "; after {} epochs it was the same on {} of {}",
            numbers.cell("best", int(best.index[best["epoch"] == epoch][0]), "epoch", "d"),
            numbers.statistic("count", "best", None, {"epoch": epoch, "is_as_last": True}),
            numbers.statistic("count", "best", None, {"epoch": epoch}),
        )
        for epoch in earlier
        if (best["epoch"] == epoch).any()
    ]
    return sentence(
        "Where networks differ in degree alone, Kendall's τ of capacity and reach is {} on average over "
        "widths and surfaces, {}; most of both at once, as shares of the largest capacity and of the largest "
        "reach, is kept {}{}.",
        change_of(numbers, where),
        words,
        joined(named) if named else "by none",
        joined(same, ""),
    )


DEGREE_COLORS = {1: BLUE, 2: ORANGE, 3: GRAY}


def _draw(tables: Tables) -> Figure:
    networks, regions = tables["networks"], tables["regions"]
    datasets = [*dict.fromkeys(networks["dataset"])]
    figure = grid_figure(len(datasets) + 1, 2, height=2.7)
    last = networks["epoch"].max()
    architectures = sorted({*networks["architecture"]}, key=lambda name: int(name.split("x")[1]))
    for axes, dataset in zip(figure.axes, datasets, strict=False):
        own = networks[(networks["dataset"] == dataset) & (networks["epoch"] == last)]
        _draw_manifold(axes, own, architectures)
        axes.set_title(dataset)
    for axes in figure.axes[: len(datasets)]:
        axes.set_xlim(*_room(networks.loc[networks["epoch"] == last, CAPACITY]))
        axes.set_ylim(*_room(networks.loc[networks["epoch"] == last, REACH]))
    _draw_regions(figure.axes[-1], regions, datasets, architectures)
    handles = [
        figure.axes[0].plot(
            [], [], color=color, linestyle="none", marker=_marker(n), markerfacecolor=_fill(color, n),
            label=f"degree {degree}, {architecture}",
        )[0]
        for degree, color in DEGREE_COLORS.items()
        for n, architecture in enumerate(architectures)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(DEGREE_COLORS), fontsize=7.5)
    return figure


def _marker(place: int) -> str:
    return "os^D"[place % 4]


def _fill(color: str, place: int) -> str:
    return color if place % 2 else PAPER


def _room(values: "pd.Series[float]") -> tuple[float, float]:
    """Return the ends of a log axis: a quarter of the span, at least a third of a doubling, beside values."""
    low, high = float(values.min()), float(values.max())
    if not low > 0:
        return 0.5, 2.0
    factor = max((high / low) ** 0.12, 2 ** (1 / 3))
    return low / factor, high * factor


def _draw_manifold(axes: Axes, networks: pd.DataFrame, architectures: list[str]) -> None:
    """Draw reach against capacity: a dot for a seed, a marker for the means over seeds, with intervals."""
    log_scale(axes, "x", "y")
    for degree, color in DEGREE_COLORS.items():
        for n, architecture in enumerate(architectures):
            is_own = (networks["degree"] == degree) & (networks["architecture"] == architecture)
            rows = networks[is_own].assign(column=0)
            axes.plot(rows[CAPACITY], rows[REACH], ".", markersize=3, color=color, alpha=0.5)
            ends = [means_by(rows, ["column"], name, POSITIVE) for name in (CAPACITY, REACH)]
            if any(means.empty for means in ends):
                continue
            x, y = (means.iloc[0] for means in ends)
            axes.errorbar(
                [x["mean"]], [y["mean"]], color=color, linestyle="none", elinewidth=0.8, marker=_marker(n),
                markersize=5, markerfacecolor=_fill(color, n),
                xerr=_ends(x), yerr=_ends(y),
            )  # fmt: skip
    axes.set_xlabel("capacity, points")
    axes.set_ylabel("reach, frequency")


def _ends(mean: "pd.Series[float]") -> list[list[float]]:
    """Return how far an interval reaches to both sides, on a log scale no further than a twentieth."""
    low = max(mean["low"], mean["mean"] / 20) if mean["low"] == mean["low"] else mean["mean"]
    high = mean["high"] if mean["high"] == mean["high"] else mean["mean"]
    return [[mean["mean"] - low], [high - mean["mean"]]]


def _draw_regions(axes: Axes, regions: pd.DataFrame, datasets: list[str], architectures: list[str]) -> None:
    """Draw regions per unit of length: a column for each surface and width, untrained and trained."""
    epochs = {UNTRAINED: regions["epoch"].min(), TRAINED: regions["epoch"].max()}
    labels = []
    for place, (dataset, architecture) in enumerate((d, a) for d in datasets for a in architectures):
        own = regions[(regions["dataset"] == dataset) & (regions["architecture"] == architecture)]
        for shift, (state, epoch) in zip((-0.15, 0.15), epochs.items(), strict=True):
            rows = own[own["epoch"] == epoch]
            draw_column(axes, place + shift, rows, REGIONS, STATE_LOOKS[state], POSITIVE)
        labels.append(f"{dataset}, {architecture}")
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", fontsize=6.5)
    axes.set_ylabel("regions per unit of length")
    axes.set_ylim(bottom=0)


ENTRY = FindingEntry(
    title="Capacity against expressivity",
    question="Do networks that fit more random labels meet higher frequencies on held-out points, or is "
    "there a trade, and which degree and width keep most of both?",
    study="lmd-expressivity",
    kept=("fits", "errors", "regions"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="The highest frequency that is met on held-out points against the number of points whose random "
    "labels are fitted, after the last epoch: a dot is a seed, a marker the mean over seeds with its "
    "intervals; at the end the linear regions per unit of length of ReLU networks, untrained (open) and "
    "trained (filled)",
)
