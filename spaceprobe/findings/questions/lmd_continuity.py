"""How closely networks encode their data, and whether what they encode is continuous."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import MEAN_COLUMNS, means_by
from spaceprobe.analysis.comparisons import DIFFERS, comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of, row_where
from spaceprobe.report.drawing.marks import Look, epoch_axis, grid_figure
from spaceprobe.report.drawing.style import BLUE, GRAY, INK, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

RELU, SIGN = "ReLU", "sign"
NETWORKS = {"mlp": RELU, "binary-mlp": SIGN}
"""What the kinds of networks are called, by the setting network.model."""

STOPPED = 30
"""The epoch whose networks are held against those of the last one: most points are fitted, and nothing rests
yet."""

HIDDEN = 1
"""The number of the weight matrix between the hidden layers, whose rank and dimension are spoken of."""

MARGIN, SLOPE, BOUND, DELTA, JUMP = "margin_max", "largest_slope", "slope_bound", "delta", "largest_jump"

IN_DECADES = (BOUND, SLOPE, "largest_path_slope", "delta_bound", DELTA)
"""Measures that change by orders of magnitude: their means over seeds are geometric ones."""

CONTINUITY = (MARGIN, *IN_DECADES, "margin_q50", "looseness", JUMP, "excess", "nearest_other")
"""Measures of a network: columns of lmd_continuity.csv, and two that follow from them."""

LAYER = ("rank", "dimension", "separation")
"""Measures of a weight matrix."""

LAYER_NAMES = {"rank": "rank", "dimension": "dimension", "separation": "participation ratio of S′"}

OF_NETWORK = ("seed", "network", "epoch", "is_last", "converged", "has_converged")
"""What tells rows apart, and whether the network is stably converged at the epoch, or was at one by then."""

BOUNDS = {MARGIN: Bounds(0, 1), "margin_q50": Bounds(0, 1), "excess": Bounds()}
"""Of measures, where they are not only at least 0."""


def _keep(results: Results) -> Tables:
    frames, runs = results.frames, results.runs
    networks = runs[["run", "seed"]].assign(network=results.runs["model"].map(NETWORKS))
    rests = frames["lmd_convergence"].groupby(["run", "epoch"])["converged"].all().reset_index()
    rests["has_converged"] = rests.groupby("run")["converged"].cummax()
    rows = frames["lmd_continuity"].merge(networks, on="run").merge(rests, on=["run", "epoch"])
    rows["is_last"] = rows["epoch"] == rows["epoch"].max()
    rows["looseness"] = rows[BOUND] / rows[SLOPE]
    rows["excess"] = rows[JUMP] - rows[MARGIN]
    layers = _layers(results).merge(rows[["run", *OF_NETWORK]], on=["run", "epoch"])
    return {
        "networks": rows[[*OF_NETWORK, *CONTINUITY]].reset_index(drop=True),
        "layers": layers[[*OF_NETWORK, "layer", *LAYER]].reset_index(drop=True),
    }


def _layers(results: Results) -> pd.DataFrame:
    """Return by layer the default rank, the dimension of outputs, and the participation ratio of S'."""
    frames, where = results.frames, ["run", "epoch", "layer"]
    layers = frames["lmd_layers"]
    ranks = layers[layers["metric"] == "data"][[*where, "rank"]].astype({"rank": float})
    dimension = frames["lmd_dimension"]
    is_of = (dimension["space"] == "output") & (dimension["estimator"] == "mle")
    spectrum = frames["lmd_spectrum"]
    separation = spectrum[spectrum["basis"] == "data"]
    ratio = 1 / separation.assign(square=separation["energy"] ** 2).groupby(where)["square"].sum()
    return ranks.merge(dimension[is_of][[*where, "dimension"]], how="left").merge(
        ratio.rename("separation").reset_index(), how="left"
    )


def _derive(tables: Tables) -> Tables:
    networks, layers = tables["networks"], tables["layers"]
    return {
        "means": _means(networks, ["network", "epoch", "is_last"], CONTINUITY),
        "layer_means": _means(layers, ["network", "epoch", "is_last", "layer"], LAYER),
        COMPARISONS: with_holm([*_comparisons(networks, layers)]),
    }


def _means(table: pd.DataFrame, by: list[str], measures: Sequence[str]) -> pd.DataFrame:
    """Return means over seeds; of `IN_DECADES` geometric ones, whose intervals are of the logarithms."""
    means = []
    for measure in measures:
        if measure in IN_DECADES:
            of_measure = means_by(_with_decades(table, measure), by, measure)
            ends = [name for name in MEAN_COLUMNS if not name.startswith("num_")]
            of_measure[ends] = 10.0 ** of_measure[ends]
        else:
            of_measure = means_by(table, by, measure, BOUNDS.get(measure, Bounds(0)))
        of_measure.insert(0, "measure", measure)
        means.append(of_measure)
    return pd.concat(means, ignore_index=True)


