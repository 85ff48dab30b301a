"""Spectra of weight matrices, layer by layer."""

import pandas as pd
from matplotlib.figure import Figure

from spaceprobe.report.figures.marks import STATES, Look, draw_runs, empty_figure, legend_above, name_below
from spaceprobe.report.figures.panels import Panel, layer_grid
from spaceprobe.report.figures.style import MUTED, THIRD, TRAINED, UNTRAINED, corner_note, styled, titled
from spaceprobe.results.groups import compare, last_epochs, numbers

METRICS = {
    "svd": Look("identity", TRAINED, "-"),
    "data": Look("data", UNTRAINED, "--"),
    "laplacian": Look("laplacian", THIRD, ":"),
}
"""Bases in lmd_spectrum.csv by the metrics that they are of."""

CHOSEN = Look("chosen rank", THIRD, "-")
EDGE = Look("Marchenko-Pastur edge", MUTED, ":")

PANEL_HEIGHT = 1.5
"""In inches."""


def layer_spectra(
    runs: pd.DataFrame, spectrum: pd.DataFrame, ranks: pd.DataFrame, tails: pd.DataFrame | None = None
) -> Figure:
    """Draw the singular values of every layer on a log scale, trained and as they were initialised.

    A row of panels for each architecture, a panel for each layer, a line for each seed; values of 0 have no
    place. The dotted line is the Marchenko-Pastur edge of the known initialisation, the upright one the
    rank that the default rule chose, both at the median over seeds.

    Args:
        runs: runs.csv.
        spectrum: lmd_spectrum.csv.
        ranks: lmd_ranks.csv.
        tails: lmd_tails.csv, for the edge; None for none.
    """
    compared = compare(runs, last_epochs(spectrum[spectrum["basis"] == "svd"]))
    rows = numbers(compared.rows, ["value", "initial_value"])
    if not (rows[["value", "initial_value"]] > 0).any(axis=None):
        return empty_figure("no spectrum was measured", *compared.notes)
    chosen = numbers(last_epochs(ranks[ranks["default"].eq(other=True)]), ["rank"])
    edges = None if tails is None else numbers(last_epochs(tails), ["noise_edge"])
    initial, trained = STATES.values()
    with styled():
        grid = layer_grid(compared, height=PANEL_HEIGHT, is_log=True)
        for panel in grid.panels:
            by_run = [run for _, run in numbers(panel.rows, ["value", "initial_value"]).groupby("run")]
            is_trained = any((run["epoch"] > 0).any() for run in by_run)
            before = [(run["index"], run["initial_value"]) for run in by_run]
            draw_runs(panel.axes, before, initial, width=0.7)
            if is_trained:
                draw_runs(panel.axes, [(run["index"], run["value"]) for run in by_run], trained, width=0.9)
            _mark_rank(panel, chosen)
            edge = _median(edges, panel, "noise_edge")
            if edge is not None and edge > 0:
                panel.axes.axhline(edge, color=EDGE.color, linestyle=EDGE.line, linewidth=1)
        looks = [trained, initial, CHOSEN, *([] if tails is None else [EDGE])]
        legend_above(grid.figure, looks)
        name_below(grid.figure, "index of the singular value", grid.notes)
        grid.figure.supylabel("singular value", fontsize=8.5)
    return grid.figure


def latent_spectra(runs: pd.DataFrame, spectrum: pd.DataFrame) -> Figure:
    """Draw S' by metric for every layer, each divided by its largest value; means over seeds.

    Args:
        runs: runs.csv.
        spectrum: lmd_spectrum.csv.
    """
    known = spectrum[spectrum["basis"].isin([*METRICS])]
    known = numbers(known, ["value"])
    compared = compare(runs, last_epochs(known[known["value"] > 0]))
    if compared.rows.empty:
        return empty_figure("no spectrum was measured", *compared.notes)
    with styled():
        grid = layer_grid(compared, height=PANEL_HEIGHT, is_log=True)
        for panel in grid.panels:
            for basis, rows in panel.rows.groupby("basis"):
                scaled = rows["value"] / rows.groupby("run")["value"].transform("max")
                means = scaled.groupby(rows["index"]).mean().reset_index()
                draw_runs(panel.axes, [(means["index"], means["value"])], METRICS[str(basis)], width=1.4)
        legend_above(grid.figure, [METRICS[name] for name in METRICS if name in {*compared.rows["basis"]}])
        name_below(grid.figure, "index", grid.notes)
        grid.figure.supylabel("S′ / its largest value", fontsize=8.5)
    return grid.figure


def _mark_rank(panel: Panel, chosen: pd.DataFrame) -> None:
    rank = _median(chosen, panel, "rank")
    if rank is None:
        return
    panel.axes.axvline(rank, color=CHOSEN.color, linestyle=CHOSEN.line, linewidth=0.9)
    corner_note(panel.axes, [(f"n′ = {rank:g}", CHOSEN.color)], "lower left")
    num_runs = panel.rows["run"].nunique()
    panel.axes.set_gid(
        titled(f"{panel.group}, layer {panel.layer}: n′ = {rank:g}, median of {num_runs} runs")
    )


def _median(table: pd.DataFrame | None, panel: Panel, column: str) -> float | None:
    """Return the median over the runs of a panel, at its layer; None where there is no value."""
    if table is None:
        return None
    rows = table[table["run"].isin(panel.rows["run"]) & (table["layer"] == panel.layer)]
    values = rows[column].dropna()
    return None if values.empty else float(values.median())
