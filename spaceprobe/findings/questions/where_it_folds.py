"""In which layers and where on a path networks fold, and whether patterns settle before weights."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import rank_correlation
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, grid_figure, legend_above, sequence_looks
from spaceprobe.report.drawing.style import GRAY, INK, MUTED, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED, by_state
from spaceprobe.tables.table import Bounds

PATH = ("run", "epoch", "source_class", "target_class", "source", "target")
"""What tells paths apart in both tables."""

FIRST_FOLDING = 2
"""The first layer whose bits can fold (Lemma 1 of the folding paper)."""

OF_LAYER = ("flips_per_bit", "reach_per_bit", "chi", "density_near", "density_middle", "first_boundary")
"""Means over paths of a layer of a network; the first two are shares of its bits."""

OF_DISTANCE = ("length", "reach", "chi")
"""What is correlated with the distance of the ends, path by path."""

ALL_LAYERS = 0
WITHIN, BETWEEN = "within a class", "between classes"
SETTLED = "log_share"
"""Of the first epoch's change, how much is left in a later one; its logarithm."""

SHARE, CHI = Bounds(0, None), Bounds(0, 1)


def _keep(results: Results) -> Tables:
    frames = results.frames
    runs = frames["runs"][["run", "architecture", "depth", "seed"]]
    joined = frames["path_layers"].merge(frames["paths"][[*PATH, "distance"]], on=[*PATH])
    joined = joined.assign(
        flips_per_bit=joined["length"] / joined["num_bits"],
        reach_per_bit=joined["reach"] / joined["num_bits"],
        density_near=(joined["density_source"] + joined["density_target"]) / 2,
    )
    layers, pairs = [], []
    for state, rows in by_state(joined).items():
        groups = rows.groupby(["run", "layer"], sort=False)
        by_distance = pd.DataFrame(
            [{"run": run, "layer": layer, **_with_distance(paths)} for (run, layer), paths in groups]
        )
        means = groups[[*OF_LAYER]].mean().reset_index()
        layers.append(means.merge(by_distance).assign(state=state))
        pairs.append(by_class_pair(rows[rows["layer"] == ALL_LAYERS].merge(runs)).assign(state=state))
    return {
        "layers": runs.merge(pd.concat(layers), on="run")[_columns_of_layers()],
        "pairs": pd.concat(pairs, ignore_index=True),
        "changes": runs.merge(
            changes_of_epochs(frames["pattern_changes"], frames["lmd_convergence"]), on="run"
        ),
    }


def _columns_of_layers() -> list[str]:
    correlations = [f"{name}_with_distance" for name in OF_DISTANCE]
    return ["run", "architecture", "depth", "seed", "state", "layer", *OF_LAYER, *correlations]


def _with_distance(paths: pd.DataFrame) -> dict[str, float]:
    """Return Spearman's correlation over paths with the distance of their ends; NaN where there is none."""
    return {f"{name}_with_distance": rank_correlation(paths["distance"], paths[name]) for name in OF_DISTANCE}


def by_class_pair(paths: pd.DataFrame) -> pd.DataFrame:
    """Return means over the paths of an unordered pair of classes, and over the networks of a seed."""
    ends = paths[["source_class", "target_class"]].to_numpy()
    paths = paths.assign(first_class=ends.min(1), second_class=ends.max(1))
    by = ["seed", "first_class", "second_class"]
    of_network = paths.groupby(["run", *by], sort=True)[
        ["distance", "length", "reach", "chi", "density"]
    ].mean()
    return of_network.groupby(by, sort=True).mean().reset_index()


