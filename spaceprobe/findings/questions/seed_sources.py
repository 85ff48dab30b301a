"""Where the spread of folding over seeds comes from: initial weights, order of the batches, or images."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float64
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.association import Association, associate, is_constant, is_perfect
from spaceprobe.analysis.comparisons import DIFFERS, comparison, with_holm
from spaceprobe.analysis.variance_components import MIN_LEVELS, RESIDUAL, variance_components
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import AGGREGATES
from spaceprobe.findings.wording import change_of, row_where
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED

PRIMARY = "chi_row_max_median"

SEEDS = {"seed": "initial weights", "order_seed": "order", "images_seed": "images"}
"""The column of each seed, and the source that it draws. The study gives the order and the images a seed of
their own, so that ``seed`` draws the initial weights alone."""

TRAINING = (SEEDS["seed"], SEEDS["order_seed"])
"""The interaction that has a share of its own: what a training makes of weights and order together."""

TOGETHER = " × ".join(TRAINING)

KEPT = ("architecture", "depth", *SEEDS, "state", PRIMARY)
"""The columns of aggregates.csv that are kept."""

R, ATANH_R = "r", "atanh_r"
"""Pearson's r of depth and row maxima over the architectures of the same three seeds, and atanh of it."""

ALL = "all"
"""In the column ``architecture``: of a correlation over all of them."""

COMPONENTS, SPREADS, CORRELATIONS = "components", "spreads", "correlations"

ABOUT = ("state", "response", "architecture")


def _keep(results: Results) -> Tables:
    """Return the row maxima of every network, before and after training, for each draw of the images."""
    table = results.frames[AGGREGATES]
    is_state = table["state"].isin([UNTRAINED, TRAINED])
    return {"networks": table.loc[is_state, [*KEPT]].reset_index(drop=True)}


def _derive(tables: Tables) -> Tables:
    networks = tables["networks"]
    correlations = _correlations(networks)
    values = {about: _crossed(rows, column) for about, rows, column in _responses(networks, correlations)}
    about = [dict(zip(ABOUT, key, strict=True)) for key in values]
    return {
        CORRELATIONS: correlations,
        SPREADS: pd.DataFrame([a | _spread(v) for a, v in zip(about, values.values(), strict=True)]),
        COMPONENTS: pd.DataFrame(
            [
                a | row
                for a, v in zip(about, values.values(), strict=True)
                for row in _components(v, a["state"])
            ]
        ),
        COMPARISONS: with_holm(
            [
                {**a, "first": SEEDS["images_seed"], "second": SEEDS["order_seed"]}
                | comparison(_by_weights(v))
                for a, v in zip(about, values.values(), strict=True)
                if a["state"] == TRAINED and a["response"] != R
            ]
        ),
    }


def _correlations(networks: pd.DataFrame) -> pd.DataFrame:
    """Return r of depth and row maxima for each combination of the seeds; NaN where there is none."""
    rows = []
    for key, group in networks.groupby(["state", *SEEDS], sort=False):
        known = group.dropna(subset=PRIMARY).sort_values("depth")  # equal numbers have an equal r
        found = associate(known["depth"].to_numpy(float), known[PRIMARY].to_numpy(float))
        r = found.pearson if isinstance(found, Association) else math.nan
        z = math.nan if math.isnan(r) or is_perfect(r) else math.atanh(r)
        rows.append({**dict(zip(("state", *SEEDS), key, strict=True)), R: r, ATANH_R: z})
    return pd.DataFrame(rows)


def _responses(
    networks: pd.DataFrame, correlations: pd.DataFrame
) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame, str]]:
    """Yield what is decomposed: state, response and architecture; the rows, and the column of the values."""
    for state in (UNTRAINED, TRAINED):
        for response in (R, ATANH_R):
            yield (state, response, ALL), correlations[correlations["state"] == state], response
        of_state = networks[networks["state"] == state]
        for architecture, rows in of_state.groupby("architecture", sort=False):
            yield (state, PRIMARY, str(architecture)), rows, PRIMARY


