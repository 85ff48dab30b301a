"""The values S′ of weight matrices by latent metric."""

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import NUMBERED, keep_within
from spaceprobe.report.drawing.marks import Look, draw_runs, empty_figure, legend_above, name_below
from spaceprobe.report.drawing.panels import layer_grid
from spaceprobe.report.drawing.style import BLUE, GRAY, ORANGE, styled
from spaceprobe.report.entry import AT_END, FigureEntry, sentence, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import latent_values
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

METRICS = {
    "svd": Look("identity (singular values)", BLUE, "-"),
    "data": Look("data metric", ORANGE, "--"),
    "laplacian": Look("graph metric (Laplacian)", GRAY, ":"),
}
"""Bases in lmd_spectrum.csv by the metrics that they are of."""


def latent_spectra(runs: pd.DataFrame, spectrum: pd.DataFrame) -> Figure:
    """Draw S' by metric for every layer, each divided by its largest value; means over seeds.

    Args:
        runs: runs.csv.
        spectrum: lmd_spectrum.csv.
    """
    grouped = latent_values(runs, spectrum, [*METRICS])
    if grouped.rows.empty:
        return empty_figure("no spectrum was measured", *grouped.notes)
    with styled():
        grid = layer_grid(grouped, height=1.5, is_log=True)
        for panel in grid.panels:
            for basis, rows in panel.rows.groupby("basis"):
                scaled = rows["value"] / rows.groupby("run")["value"].transform("max")
                means = scaled.groupby(rows["index"]).mean().reset_index()
                draw_runs(panel.axes, [(means["index"], means["value"])], METRICS[str(basis)], width=1.4)
        for panel in grid.panels:
            keep_within(panel.axes, "x", NUMBERED)
            keep_within(panel.axes, "y", Bounds(0, 1))
        legend_above(grid.figure, [METRICS[name] for name in METRICS if name in {*grouped.rows["basis"]}])
        name_below(grid.figure, "index", grid.notes)
        grid.figure.supylabel("S′ / its largest value", fontsize=8.5)
    return grid.figure


def _one_metric(results: Results) -> str | None:
    """Return why there are no two metrics to compare."""
    if results.frames["lmd_spectrum"]["basis"].nunique() < 2:
        return "the study asks for one metric only (lmd.metrics)"
    return None


def _caption(numbers: Numbers) -> Markup:
    """Describe which metrics could be fitted."""
    return sentence(
        "S′ of every layer in each latent metric, over its largest value. Of {} decompositions {} {} are "
        "valid; of the others lmd_layers.csv says why not.",
        numbers.statistic("count", "lmd_layers", None, AT_END),
        when(numbers, "lmd_layers"),
        numbers.statistic("count", "lmd_layers", None, {"valid": True, **AT_END}),
    )


ENTRY = FigureEntry(
    title="S′ by metric",
    section="matrices",
    function=latent_spectra,
    tables=("runs", "lmd_spectrum"),
    drawn=lambda runs, spectrum: latent_values(runs, spectrum, [*METRICS]),
    needs=("lmd_layers", "lmd_spectrum"),
    unless=_one_metric,
    caption=_caption,
)
