"""Which measures go with the gap between training and test accuracy."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.analysis.gap import BASELINE, EVERY, FOLDING_MEASURES, MEAN, RESPONSES
from spaceprobe.report.drawing.limits import COUNTED, keep_within
from spaceprobe.report.drawing.marks import count_axis, empty_figure, name_below
from spaceprobe.report.drawing.style import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    PAPER,
    figure_width,
    format_number,
    new_figure,
    plain,
    styled,
    titled,
)
from spaceprobe.report.entry import FigureEntry, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.groups import notes_on_failures
from spaceprobe.tables.table import Bounds

NAMES = {
    "train_loss": "training loss",
    "weight_norm": "norm of the weights",
    "distance": "distance from initial weights",
    "path_norm": "path norm",
    "spectral_product": "product of spectral norms",
    "frobenius_product": "product of Frobenius norms",
    "margin": "margin",
    "path_margin": "margin / path norm",
    "spectral_margin": "margin / spectral norms",
    "sharpness": "sharpness",
    "worst_sharpness": "worst sharpness",
    "chi_folded_mean": "share of folded paths",
    "chi_max": "largest χ",
    "chi_row_max_median": "row maxima of χ",
    "chi_mean": "mean χ",
    "region_density": "regions per unit of length",
    "image_length": "length of images of paths",
}
"""What readers call the measures of gap_ranks.csv; one that is not known is called as it is."""

ROW_HEIGHT, MARGIN = 0.19, 0.75
"""Of a measure, and of everything around them, in inches."""

NARROW = 5.0
"""Inches below which the panels stand below each other. Chosen: names and two panels need as much."""


class _Kind(NamedTuple):
    name: str
    color: str
    marker: str
    fill: str
    line: str


KINDS = {
    "folding": _Kind("folding", BLUE, "o", BLUE, "-"),
    "complexity": _Kind("complexity", ORANGE, "s", PAPER, "--"),
    "baseline": _Kind("training alone", GRAY, "^", GRAY, ":"),
}


def gap_by_measure(runs: pd.DataFrame, gap_ranks: pd.DataFrame) -> Figure:
    """Draw Kendall's τ of each measure and the gap, after the last epoch and over epochs.

    On the left is the mean over settings with its interval over seeds, thin marks being single settings; on
    the right the mean over settings of the measure at each epoch that was kept, against the same gap.

    Args:
        runs: runs.csv.
        gap_ranks: gap_ranks.csv.
    """
    rows = drawn_ranks(gap_ranks)
    last = rows[rows["is_last"] & (rows["axis"] == MEAN) & rows["tau"].notna()]
    if not rows["tau"].notna().any():
        return empty_figure("no gap was measured", *notes_on_failures(runs))
    if last.empty:
        why = "no two networks with the same seed differ in one setting alone"
        return empty_figure(why, *notes_on_failures(runs))
    measures = [*last.sort_values("tau", ascending=False, kind="stable")["measure"]]
    over_epochs = rows[(rows["axis"] == MEAN) & rows["tau"].notna() & rows["epoch"].notna()]
    has_epochs = over_epochs["epoch"].nunique() > 1
    with styled():
        height = MARGIN + ROW_HEIGHT * max(4, len(measures))
        is_wide = figure_width() >= NARROW
        shape = (1, 2) if is_wide and has_epochs else (1 + has_epochs, 1)
        figure = new_figure(*shape, height=height)
        _forest(figure.axes[0], rows, last, measures)
        if has_epochs:
            _epochs(figure.axes[1], over_epochs, measures)
        _legend(figure, [kind for kind in KINDS if any(kind_of(name) == kind for name in measures)])
        name_below(figure, "", [*notes_on_failures(runs), *_notes(gap_ranks, rows)])
    return figure


def drawn_ranks(gap_ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are drawn: of all networks, one response, and the first reading of each measure.

    Args:
        gap_ranks: gap_ranks.csv.
    """
    response = next((name for name in RESPONSES if (gap_ranks["response"] == name).any()), None)
    rows = gap_ranks[(gap_ranks["response"] == response) & (gap_ranks["min_train_accuracy"] == 0)]
    reading = rows["reading"].astype(object).where(rows["reading"].notna(), "")
    return rows[reading == reading.groupby(rows["measure"]).transform("first")]


