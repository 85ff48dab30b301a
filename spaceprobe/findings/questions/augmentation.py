"""How paths to rotated, shifted and noisy copies fold, in networks trained with such copies and without."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.analysis.comparisons import comparison, with_holm
from spaceprobe.findings.entry import COMPARISONS, FindingEntry, Tables
from spaceprobe.findings.tables import networks_table, of_states, seed_differences
from spaceprobe.findings.wording import change_of, mean_of
from spaceprobe.report.drawing.marks import STATE_LOOKS, Look, grid_figure, legend_above
from spaceprobe.report.drawing.style import GRAY, MUTED
from spaceprobe.report.entry import sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED
from spaceprobe.tables.table import Bounds

COPIES, LOOPS = "copies", "loops"
FOLDINGS = {COPIES: "folding_augmented", LOOPS: "folding_loops"}
"""The tables of folding of straight paths to copies, and of closed ones."""

SHARE = "augment_share"
"""The chance with which a training image is changed in an epoch: 0 without augmentation, 1 with it."""

TRAINING = "training"
PLAIN, AUGMENTED = "as they are", "augmented"
"""How training images were, of trained networks."""

CHI, BEYOND = "chi", "beyond_half"
"""The mean χ of paths to copies; and of loops that cross a boundary, by how much χ exceeds 1/2."""

FOLDS, ACCURACY = "chi_row_max_median", "test_accuracy"

TRANSFORMS = {"rotation": "rotated", "shift": "moved", "noise": "noisy"}
UNITS = {"rotation": "degrees", "shift": "pixels", "noise": "standard deviation"}
ALL = "all"


def _keep(results: Results) -> Tables:
    key = ["run", "epoch", "transform", "amount"]
    parts = []
    for paths, table in FOLDINGS.items():
        chi = results.frames[table].query("measure == 'chi'")
        means = chi.groupby(key, as_index=False, sort=False)[["folded", "mean"]].mean()
        parts.append(of_states(results, means.assign(paths=paths), [SHARE]))
    columns = ["run", "architecture", "seed", SHARE, "state", "paths", "transform", "amount"]
    networks = networks_table(results, [FOLDS], [SHARE])
    columns_of_networks = ["run", "architecture", "seed", SHARE, "state", ACCURACY, FOLDS]
    is_trained = networks["state"] == TRAINED
    return {
        "paths": pd.concat(parts, ignore_index=True)[[*columns, "folded", "mean"]],
        "networks": networks.loc[is_trained, columns_of_networks].reset_index(drop=True),
    }


def _derive(tables: Tables) -> Tables:
    paths, networks = (with_training(tables[name]) for name in ("paths", "networks"))
    copies = paths[paths["paths"] == COPIES].rename(columns={"mean": CHI})
    loops = paths[paths["paths"] == LOOPS]
    # A loop that crosses a boundary crosses it back, so it folds; the others have χ = 0 in the mean.
    beyond = loops["mean"] / loops["folded"].where(loops["folded"] > 0) - 0.5
    loops = loops.assign(**{BEYOND: beyond.clip(lower=0)})  # which rounding may leave
    ends = [(copies, CHI, Bounds(0, 1)), (loops, BEYOND, Bounds(0, 0.5))]
    of_networks = [(networks, measure, Bounds(0, 1)) for measure in (FOLDS, ACCURACY)]
    return {
        "means": _means([TRAINING, "transform", "amount"], ends),
        "overall": _means([TRAINING, "transform"], ends),
        "network_means": _means([TRAINING], of_networks),
        COMPARISONS: with_holm([*_comparisons(copies, loops, networks)]),
    }


def _means(by: list[str], parts: list[tuple[pd.DataFrame, str, Bounds]]) -> pd.DataFrame:
    """Return the means over seeds of several measures, one below the other, each of rows of its own."""
    means = []
    for rows, measure, bounds in parts:
        of_measure = means_by(rows, by, measure, bounds)
        of_measure.insert(0, "measure", measure)
        means.append(of_measure)
    return pd.concat(means, ignore_index=True)


def with_training(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of networks with how they were trained; untrained ones are the same with either share."""
    is_untrained = rows["state"] == UNTRAINED
    training = np.where(is_untrained, UNTRAINED, np.where(rows[SHARE] > 0, AUGMENTED, PLAIN))
    return rows.assign(**{TRAINING: training})