def _with_decades(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the table with decimal logarithms of a measure; NaN of what is not above 0."""
    values = table[measure].astype(float)
    return table.assign(**{measure: np.log10(values.where(values > 0))})


def _comparisons(networks: pd.DataFrame, layers: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield what changes in ReLU networks from the epoch `STOPPED` to the last, and how far jumps exceed ε.

    ε, slopes and δ are compared by their decimal logarithms: the change is in orders of magnitude.
    """
    own = networks[networks["network"] == RELU]
    for measure in (MARGIN, SLOPE, DELTA):
        yield _about(RELU, measure, _change(_with_decades(own, measure), measure))
    between = layers[(layers["layer"] == HIDDEN) & (layers["network"] == RELU)]
    for measure in LAYER:
        yield _about(RELU, measure, _change(between, measure))
    signs = networks[networks["network"] == SIGN]
    for at, is_then in {"last": signs["is_last"], "stopped": signs["epoch"] == STOPPED}.items():
        yield _about(SIGN, "excess", [*signs.loc[is_then, "excess"].astype(float)], at)


def _about(network: str, measure: str, differences: Sequence[float], at: str = "change") -> dict[str, object]:
    return {"network": network, "measure": measure, "at": at, "since": STOPPED} | comparison(differences)


def _change(rows: pd.DataFrame, measure: str) -> list[float]:
    """Return the last epoch minus the earlier one, a seed each."""
    return seed_differences(rows[rows["epoch"] == STOPPED], rows[rows["is_last"]], measure)


def _says(numbers: Numbers) -> list[Markup]:
    return [_margins(numbers), _slopes(numbers), _controls(numbers)]


def _mean(numbers: Numbers, measure: str, network: str = RELU, spec: str = ".3g", **where: object) -> Markup:
    """Return a mean over seeds, after the last epoch unless it says otherwise."""
    about = {"measure": measure, "network": network, **(where or {"is_last": True})}
    return mean_of(numbers, "means", about, spec)


def _changed(numbers: Numbers, measure: str, network: str = RELU, at: str = "change") -> Markup:
    return change_of(numbers, {"network": network, "measure": measure, "at": at})


def _epoch(numbers: Numbers, epoch: int | None = None) -> Markup:
    """Return a number of epochs; by default that of the last one."""
    frame = numbers.frames["networks"]
    chosen = frame["is_last"] if epoch is None else frame["epoch"] == epoch
    return numbers.cell("networks", int(frame.index[chosen][0]), "epoch", "d")


def _rest(numbers: Numbers, network: str, **where: object) -> Markup:
    """Return how many networks of how many are stably converged, and how many were at some epoch by then."""
    about = {"network": network, **(where or {"is_last": True})}

    def count(**more: object) -> Markup:
        return numbers.statistic("count", "networks", None, {**about, **more})

    return sentence(
        "{} of {} are stably converged ({} were at some epoch by then)",
        count(converged=True),
        count(),
        count(has_converged=True),
    )


def _margins(numbers: Numbers) -> Markup:
    epochs = sorted(numbers.frames["networks"]["epoch"].unique())
    others = [int(epoch) for epoch in epochs if epoch not in (0, STOPPED, epochs[-1])]
    return sentence(
        "Of the ReLU networks {} after {} epochs, and their encoding margin ε, the largest error of a "
        "training point, is {}; after {} epochs {}, ε is {}, and it changes from there to the end by {} "
        "orders of magnitude ({}).",
        _rest(numbers, RELU),
        _epoch(numbers),
        _mean(numbers, MARGIN),
        _epoch(numbers, STOPPED),
        _rest(numbers, RELU, epoch=STOPPED),
        _mean(numbers, MARGIN, epoch=STOPPED),
        _changed(numbers, MARGIN),
        Markup("; ").join(
            sentence("{} at epoch {}", _mean(numbers, MARGIN, epoch=epoch), _epoch(numbers, epoch))
            for epoch in others
        ),
    )


def _slopes(numbers: Numbers) -> Markup:
    return sentence(
        "At the end norms bound the slope of their outputs by {}, {} times the largest slope over the linear "
        "regions of paths between training points, {}, so that δ(ε) is {} by the bound and {} by the "
        "regions, while training points of different classes are {} apart or more; from epoch {} to the end "
        "that slope changes by {} orders of magnitude and this δ(ε) by {}, and untrained networks, which "
        "are continuous as well, have one of {}.",
        _mean(numbers, BOUND),
        _mean(numbers, "looseness"),
        _mean(numbers, SLOPE),
        _mean(numbers, "delta_bound"),
        _mean(numbers, DELTA),
        _mean(numbers, "nearest_other"),
        _epoch(numbers, STOPPED),
        _changed(numbers, SLOPE),
        _changed(numbers, DELTA),
        _mean(numbers, DELTA, epoch=0),
    )


def _controls(numbers: Numbers) -> Markup:
    layers = Markup(", ").join(
        sentence("its {} by {}", name, _changed(numbers, measure)) for measure, name in LAYER_NAMES.items()
    )
    signs = {"network": SIGN, "is_last": True}
    return sentence(
        "From epoch {} to the end the matrix between the hidden layers of ReLU networks changes {}; of the "
        "sign networks {} at the end, and the largest jump of their probabilities, {}, is {} (the "
        "difference is {}; at epoch {} it was {}): {} of {} jump by more than ε at the end, and so have no "
        "δ(ε).",
        _epoch(numbers, STOPPED),
        layers,
        _rest(numbers, SIGN),
        _mean(numbers, JUMP, SIGN),
        _reading(numbers),
        _changed(numbers, "excess", SIGN, "last"),
        _epoch(numbers, STOPPED),
        _changed(numbers, "excess", SIGN, "stopped"),
        numbers.statistic("count", "networks", None, {**signs, DELTA: 0.0}),
        numbers.statistic("count", "networks", None, signs),
    )


def _reading(numbers: Numbers) -> str:
    """Return how the largest jump stands to ε at the end."""
    compared = numbers.frames[COMPARISONS]
    row = row_where(compared, {"network": SIGN, "measure": "excess", "at": "last"})
    if compared.at[row, "verdict"] != DIFFERS:
        return "not told apart from their ε"
    is_larger = float(numbers.value_at(COMPARISONS, row, "difference")) > 0
    return "larger than their ε" if is_larger else "smaller than their ε"


LOOKS = {
    RELU: Look("ReLU", BLUE, "-", "o", BLUE),
    SIGN: Look("sign", ORANGE, "--", "s", PAPER),
    BOUND: Look("by norms", GRAY, "--", "^", PAPER),
    SLOPE: Look("over regions", BLUE, "-", "o", BLUE),
    "largest_path_slope": Look("along paths", BLUE, ":", "v", PAPER),
    JUMP: Look("largest jump, sign", ORANGE, ":", "v", PAPER),
    "nearest_other": Look("nearest other class", INK, "-."),
}


def _draw(tables: Tables) -> Figure:
    figure = grid_figure(4, 2, height=2.6)
    means, layers = tables["means"], tables["layer_means"]
    margin, slope, delta, layer = figure.axes
    for network in (RELU, SIGN):
        _line(margin, _rows(means, MARGIN, network), LOOKS[network], f"ε, {network}")
    _line(margin, _rows(means, JUMP, SIGN), LOOKS[JUMP])
    for measure in (BOUND, SLOPE, "largest_path_slope"):
        _line(slope, _rows(means, measure, RELU), LOOKS[measure])
    for measure, look in (("delta_bound", BOUND), (DELTA, SLOPE), ("nearest_other", "nearest_other")):
        _line(delta, _rows(means, measure, RELU), LOOKS[look])
    looks = {"rank": ("-", "o"), "dimension": ("--", "s"), "separation": (":", "^")}
    for network, color in ((RELU, BLUE), (SIGN, ORANGE)):
        for measure, (line, marker) in looks.items():
            rows = _rows(layers[layers["layer"] == HIDDEN], measure, network)
            fill = color if network == RELU else PAPER
            name = f"{SHORT[measure]}, {network}"
            _line(layer, rows, Look(name, color, line, marker, fill))
    for axes, name in (
        (margin, "ε and jumps of probabilities"),
        (slope, "slope of outputs, ReLU"),
        (delta, "δ(ε) and distance, ReLU"),
    ):
        axes.set_yscale("log")
        axes.set_ylabel(name)
    layer.set_ylabel("matrix between hidden layers")
    layer.set_ylim(bottom=0)
    last = float(means["epoch"].max())
    for axes in figure.axes:
        axes.set_xlabel("epoch")
        epoch_axis(axes, last)
        columns = 2 if axes is layer else 1
        axes.legend(fontsize=6, ncols=columns, loc="best")
    return figure


SHORT = {"rank": "rank", "dimension": "dimension", "separation": "S′"}


def _rows(means: pd.DataFrame, measure: str, network: str) -> pd.DataFrame:
    is_of = (means["measure"] == measure) & (means["network"] == network)
    return means[is_of].sort_values("epoch")


def _line(axes: Axes, rows: pd.DataFrame, look: Look, name: str = "") -> None:
    """Draw means over seeds by epoch, with their intervals."""
    ends = np.nan_to_num(np.abs([rows["low"] - rows["mean"], rows["high"] - rows["mean"]]))
    axes.errorbar(
        rows["epoch"], rows["mean"], yerr=ends, color=look.color, linestyle=look.line, marker=look.marker,
        markersize=3, markerfacecolor=look.fill, capsize=1.5, elinewidth=0.7, linewidth=1.1,
        label=name or look.name,
    )  # fmt: skip


ENTRY = FindingEntry(
    title="Encoding margin and continuity",
    question="How closely do networks encode their data, how close do inputs have to be for their outputs to "
    "stay as close, and does either need stable convergence or an activation that is continuous?",
    study="lmd-continuity",
    kept=("networks", "layers"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="Means over seeds with their intervals (geometric ones of slopes and δ), by epoch: the encoding "
    "margin ε and the largest jump of the probabilities of sign networks; the slope of the outputs of ReLU "
    "networks by the product of norms, over the linear regions of paths, and along these paths; δ(ε) by the "
    "first two, beside the distance of the nearest training points of different classes; and of the matrix "
    "between the hidden layers the rank by its default rule, the dimension of what leaves it and the "
    "participation ratio of S′",
)