def _notes(gap_ranks: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Return what is not drawn."""
    num_readings = gap_ranks.groupby("measure")["reading"].nunique().max()
    shown = sorted({*rows["reading"].dropna()} - {""})
    return [f"of {num_readings} ways of measuring: {', '.join(shown)}"] if num_readings > 1 else []


def kind_of(measure: str) -> str:
    """Return the kind of a measure, of `KINDS`."""
    if measure == BASELINE:
        return "baseline"
    return "folding" if measure in FOLDING_MEASURES else "complexity"


def _forest(axes: Axes, rows: pd.DataFrame, last: pd.DataFrame, measures: Sequence[str]) -> None:
    """Draw τ after the last epoch: a row for each measure."""
    settings = rows[rows["is_last"] & ~rows["axis"].isin([MEAN, EVERY]) & rows["tau"].notna()]
    ends = last.set_index("measure").loc[[*measures], ["tau", "tau_low", "tau_high"]].to_numpy(float).tolist()
    for place, name in enumerate(measures):
        look = KINDS[kind_of(name)]
        for axis, tau in settings.loc[settings["measure"] == name, ["axis", "tau"]].itertuples(index=False):
            axes.plot(
                tau, place, "|", color=look.color, alpha=0.45, markersize=5,
                gid=titled(f"{_name(name)}, {axis.replace('_', ' ')}: {format_number(tau)}"),
            )  # fmt: skip
        center, low, high = ends[place]
        interval = "no interval"
        if low == low:
            axes.hlines(place, low, high, color=look.color, linewidth=1.3)
            interval = f"[{format_number(low)}, {format_number(high)}]"
        axes.plot(
            center, place, linestyle="none", marker=look.marker, color=look.color,
            markerfacecolor=look.fill, markersize=4.5,
            gid=titled(f"{_name(name)}: {format_number(center)} {interval}"),
        )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(measures)), [plain(_name(name)) for name in measures], fontsize=7.5)
    axes.set_ylim(len(measures) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("τ of measure and gap, last epoch")
    axes.set_xlim(-1, 1)
    keep_within(axes, "x", Bounds(-1, 1))


def _epochs(axes: Axes, rows: pd.DataFrame, measures: Sequence[str]) -> None:
    """Draw τ of the measures at each epoch and the gap at the end."""
    for name in measures:
        look = KINDS[kind_of(name)]
        of_measure = rows[rows["measure"] == name].sort_values("epoch")
        axes.plot(
            of_measure["epoch"].astype(float), of_measure["tau"], look.line, color=look.color,
            marker=look.marker, markerfacecolor=look.fill, markersize=3, linewidth=1,
            alpha=1 if kind_of(name) == "folding" else 0.6, gid=titled(_name(name)),
        )  # fmt: skip
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_ylim(-1, 1)
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.set_xlabel("epoch of the measure")
    axes.set_ylabel("τ of measure and gap")
    count_axis(axes)
    keep_within(axes, "x", COUNTED)
    keep_within(axes, "y", Bounds(-1, 1))


def _name(measure: str) -> str:
    return NAMES.get(measure, measure)


def _legend(figure: Figure, kinds: Sequence[str]) -> None:
    """Write above the panels which marks are of which kind of measure."""
    axes = figure.axes[0]
    handles = [
        axes.plot(
            [], [], KINDS[kind].line, color=KINDS[kind].color, marker=KINDS[kind].marker,
            markerfacecolor=KINDS[kind].fill, label=KINDS[kind].name, linewidth=1.2,
        )[0]
        for kind in kinds
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=7.5)


def _caption(numbers: Numbers) -> Markup:
    """Describe what is drawn, of how many networks and groups."""
    frame = numbers.frames["gap_ranks"]
    rows = drawn_ranks(frame)
    response = str(rows["response"].iloc[0])
    where = {"is_last": True, "axis": MEAN, "response": response, "min_train_accuracy": 0}
    ends = [
        numbers.statistic("max", "gap_ranks", name, where) for name in ("num_runs", "num_groups", "num_pairs")
    ]
    gap = "training minus test accuracy" if response == "accuracy_gap" else "test minus training loss"
    return sentence(
        "Kendall's τ of each measure and the gap at the end ({}), between networks that differ in one "
        "setting alone: its mean over settings, with the 95 % t interval over seeds; a thin mark is one "
        "setting. What grows with the gap is on the right; of margins and of the training loss that is not "
        "expected. Up to {} networks, {} groups and {} pairs. The intervals of {} measures are not corrected "
        "for their number.",
        gap,
        *ends,
        numbers.statistic("distinct", "gap_ranks", "measure", where),
    )


ENTRY = FigureEntry(
    title="What goes with the gap between training and test",
    section="training",
    function=gap_by_measure,
    tables=("runs", "gap_ranks"),
    needs=("gap_ranks",),
    caption=_caption,
)