def _crossed(rows: pd.DataFrame, column: str) -> Float64[np.ndarray, "weights orders images"]:
    """Return the values of a column, a dimension for each seed; NaN where a combination has none."""
    axes = pd.MultiIndex.from_product([sorted(rows[name].unique()) for name in SEEDS])
    values = rows.set_index([*SEEDS])[column].reindex(axes).to_numpy(np.float64)
    return values.reshape(axes.levshape)


def _spread(values: Float64[np.ndarray, "weights orders images"]) -> dict[str, object]:
    """Return how far values lie apart, and how far those of the same weights and images in any two orders.

    The last is 0 where the order does nothing. NaN without any value.
    """
    known = values[np.isfinite(values)]
    across = values.max(1) - values.min(1)
    return {
        "mean": float(known.mean()) if len(known) else math.nan,
        "sd": float(known.std(ddof=1)) if len(known) > 1 else math.nan,
        "least": float(known.min()) if len(known) else math.nan,
        "largest": float(known.max()) if len(known) else math.nan,
        "between_orders": float(across.max()),
        **dict(zip(("num_weights", "num_orders", "num_images"), values.shape, strict=True)),
        "num_values": len(known),
    }


def _components(
    values: Float64[np.ndarray, "weights orders images"], state: str
) -> Iterator[dict[str, object]]:
    """Yield the variance that each source has, and its share; empty with a note where there is none.

    The order does not matter to an untrained network, and `_spread` shows that it did not: equal values do
    not repeat a measurement, so one of them is decomposed, and the order is left out.
    """
    sources, apart = [*SEEDS.values()], [TRAINING]
    if state == UNTRAINED:
        values, sources, apart = values[:, 0], [SEEDS["seed"], SEEDS["images_seed"]], []
    why = _why_none(values)
    if why:
        empty = dict.fromkeys(("variance", "share", "low", "high"), math.nan)
        names = (*sources, *(" × ".join(names) for names in apart), RESIDUAL)
        yield from ({"source": name, **empty, "note": why} for name in names)
        return
    for part in variance_components(values, sources, apart=apart):
        numbers = {"variance": part.variance, "share": part.share, "low": part.low, "high": part.high}
        yield {"source": part.source, **numbers, "note": ""}


def _why_none(values: np.ndarray) -> str:
    """Return why values cannot be decomposed; empty where they can."""
    if min(values.shape) < MIN_LEVELS:
        return f"fewer than {MIN_LEVELS} seeds of a source"
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {values.size} values are missing"
    return "all values are equal" if is_constant(values.ravel()) else ""


def _by_weights(values: Float64[np.ndarray, "weights orders images"]) -> list[float]:
    """Return for each initialisation how much more the values spread over orders than over images.

    That is the standard deviation over orders of the mean over images, minus that over images of the mean
    over orders; NaN where a value is missing, or there is but one order or draw of the images.
    """
    if min(values.shape[1:]) < 2:
        return [math.nan] * len(values)
    return [*(values.mean(2).std(1, ddof=1) - values.mean(1).std(1, ddof=1))]


