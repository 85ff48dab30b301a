"""Whether layers and heads recall patterns, read as Hopfield networks (arXiv 2309.05968)."""

from collections.abc import Iterator

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import seed_differences
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.limits import keep_within
from spaceprobe.report.drawing.marks import Look, grid_figure, legend_above
from spaceprobe.report.drawing.number_axis import NumberAxis
from spaceprobe.report.drawing.style import BLUE, GRAY, INK, MUTED, ORANGE, PAPER
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

TABLE = "lmd_hopfield"
MLP, TRANSFORMER = "2x30", "1x64"

PIXELS, INPUT = "pixels", "patches"
LAYERS = ("layer 1", "layer 2", "readout")
ATTENTION, QUERY_KEY, OUTPUT_VALUE = "attention", "query-key", "output-value"
HEADS = (ATTENTION, QUERY_KEY, OUTPUT_VALUE)
REFERENCES = {MLP: PIXELS, TRANSFORMER: INPUT}
"""What each network's memories are compared with: the patterns as they are, before the network."""

COMPARED = ((MLP, LAYERS[0]), *((TRANSFORMER, place) for place in HEADS))

OWN, LIMIT = "own", "limit"
FEW = 4
"""The rank that all components are compared with. Chosen: half of a head's."""

SHARE = Bounds(0, 1)
ABOUT = ["architecture", "place", "epoch"]


def _keep(results: Results) -> Tables:
    rows = with_places(results.frames[TABLE])
    rows = results.runs[["run", "architecture", "seed"]].merge(rows, on="run")
    is_last = rows["epoch"] == rows["epoch"].max()
    is_end = is_last | (rows["epoch"] == 0)
    full = rows.groupby(["architecture", "place"])["rank"].transform("max")
    is_full, is_all = rows["rank"] == full, rows["num_stored"] == rows["num_stored"].max()
    best = rows["best"].astype(bool)
    return {
        "recall": _means_of_heads(
            rows[best & is_full & is_all], [], ["accuracy", "first_accuracy", "moving", "error"]
        ),
        "by_beta": _means_of_heads(rows[is_end & is_full & is_all], ["separation"], ["accuracy"]),
        "by_rank": _means_of_heads(rows[best & is_end & is_all], ["rank", "num_stored"], ["num_recalled"]),
        "by_stored": _means_of_heads(rows[best & is_end & is_full], ["num_stored"], ["num_recalled"]),
    }