def changes_of_epochs(patterns: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """Return what changed in single epochs: the share of bits, and of weights the mean over matrices.

    Comparisons of epochs that lie farther apart have no equal in the change of the weights.
    """
    is_one = (patterns["epoch"] == patterns["epoch_before"] + 1) & (patterns["layer"] == ALL_LAYERS)
    bits = patterns.loc[is_one, ["run", "epoch", "changed_bits"]]
    drift = weights.groupby(["run", "epoch"], sort=False)["raw_drift"].mean().rename("changed_weights")
    return bits.merge(drift.reset_index(), on=["run", "epoch"])


def _derive(tables: Tables) -> Tables:
    layers, changes = tables["layers"], with_shares(tables["changes"])
    measures = [name for name in _columns_of_layers() if name in OF_LAYER or name.endswith("_with_distance")]
    means = []
    for measure in measures:
        bounds = CHI if measure == "chi" else Bounds(-1, 1) if measure.endswith("_with_distance") else SHARE
        of_measure = means_by(layers, ["state", "architecture", "layer"], measure, bounds)
        means.append(of_measure.assign(measure=measure))
    return {
        "means": pd.concat(means, ignore_index=True),
        "pair_means": _pair_means(tables["pairs"]),
        "share_means": pd.concat(
            [
                means_by(changes, ["epoch"], f"share_of_{of}", SHARE).assign(of=of)
                for of in ("bits", "weights")
            ],
            ignore_index=True,
        ),
        COMPARISONS: with_holm([*_comparisons(layers, tables["pairs"], changes)]),
    }


def _pair_means(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each pair of classes over seeds, and of pairs within a class and between classes."""
    is_within = pairs["first_class"] == pairs["second_class"]
    pairs = pairs.assign(kind=np.where(is_within, WITHIN, BETWEEN))
    return pd.concat(
        [
            means_by(pairs, ["state", "kind", *classes], measure, CHI if measure == "chi" else SHARE).assign(
                measure=measure
            )
            for classes in ([], ["first_class", "second_class"])
            for measure in ("chi", "density", "length", "reach")
        ],
        ignore_index=True,
    )


def with_shares(changes: pd.DataFrame) -> pd.DataFrame:
    """Return the changes of later epochs as shares of those of the first one, and `SETTLED`.

    `SETTLED` is the logarithm of the share of bits divided by that of weights: below 0 where patterns have
    settled further than weights. Where no bit changed any more it is NaN, as is its share of nothing.

    Args:
        changes: rows with ``run``, ``epoch``, ``changed_bits`` and ``changed_weights``.
    """
    first = changes[changes["epoch"] == 1].set_index("run")
    later = changes[changes["epoch"] > 1].copy()
    for of in ("bits", "weights"):
        start = later["run"].map(first[f"changed_{of}"])
        later[f"share_of_{of}"] = later[f"changed_{of}"] / start.where(start > 0)
    both = later["share_of_bits"] / later["share_of_weights"].where(later["share_of_weights"] > 0)
    later[SETTLED] = np.log(both.where(both > 0))
    return later


def _comparisons(
    layers: pd.DataFrame, pairs: pd.DataFrame, changes: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """Yield differences of layers, of places on a path and of class pairs, and what goes with distance."""
    for state in (TRAINED, UNTRAINED):
        own = layers[layers["state"] == state]
        every, single = own[own["layer"] == ALL_LAYERS], own[own["layer"] != ALL_LAYERS]
        last, deep = single[single["layer"] == single["depth"]], single[single["depth"] > FIRST_FOLDING]
        yield {"of": "last layer minus first", "measure": "flips_per_bit", "state": state} | comparison(
            _differences(single[single["layer"] == 1], last, "flips_per_bit")
        )
        sides = (deep[deep["layer"] == FIRST_FOLDING], deep[deep["layer"] == deep["depth"]])
        yield {"of": "last layer minus second", "measure": "chi", "state": state} | comparison(
            _differences(*sides, "chi")
        )
        near = every.assign(difference=every["density_near"] - every["density_middle"])
        yield {"of": "near data minus far", "measure": "density", "state": state} | comparison(
            _of_seeds(near, "difference")
        )
        for measure in ("density", "chi"):
            yield {"of": f"{BETWEEN} minus {WITHIN}", "measure": measure, "state": state} | comparison(
                _of_kinds(pairs[pairs["state"] == state], measure)
            )
        for measure in ("length", "chi"):
            name = f"{measure}_with_distance"
            about = {"of": "correlation with distance", "measure": measure, "state": state}
            yield about | comparison(_of_seeds(every, name))
    whole = layers[layers["layer"] == ALL_LAYERS]
    before, after = (whole[whole["state"] == state] for state in (UNTRAINED, TRAINED))
    yield {"of": "trained minus untrained", "measure": "first_boundary", "state": TRAINED} | comparison(
        _differences(before, after, "first_boundary")
    )
    last_epoch = changes[changes["epoch"] == changes["epoch"].max()]
    yield {"of": "bits against weights", "measure": SETTLED, "state": TRAINED} | comparison(
        _of_seeds(last_epoch, SETTLED)
    )


def _of_seeds(rows: pd.DataFrame, column: str) -> list[float]:
    """Return the mean over architectures of each seed."""
    return [float(value) for value in rows.groupby("seed")[column].mean()]


def _differences(first: pd.DataFrame, second: pd.DataFrame, measure: str) -> list[float]:
    """Return the second minus the first, architecture by architecture; the mean over these of each seed."""
    both = second.merge(first, on=["architecture", "seed"], suffixes=("", "_first"))
    return _of_seeds(both.assign(difference=both[measure] - both[f"{measure}_first"]), "difference")


def _of_kinds(pairs: pd.DataFrame, measure: str) -> list[float]:
    """Return the mean between classes minus that within, one a seed."""
    is_within = pairs["first_class"] == pairs["second_class"]
    within, between = (pairs[side].groupby("seed")[measure].mean() for side in (is_within, ~is_within))
    return [float(value) for value in between - within]


def _says(numbers: Numbers) -> list[Markup]:
    def change(of: str, measure: str, state: str = TRAINED) -> Markup:
        return change_of(numbers, {"of": of, "measure": measure, "state": state})

    def share(of: str) -> Markup:
        last = numbers.frames["share_means"]["epoch"].max()
        return mean_of(numbers, "share_means", {"of": of, "epoch": last})

    layers = sentence(
        "From the first layer to the last the flips of a unit on a path change by {} in trained networks and "
        "by {} in untrained ones, and χ of a layer by itself, from the second to the last, by {} and {}.",
        *(change("last layer minus first", "flips_per_bit", state) for state in (TRAINED, UNTRAINED)),
        *(change("last layer minus second", "chi", state) for state in (TRAINED, UNTRAINED)),
    )
    ends = sentence(
        "Boundaries per unit of length near the two images minus those between are {} in trained networks "
        "and {} in untrained ones, and training changes the distance from an image to the first boundary on "
        "a path by {}; χ of paths between classes minus that within is {}, and over paths the distance of "
        "the ends in pixels has a correlation of {} with flips and of {} with χ.",
        *(change("near data minus far", "density", state) for state in (TRAINED, UNTRAINED)),
        change("trained minus untrained", "first_boundary"),
        change(f"{BETWEEN} minus {WITHIN}", "chi"),
        change("correlation with distance", "length"),
        change("correlation with distance", "chi"),
    )
    row = int(numbers.frames["share_means"]["epoch"].to_numpy().argmax())
    settled = sentence(
        "In epoch {} bits of test images still change by {} of what they changed in the first one, and "
        "weights by {}; the logarithm of the one over the other, below zero where patterns settle before "
        "weights, is {}.",
        numbers.cell("share_means", row, "epoch", "d"),
        share("bits"),
        share("weights"),
        change("bits against weights", SETTLED),
    )
    return [layers, ends, settled]


PANELS = {"flips_per_bit": "flips of a unit on a path", "chi": "χ of the layer by itself"}

CHANGES = {"bits": Look("bits", INK, "-", "^", INK), "weights": Look("weights", GRAY, "--", "v", PAPER)}


def _draw(tables: Tables) -> Figure:
    figure = grid_figure(6, 3, height=2.3)
    means, layers = tables["means"], tables["layers"]
    trained = means[(means["state"] == TRAINED) & (means["layer"] != ALL_LAYERS)]
    looks = sequence_looks([*trained["architecture"].unique()])
    for axes, (measure, name) in zip(figure.axes, PANELS.items(), strict=False):
        _draw_layers(axes, trained[trained["measure"] == measure], looks, name)
    _draw_places(figure.axes[2], layers[layers["layer"] == ALL_LAYERS])
    _draw_boundary(figure.axes[3], layers[layers["layer"] == ALL_LAYERS])
    _draw_pairs(figure.axes[4], tables["pairs"], tables["pair_means"])
    _draw_changes(figure.axes[5], tables["share_means"])
    legend_above(figure, [*looks.values(), *STATE_LOOKS.values(), *CHANGES.values()], has_markers=True)
    return figure


def _draw_layers(axes: Axes, means: pd.DataFrame, looks: dict[str, Look], name: str) -> None:
    for architecture, look in looks.items():
        rows = means[means["architecture"] == architecture].sort_values("layer")
        axes.plot(
            rows["layer"], rows["mean"], color=look.color, linestyle=look.line, linewidth=1,
            marker=look.marker, markersize=3, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.set_xticks(sorted(means["layer"].unique()))
    axes.set_xlabel("layer, trained")
    axes.set_ylabel(name)
    keep_within(axes, "y", SHARE, low=0)


def _draw_places(axes: Axes, layers: pd.DataFrame) -> None:
    """Draw boundaries per unit of length at the ends of paths against those between, a dot for a network."""
    for state, look in STATE_LOOKS.items():
        rows = layers[layers["state"] == state]
        axes.plot(
            rows["density_middle"], rows["density_near"], linestyle="none", marker=look.marker, markersize=3,
            color=look.color, markerfacecolor=look.fill,
        )  # fmt: skip
    most = float(np.nanmax(layers[["density_near", "density_middle"]].to_numpy(float), initial=0))
    axes.plot([0, most], [0, most], color=MUTED, linewidth=0.8)
    axes.set_xlabel("boundaries per length, middle")
    axes.set_ylabel("the same, near the ends")


def _draw_boundary(axes: Axes, layers: pd.DataFrame) -> None:
    """Draw how far the nearest boundary on a path is from its source, a dot for a network."""
    for state, look in STATE_LOOKS.items():
        rows = layers[layers["state"] == state]
        axes.plot(
            rows["depth"] + (0.1 if state == TRAINED else -0.1), rows["first_boundary"], linestyle="none",
            marker=look.marker, markersize=3, color=look.color, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.set_xticks(sorted(layers["depth"].unique()))
    axes.set_xlabel("depth")
    axes.set_ylabel("distance to first boundary")
    keep_within(axes, "y", SHARE, low=0)


def _draw_pairs(axes: Axes, pairs: pd.DataFrame, means: pd.DataFrame) -> None:
    """Draw χ of each pair of classes against the distance of its images; pairs of one class are open."""
    keys = ["first_class", "second_class"]
    of_pairs = means[(means["measure"] == "chi") & means["first_class"].notna()]
    distance = pairs.groupby([*keys, "state"])["distance"].mean().rename("distance").reset_index()
    rows = of_pairs.merge(distance, on=[*keys, "state"])
    for state, look in STATE_LOOKS.items():
        for kind, marker in ((BETWEEN, look.marker), (WITHIN, "x")):
            own = rows[(rows["state"] == state) & (rows["kind"] == kind)]
            axes.plot(
                own["distance"], own["mean"], linestyle="none", marker=marker, markersize=3,
                color=look.color, markerfacecolor=look.fill,
            )  # fmt: skip
    axes.set_xlabel("distance of the ends")
    axes.set_ylabel("mean χ of a class pair")
    keep_within(axes, "y", CHI, low=0)


def _draw_changes(axes: Axes, means: pd.DataFrame) -> None:
    """Draw what still changes in an epoch, as a share of the first one's change."""
    for of, look in CHANGES.items():
        rows = means[means["of"] == of].sort_values("epoch")
        mean = rows["mean"].to_numpy(float)
        ends = np.nan_to_num(np.abs([rows["low"] - mean, rows["high"] - mean]))
        axes.errorbar(
            rows["epoch"], mean, ends, color=look.color, linestyle=look.line, linewidth=1, elinewidth=0.7,
            marker=look.marker, markersize=3.5, markerfacecolor=look.fill,
        )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.set_ylabel("change, of the first epoch's")
    axes.set_xticks(sorted(means["epoch"].unique()))
    keep_within(axes, "y", SHARE, low=0)


ENTRY = FindingEntry(
    title="Where it folds",
    question="In which layers and where on a path do networks fold, and do patterns settle before weights?",
    study="where-it-folds",
    kept=("layers", "pairs", "changes"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="By layer in trained networks, means over seeds; boundaries per unit of length "
    "near the two images and between them, and how far from an image the first one is, a dot for a network; "
    "class pairs, those of one class as crosses; and what still changes in an epoch, as a share of the first "
    "epoch's change",
)
