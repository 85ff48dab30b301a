"""The singular values of a file of weights: which are drawn, the figure, and its caption."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.lmd.rank_rules import rounding_level
from spaceprobe.lmd.rounding import FLOAT32_EPSILON
from spaceprobe.report.drawing.marks import grid_figure, log_scale, name_below, sequence_looks, short
from spaceprobe.report.drawing.style import styled
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.groups import MAX_GROUPS, choose
from spaceprobe.results.weight_folders import LAYERS
from spaceprobe.tables.text import count

EVENLY = "evenly from the first to the last"
ROUNDING = "within rounding of zero"


@dataclass(frozen=True)
class DrawnSpectra:
    """The singular values of one kind of matrices, and which of them are drawn.

    Attributes:
        kind: of the matrices.
        num_matrices: how many there are of the kind.
        num_zero: how many of these are zero but for rounding; none of them is drawn.
        names: of the matrices that are drawn.
        rows: of lmd_spectrum.csv, those that are drawn.
        num_rounding: how many values of the drawn matrices are within rounding of zero, and left out.
    """

    kind: str
    num_matrices: int
    num_zero: int
    names: list[str]
    rows: pd.DataFrame
    num_rounding: int

    @property
    def is_chosen(self) -> bool:
        """Whether some matrices are left out because they are too many."""
        return len(self.names) + self.num_zero < self.num_matrices


def drawn_spectra(layers: pd.DataFrame, spectrum: pd.DataFrame) -> Iterator[DrawnSpectra]:
    """Yield what is drawn of each kind that has something: values above rounding, as of the rule numerical.

    Args:
        layers: lmd_layers.csv of a file of weights.
        spectrum: lmd_spectrum.csv of it.
    """
    svd = spectrum[spectrum["basis"] == "svd"]
    largest = svd.groupby("layer")["value"].max()
    sides = layers.set_index("layer")[["num_outputs", "num_inputs"]]
    levels = {
        layer: rounding_level(value, (rows, columns), FLOAT32_EPSILON)
        for layer, value, rows, columns in sides.join(largest.rename("largest"), how="inner")[
            ["largest", "num_outputs", "num_inputs"]
        ].itertuples(name=None)
    }
    above = svd[svd["value"] > svd["layer"].map(levels)]
    for kind, of_kind in svd.groupby("kind", sort=False):
        names = [*of_kind["name"].unique()]
        with_values = [*above.loc[above["kind"] == kind, "name"].unique()]
        if with_values:
            chosen = choose(with_values, MAX_GROUPS)
            rows = above[above["name"].isin(chosen)]
            num_rounding = int(of_kind["name"].isin(chosen).sum()) - len(rows)
            num_zero = len(names) - len(with_values)
            yield DrawnSpectra(str(kind), len(names), num_zero, chosen, rows, num_rounding)


def weight_spectra(layers: pd.DataFrame, spectrum: pd.DataFrame) -> Figure:
    """Draw the singular values of the matrices, a panel for each kind, on log scales.

    Values within rounding of zero are left out, and counted below: they would stretch the axis over all the
    powers of ten that rounding happens to reach.

    Args:
        layers: lmd_layers.csv of a file of weights.
        spectrum: lmd_spectrum.csv of it.
    """
    panels = [*drawn_spectra(layers, spectrum)]
    notes = []
    with styled():
        figure = grid_figure(len(panels), 1, height=2.5)
        for axes, panel in zip(figure.axes, panels, strict=True):
            if panel.is_chosen:
                notes.append(f"{panel.kind}: {len(panel.names)} of {panel.num_matrices} matrices, {EVENLY}")
            if panel.num_rounding:
                notes.append(f"{panel.kind}: {count(panel.num_rounding, 'value')} {ROUNDING} not drawn")
            log_scale(axes, "x", "y")
            for name, look in sequence_looks(panel.names).items():
                values = panel.rows[panel.rows["name"] == name]
                axes.plot(
                    values["index"], values["value"], color=look.color, linestyle=look.line, linewidth=1.1,
                    marker=look.marker if len(values) == 1 else "", label=short(str(name), 34, 1),
                )  # fmt: skip
            axes.set_title(short(panel.kind, 60, 1))
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.03), fontsize=6.5)
        name_below(figure, "index of the singular value", notes)
        figure.supylabel("singular value", fontsize=8.5)
    return figure


def spectra_caption(numbers: Numbers) -> Markup:
    """Return how to read the figure, which matrices and values it draws, and where the largest value is."""
    layers, spectrum = numbers.frames[LAYERS], numbers.frames["lmd_spectrum"]
    panels = [*drawn_spectra(layers, spectrum)]
    parts = [
        Markup("Singular values of the matrices, a panel for each kind of matrix, on logarithmic scales."),
        *(_choice(numbers, panel) for panel in panels if panel.is_chosen),
    ]
    if any(panel.num_rounding for panel in panels):
        parts.append(_left_out(numbers, panels))
    row = int(layers.index[int(layers["spectral_norm"].argmax())])
    name = layers.at[row, "name"]
    is_drawn = any(name in panel.names for panel in panels)
    parts.append(
        sentence(
            "The largest is {}, of <code>{}</code>{}.",
            numbers.cell(LAYERS, row, "spectral_norm", ".3g"),
            numbers.text(LAYERS, row, "name"),
            "" if is_drawn else ", which is not drawn",
        )
    )
    return joined(parts, " ")


def _choice(numbers: Numbers, panel: DrawnSpectra) -> Markup:
    """Return which matrices of a kind are drawn, where not all are."""
    return sentence(
        "Of the kind {}, {} of {} matrices are drawn, {}.",
        panel.kind,
        numbers.statistic("distinct", "lmd_spectrum", "name", {"name": panel.names}),
        numbers.statistic("distinct", "lmd_spectrum", "name", {"kind": panel.kind}),
        EVENLY,
    )


def _left_out(numbers: Numbers, panels: list[DrawnSpectra]) -> Markup:
    """Return that values of rounding are not drawn, and how many are, where the tables have that number."""
    where = {"name": [name for panel in panels for name in panel.names]}
    ranks = {**where, "rule": "numerical", "valid": True}
    if numbers.value("sum", "lmd_ranks", "rank", ranks) != sum(len(panel.rows) for panel in panels):
        return Markup("Values within rounding of zero are not drawn.")  # of N leading values more are known
    return sentence(
        "Drawn are {} of the {} values of these matrices; the others are {}.",
        numbers.statistic("sum", "lmd_ranks", "rank", ranks),
        numbers.statistic("count", "lmd_spectrum", None, {**where, "basis": "svd"}),
        ROUNDING,
    )