def with_places(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of lmd_hopfield of the memories that are asked about, with their place.

    Pixels; the patches that enter a transformer; the layers of an MLP in the space of V; attention and the
    products of heads. ``moving`` is the share of noisy patterns that do not rest.
    """
    # An MLP has no heads: its runs have no such rows.
    has_heads = rows["run"].isin(rows.loc[rows["space"] == ATTENTION, "run"])
    place = pd.Series("", index=rows.index, dtype=object)
    for matrix in (QUERY_KEY, OUTPUT_VALUE):
        place[(rows["matrix"] == matrix) & (rows["space"] == "V")] = matrix
    place[rows["space"] == ATTENTION] = ATTENTION
    place[rows["space"] == PIXELS] = PIXELS
    place[has_heads & (rows["space"] == "input") & (rows["layer"] == 0)] = INPUT
    for layer, name in enumerate(LAYERS):
        is_of = ~has_heads & (rows["matrix"] == "weight") & (rows["space"] == "V") & (rows["layer"] == layer)
        place[is_of] = name
    rows = rows.assign(place=place, moving=rows["num_moving"] / rows["num_queries"])
    return rows[rows["place"] != ""].reset_index(drop=True)


def _means_of_heads(rows: pd.DataFrame, by: list[str], measures: list[str]) -> pd.DataFrame:
    """Return the mean over the heads of a network, of each seed and epoch; of other places the value."""
    groups = rows.groupby([*ABOUT, "seed", *by], as_index=False, sort=False)
    return groups[measures].mean().astype(dict.fromkeys(measures, float))


def _derive(tables: Tables) -> Tables:
    recall = tables["recall"]
    means = []
    for measure in ("accuracy", "first_accuracy", "moving"):
        of_measure = means_by(recall, ABOUT, measure, SHARE)
        of_measure.insert(0, "measure", measure)
        means.append(of_measure)
    return {
        "means": pd.concat(means, ignore_index=True),
        "beta_means": means_by(tables["by_beta"], [*ABOUT, "separation"], "accuracy", SHARE),
        "rank_means": means_by(tables["by_rank"], [*ABOUT, "rank", "num_stored"], "num_recalled", Bounds(0)),
        "stored_means": means_by(tables["by_stored"], [*ABOUT, "num_stored"], "num_recalled", Bounds(0)),
        COMPARISONS: with_holm([*_comparisons(recall, tables["by_rank"])]),
    }


UNTRAINED_ONE, ONE_UPDATE, REFERENCE, FEWER = "untrained", "one update", "reference", "few components"
"""What is compared with: the untrained network, one update, the patterns as they are, fewer components."""


def _comparisons(recall: pd.DataFrame, by_rank: pd.DataFrame) -> Iterator[dict[str, object]]:
    last = int(recall["epoch"].max())
    epochs = sorted(epoch for epoch in recall["epoch"].unique() if epoch > 0)
    of = dict([*recall.groupby(ABOUT)])
    for architecture, place in COMPARED:
        about = {"architecture": architecture, "place": place}
        rows = of[architecture, place, last]
        for epoch in dict.fromkeys((epochs[0], last)):
            differences = seed_differences(
                of[architecture, place, 0], of[architecture, place, epoch], "accuracy"
            )
            yield about | {"epoch": epoch, "against": UNTRAINED_ONE} | comparison(differences)
        plain = of[architecture, REFERENCES[architecture], last]
        found = comparison(seed_differences(plain, rows, "accuracy"))
        yield about | {"epoch": last, "against": REFERENCE} | found
        found = comparison([*(rows["accuracy"] - rows["first_accuracy"]).astype(float)])
        yield about | {"epoch": last, "against": ONE_UPDATE} | found
        ranks = by_rank[(by_rank["architecture"] == architecture) & (by_rank["place"] == place)]
        ranks = ranks[ranks["epoch"] == last]
        few, whole = (ranks[ranks["rank"] == rank] for rank in (FEW, ranks["rank"].max()))
        found = comparison(seed_differences(few, whole, "num_recalled"))
        yield about | {"epoch": last, "against": FEWER} | found


def _says(numbers: Numbers) -> list[Markup]:
    compared = numbers.frames[COMPARISONS]
    last, first = int(compared["epoch"].max()), int(compared["epoch"].min())

    def epoch(number: int) -> Markup:
        row = int(compared.index[compared["epoch"] == number][0])
        return numbers.cell(COMPARISONS, row, "epoch", "d")

    def mean(architecture: str, place: str, at: int = last, measure: str = "accuracy") -> Markup:
        where = {"architecture": architecture, "place": place, "epoch": at, "measure": measure}
        return _mean(numbers, "means", where)

    def change(place: str, against: str, at: int = last) -> Markup:
        architecture = MLP if place in LAYERS else TRANSFORMER
        where = {"architecture": architecture, "place": place, "epoch": at, "against": against}
        return change_of(numbers, where)

    def recalled(architecture: str, place: str) -> Markup:
        means = numbers.frames["rank_means"]
        is_of = (means["architecture"] == architecture) & (means["place"] == place) & (means["epoch"] == last)
        rows = means[is_of]
        row = int(rows.index[rows["rank"] == rows["rank"].max()][0])
        few = int(rows.index[rows["rank"] == FEW][0])
        return sentence(
            "{} of {} at all {} components and {} at {}",
            numbers.cell("rank_means", row, "mean", ".1f"),
            numbers.cell("rank_means", row, "num_stored", "d"),
            numbers.cell("rank_means", row, "rank", "d"),
            numbers.cell("rank_means", few, "mean", ".1f"),
            numbers.cell("rank_means", few, "rank", "d"),
        )

    layer = sentence(
        "After training for {}, the first layer of the MLP leads {} of the noisy images back to their own, "
        "at the β best on training images, and untrained {}, a change of {} (of {} after training for {}); "
        "the pixels lead back {}, from which the trained layer differs by {}.",
        _epochs(epoch(last), last),
        mean(MLP, LAYERS[0]),
        mean(MLP, LAYERS[0], 0),
        change(LAYERS[0], UNTRAINED_ONE),
        change(LAYERS[0], UNTRAINED_ONE, first),
        _epochs(epoch(first), first),
        mean(MLP, PIXELS),
        change(LAYERS[0], REFERENCE),
    )
    heads = sentence(
        "The heads of a transformer trained as long lead {} of the noisy tokens back by attention and, read "
        "as layers, {} by W_QᵀW_K and {} by W_O W_V, changes by training of {}, {} and {} (of {}, {} and {} "
        "after training for {}); the patches themselves lead back {}, from which attention differs by {}.",
        *(mean(TRANSFORMER, place) for place in HEADS),
        *(change(place, UNTRAINED_ONE) for place in HEADS),
        *(change(place, UNTRAINED_ONE, first) for place in HEADS),
        _epochs(epoch(first), first),
        mean(TRANSFORMER, INPUT),
        change(ATTENTION, REFERENCE),
    )
    own = {"architecture": TRANSFORMER, "place": ATTENTION, "epoch": last, "separation": OWN}
    number = sentence(
        "Iterating until rest in place of one update changes the layer's share by {} and that of attention "
        "by {}, where {} of the tokens do not come to rest and the heads' own β leads {} back; of the "
        "patterns stored the layer recalls {}, a change of {}, and attention {}, a change of {}.",
        change(LAYERS[0], ONE_UPDATE),
        change(ATTENTION, ONE_UPDATE),
        mean(TRANSFORMER, ATTENTION, measure="moving"),
        _mean(numbers, "beta_means", own),
        recalled(MLP, LAYERS[0]),
        change(LAYERS[0], FEWER),
        recalled(TRANSFORMER, ATTENTION),
        change(ATTENTION, FEWER),
    )
    return [layer, heads, number]


def _mean(numbers: Numbers, table: str, where: dict[str, object]) -> Markup:
    return mean_of(numbers, table, where, ".2f")


def _epochs(cell: Markup, number: int) -> Markup:
    return sentence("{} epoch{}", cell, "" if number == 1 else "s")


LOOKS = {
    (MLP, LAYERS[0]): Look("first layer of the MLP", BLUE, "-", "o", BLUE),
    (TRANSFORMER, ATTENTION): Look("attention", ORANGE, "-", "s", ORANGE),
    (TRANSFORMER, QUERY_KEY): Look("W_QᵀW_K as a layer", INK, "-", "^", INK),
    (TRANSFORMER, OUTPUT_VALUE): Look("W_O W_V as a layer", MUTED, "-", "v", MUTED),
    (MLP, PIXELS): Look("pixels", GRAY, ":", "D", PAPER),
    (TRANSFORMER, INPUT): Look("patches", GRAY, ":", "P", PAPER),
}
"""The memories that are drawn."""


def _draw(tables: Tables) -> Figure:
    figure = grid_figure(4, 2, height=2.5)
    means = tables["means"]
    panels = (
        ("beta_means", "separation", "β over the spread", "share led back"),
        ("rank_means", "rank", "components", "patterns recalled"),
        ("stored_means", "num_stored", "patterns stored", "patterns recalled"),
        ("means", "epoch", "epoch", "share led back"),
    )
    for axes, (name, column, label, value) in zip(figure.axes, panels, strict=True):
        rows = means[means["measure"] == "accuracy"] if name == "means" else tables[name]
        _draw_panel(axes, rows, column)
        axes.set_xlabel(label)
        axes.set_ylabel(value)
        bounds = SHARE if value.startswith("share") else Bounds(0)
        keep_within(axes, "y", bounds, low=0, high=1 if bounds is SHARE else None)
    states = [Look("trained", MUTED, "-", "", MUTED), Look("untrained", MUTED, "--", "", MUTED)]
    legend_above(figure, [*LOOKS.values(), *states], has_markers=True)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    """Draw the means of each memory along a column, trained and untrained, with intervals."""
    if column == "separation":
        softmaxes = {*rows[column]} - {OWN, LIMIT}
        names = [*sorted(softmaxes, key=lambda name: float(str(name).split()[-1])), LIMIT]
        place_of = {name: float(place) for place, name in enumerate(names)}
        labels = ["∞" if name == LIMIT else str(name).removeprefix("softmax ") for name in names]
        axes.set_xticks([*place_of.values()], labels)
    else:
        places = NumberAxis(column, sorted(rows[column].astype(float).unique()))
        places.prepare(axes)
        place_of = {number: float(places.shifted(float(number), 0.0)) for number in rows[column].unique()}
    for (architecture, place), look in LOOKS.items():
        own = rows[(rows["architecture"] == architecture) & (rows["place"] == place)]
        epochs = sorted(own["epoch"].unique())
        if place in REFERENCES.values():
            epochs = epochs[-1:]  # training does not change them
        for epoch in [None] if column == "epoch" else epochs:
            line = own if epoch is None else own[own["epoch"] == epoch]
            line = line[line[column].isin([*place_of])].sort_values(column, key=lambda c: c.map(place_of))
            low = line["low"].clip(0)  # shares and numbers are not less, intervals of few seeds may be
            axes.errorbar(
                line[column].map(place_of).to_numpy(float),
                line["mean"],
                yerr=[(line["mean"] - low).fillna(0), (line["high"] - line["mean"]).fillna(0)],
                color=look.color, linestyle="--" if epoch == 0 else look.line, linewidth=1,
                marker=look.marker, markersize=3.5, capsize=1.5, elinewidth=0.7,
                markerfacecolor=PAPER if epoch == 0 else look.fill,
            )  # fmt: skip


ENTRY = FindingEntry(
    title="Layers and heads as Hopfield networks",
    question="Does a layer, or a head of attention, recall what it was shown from a noisy copy, and more so "
    "after training?",
    study="lmd-hopfield",
    kept=("recall", "by_beta", "by_rank", "by_stored"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="The share of noisy patterns that lead back to their own against β, the patterns recalled "
    "against the components and against the patterns stored, and the share by epoch, all but the first at "
    "the β that is best on training images: means over seeds with intervals; of heads, their mean",
)