def _comparisons(
    copies: pd.DataFrame, loops: pd.DataFrame, networks: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """Yield training with copies against training without; and along copies that against none."""
    for rows, measure, training, against in (
        (copies, CHI, AUGMENTED, PLAIN),
        (copies, CHI, PLAIN, UNTRAINED),
        (loops, BEYOND, AUGMENTED, PLAIN),
    ):
        for transform in TRANSFORMS:
            of = dict([*rows[rows["transform"] == transform].groupby(TRAINING)])
            about = {"measure": measure, "transform": transform, TRAINING: training, "against": against}
            yield about | comparison(_differences(of[against], of[training], measure))
    of = dict([*networks.groupby(TRAINING)])
    for measure in (FOLDS, ACCURACY):
        about = {"measure": measure, "transform": ALL, TRAINING: AUGMENTED, "against": PLAIN}
        yield about | comparison(_differences(of[PLAIN], of[AUGMENTED], measure))


def _differences(first: pd.DataFrame, second: pd.DataFrame, measure: str) -> list[float]:
    """Return the second minus the first, one a seed, of means over amounts and architectures."""
    before, after = (rows.groupby("seed", as_index=False)[[measure]].mean() for rows in (first, second))
    return seed_differences(before, after, measure)


def _says(numbers: Numbers) -> list[Markup]:
    def change(measure: str, transform: str, training: str = AUGMENTED) -> Markup:
        return change_of(numbers, {"measure": measure, "transform": transform, TRAINING: training})

    def changes(measure: str, training: str = AUGMENTED) -> Markup:
        return _of_each(lambda transform: change(measure, transform, training))

    def mean(measure: str, transform: str) -> Markup:
        rows = {"measure": measure, TRAINING: PLAIN, "transform": transform}
        return mean_of(numbers, "overall", rows)

    return [
        sentence(
            "In networks trained on images as they are, the mean χ of paths from images to copies is {}; "
            "training with such copies changes it by {}.",
            _of_each(lambda transform: mean(CHI, transform)),
            changes(CHI),
        ),
        sentence(
            "Loops from an image to two copies and back undo every flip, so where any unit flips their χ is "
            "at least one half; in these networks it is higher by {}, and training with copies changes this "
            "by {}.",
            _of_each(lambda transform: mean(BEYOND, transform)),
            changes(BEYOND),
        ),
        sentence(
            "Compared with untrained networks, those trained on images as they are have a mean χ of paths to "
            "copies that differs by {}; between images of all classes, training with copies changes the row "
            "maxima of χ by {}, and the test accuracy by {} from {}.",
            changes(CHI, PLAIN),
            change(FOLDS, ALL),
            change(ACCURACY, ALL),
            mean_of(numbers, "network_means", {"measure": ACCURACY, TRAINING: PLAIN}),
        ),
    ]


def _of_each(text: Callable[[str], Markup]) -> Markup:
    """Return a text about each kind of copies."""
    parts = [part for transform, name in TRANSFORMS.items() for part in (text(transform), name)]
    return sentence("{} {}, {} {} and {} {}", *parts)


LOOKS = {
    UNTRAINED: STATE_LOOKS[UNTRAINED],
    PLAIN: STATE_LOOKS[TRAINED]._replace(name="trained on images as they are"),
    AUGMENTED: Look("trained with such copies", GRAY, "-.", "^", GRAY),
}


GAP = 0.12
"""Between neighbours, of the distance of two ticks."""


def _draw(tables: Tables) -> Figure:
    means = tables["means"]
    figure = grid_figure(len(TRANSFORMS) + 1, 2, height=2.2)
    *of_copies, of_loops = figure.axes
    copies, loops = (means[means["measure"] == measure] for measure in (CHI, BEYOND))
    for axes, (transform, name) in zip(of_copies, TRANSFORMS.items(), strict=True):
        of_transform = copies[copies["transform"] == transform]
        amounts = sorted(of_transform["amount"].unique())
        for number, (training, look) in enumerate(LOOKS.items()):
            rows = of_transform[of_transform[TRAINING] == training].sort_values("amount")
            places = [amounts.index(amount) + GAP * (number - 1) for amount in rows["amount"]]
            _draw_means(axes, places, rows, look, look.line)
        axes.set_xticks(range(len(amounts)), [f"{amount:g}" for amount in amounts])
        axes.set_xlim(-0.5, len(amounts) - 0.5)
        axes.set_xlabel(UNITS[transform])
        axes.set_title(f"paths to {name} copies")
        axes.set_ylabel("mean χ")
        axes.set_ylim(bottom=0)
    for number, (training, look) in enumerate(LOOKS.items()):
        rows = loops[loops[TRAINING] == training].set_index("transform")
        rows = rows.reindex([*TRANSFORMS])
        _draw_means(of_loops, [place + GAP * (number - 1) for place in range(len(rows))], rows, look, "none")
    of_loops.set_xticks(range(len(TRANSFORMS)), [*TRANSFORMS.values()])
    of_loops.set_title("loops through two copies")
    of_loops.set_ylabel("χ beyond 1/2")
    of_loops.axhline(0, color=MUTED, linewidth=0.8, zorder=0)
    legend_above(figure, [*LOOKS.values()], has_markers=True)
    return figure


def _draw_means(axes: Axes, places: list[float], rows: pd.DataFrame, look: Look, line: str) -> None:
    """Draw means with their intervals at places."""
    mean = rows["mean"].to_numpy(float)
    ends = np.nan_to_num(np.abs([rows["low"] - mean, rows["high"] - mean]))
    axes.errorbar(
        places, mean, ends, color=look.color, linestyle=line, capsize=2.5, elinewidth=1, marker=look.marker,
        markersize=4.5, markerfacecolor=look.fill,
    )  # fmt: skip


ENTRY = FindingEntry(
    title="Augmentation paths",
    question="How do paths to rotated, shifted and noisy copies fold, and loops through two of them, in "
    "networks that were trained with such copies and in others?",
    study="augmentation-paths",
    kept=("paths", "networks"),
    keep=_keep,
    derive=_derive,
    says=_says,
    draw=_draw,
    caption="The mean χ of paths from images to transformed copies, against how much these are changed, and "
    "by how much χ of loops from an image to two copies and back exceeds one half; each a mean over seeds, "
    "of all architectures, with its interval",
)