def _says(numbers: Numbers) -> list[Markup]:
    def share(source: str, state: str, response: str = R) -> Markup:
        where = {"state": state, "response": response, "architecture": ALL, "source": source}
        row = row_where(numbers.frames[COMPONENTS], where)
        interval = numbers.interval(COMPONENTS, row, "low", "high", ".2f")
        shown = numbers.cell(COMPONENTS, row, "share", ".2f")
        return sentence("{} {}", shown, interval) if interval else shown

    def spread(column: str, state: str, spec: str = ".3f") -> Markup:
        where = {"state": state, "response": R, "architecture": ALL}
        return numbers.cell(SPREADS, row_where(numbers.frames[SPREADS], where), column, spec)

    def range_of(source: str) -> Markup:
        where = {"state": TRAINED, "response": PRIMARY, "source": source}
        ends = (numbers.statistic(end, COMPONENTS, "share", where, ".2f") for end in ("min", "max"))
        return sentence("{} to {}", *ends)

    weights, order, images = SEEDS.values()
    trained = sentence(
        "Over {} initialisations, {} orders of the batches and {} draws of the images, all with all, r of "
        "depth and the row maxima of χ in trained networks lies between {} and {}, with a standard deviation "
        "of {}: of its variance the initial weights have a share of {}, the order {}, what these two do only "
        "together {}, the images {}, and the rest {}.",
        *(spread(f"num_{name}", TRAINED, "d") for name in ("weights", "orders", "images")),
        *(spread(name, TRAINED) for name in ("least", "largest", "sd")),
        *(share(source, TRAINED) for source in (weights, order, TOGETHER, images, RESIDUAL)),
    )
    untrained = sentence(
        "In untrained networks r lies between {} and {}, with a standard deviation of {}; the order, which "
        "comes after them, changes it by {} at most, and of the variance the initial weights have {}, the "
        "images {}, and the rest {}.",
        *(spread(name, UNTRAINED) for name in ("least", "largest", "sd")),
        spread("between_orders", UNTRAINED, "g"),
        *(share(source, UNTRAINED) for source in (weights, images, RESIDUAL)),
    )
    about = {"state": TRAINED, "response": PRIMARY}
    single = sentence(
        "Of the variance of the row maxima of single trained architectures the initial weights have {}, the "
        "order {}, both only together {}, and the images {}; at the same initial weights the standard "
        "deviation of atanh(r) over orders minus that over images is {}, and that of row maxima differs in "
        "{} of {} architectures.",
        *(range_of(source) for source in (weights, order, TOGETHER, images)),
        change_of(numbers, {"state": TRAINED, "response": ATANH_R}),
        numbers.statistic("count", COMPARISONS, None, {**about, "verdict": DIFFERS}),
        numbers.statistic("count", COMPARISONS, None, about),
    )
    return [trained, untrained, single]


LOOKS = {
    "initial weights": Look("initial weights", BLUE, "none", "o", BLUE),
    "order": Look("order of the batches", ORANGE, "none", "s", ORANGE),
    TOGETHER: Look("both together only", ORANGE, "none", "v", PAPER),
    "images": Look("images", GRAY, "none", "^", GRAY),
    RESIDUAL: Look("rest", GRAY, "none", "D", PAPER),
}


def _draw(tables: Tables) -> Figure:
    components = tables[COMPONENTS]
    figure = grid_figure(2, 2, height=3.0)
    for axes, state in zip(figure.axes, (TRAINED, UNTRAINED), strict=True):
        rows = components[(components["state"] == state) & (components["response"] != ATANH_R)]
        _draw_shares(axes, rows)
        axes.set_title(state)
    figure.axes[0].set_ylabel("share of the variance")
    legend_above(figure, [*LOOKS.values()], has_markers=True)
    return figure


def _draw_shares(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the share of each source with its interval: of r, then of the row maxima of each architecture."""
    places = {architecture: place for place, architecture in enumerate(rows["architecture"].unique())}
    for number, (source, look) in enumerate(LOOKS.items()):
        of_source = rows[(rows["source"] == source) & rows["share"].notna()]
        if of_source.empty:
            continue
        xs = of_source["architecture"].map(places).to_numpy(float) + 0.16 * (number - 2)
        share = of_source["share"].to_numpy(float)
        ends = np.clip([share - of_source["low"], of_source["high"] - share], 0, None)
        axes.errorbar(
            xs, share, ends, color=look.color, linestyle="none", capsize=2, elinewidth=1, marker=look.marker,
            markersize=4, markerfacecolor=look.fill, clip_on=False,
        )  # fmt: skip
    names = ["r with\ndepth" if architecture == ALL else architecture for architecture in places]
    axes.set_xticks(range(len(places)), names, fontsize=7)
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.set_ylim(0, 1)


ENTRY = FindingEntry(
    title="Where the spread over seeds comes from",
    question="How much of the spread of folding comes from the initial weights, the order of the batches, "
    "and which images were drawn?",
    study="seed-sources",
    kept=("networks",),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Shares of the variance of r, and of the row maxima of χ of each architecture, estimated as "
    "random effects; their intervals are percentiles of a bootstrap that draws the seeds of every source "
    "anew",
)
