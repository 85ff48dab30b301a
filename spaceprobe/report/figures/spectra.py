"""The singular values of weight matrices, layer by layer."""

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import NUMBERED, keep_within
from spaceprobe.report.drawing.marks import (
    STATE_LOOKS,
    Look,
    draw_runs,
    empty_figure,
    legend_above,
    name_below,
)
from spaceprobe.report.drawing.panels import Panel, layer_grid
from spaceprobe.report.drawing.style import GRAY, MUTED, styled, titled
from spaceprobe.report.entry import AT_END, FigureEntry, sentence, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import default_ranks, noise_edges, singular_values

CHOSEN = Look("chosen rank n′", GRAY, "-")
EDGE = Look("Marchenko-Pastur edge", MUTED, ":")


def layer_spectra(
    runs: pd.DataFrame, spectrum: pd.DataFrame, ranks: pd.DataFrame, tails: pd.DataFrame | None = None
) -> Figure:
    """Draw the singular values of every layer on a log scale, trained and untrained.

    A row of panels for each architecture, a panel for each layer, a line for each seed; values of 0 have no
    place. The dotted line is the Marchenko-Pastur edge of the known initialisation, the vertical one the
    rank that the default rule chose, both at the median over seeds.

    Args:
        runs: runs.csv.
        spectrum: lmd_spectrum.csv.
        ranks: lmd_ranks.csv.
        tails: lmd_tails.csv, for the edge; None for none.
    """
    grouped = singular_values(runs, spectrum)
    if not (grouped.rows[["value", "untrained_value"]] > 0).any(axis=None):
        return empty_figure("no spectrum was measured", *grouped.notes)
    chosen = default_ranks(ranks)
    edges = None if tails is None else noise_edges(tails)
    untrained, trained = STATE_LOOKS.values()
    with styled():
        grid = layer_grid(grouped, height=1.5, is_log=True)
        for panel in grid.panels:
            by_run = [run for _, run in panel.rows.groupby("run")]
            is_trained = any((run["epoch"] > 0).any() for run in by_run)
            before = [(run["index"], run["untrained_value"]) for run in by_run]
            draw_runs(panel.axes, before, untrained, width=0.7)
            if is_trained:
                draw_runs(panel.axes, [(run["index"], run["value"]) for run in by_run], trained, width=0.9)
            _mark_rank(panel, chosen)
            edge = _median(edges, panel, "noise_edge")
            if edge is not None and edge > 0:
                panel.axes.axhline(edge, color=EDGE.color, linestyle=EDGE.line, linewidth=1)
            keep_within(panel.axes, "x", NUMBERED)
        marks = [(CHOSEN, chosen, "rank"), (EDGE, edges, "noise_edge")]
        drawn = [
            look
            for look, table, column in marks
            if any((_median(table, panel, column) or 0) > 0 for panel in grid.panels)
        ]
        legend_above(grid.figure, [trained, untrained, *drawn])
        name_below(grid.figure, "index of the singular value", grid.notes)
        grid.figure.supylabel("singular value", fontsize=8.5)
    return grid.figure


def _mark_rank(panel: Panel, chosen: pd.DataFrame) -> None:
    rank = _median(chosen, panel, "rank")
    if rank is None:
        return
    panel.axes.axvline(rank, color=CHOSEN.color, linestyle=CHOSEN.line, linewidth=0.9)
    num_runs = panel.rows["run"].nunique()
    name = "median n′" if num_runs > 1 else "n′"
    panel.axes.set_title(f"{panel.axes.get_title(loc='left')}, {name} = {rank:g}", fontsize=7, loc="left")
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


def _caption(numbers: Numbers) -> Markup:
    """Describe how exact the decompositions are."""
    return sentence(
        "Singular values of every layer, trained (solid) and untrained (dashed); the dotted line is the "
        "Marchenko-Pastur edge of the initialisation, the upright one the rank n′ of the default rule, both "
        "at the median over seeds. The largest singular value {} is {}; no factorisation is off by more than "
        "{} of its matrix.",
        when(numbers, "lmd_layers"),
        numbers.statistic("max", "lmd_layers", "spectral_norm", AT_END, ".3g"),
        numbers.statistic("max", "lmd_layers", "reconstruction_error", None, ".1e"),
    )


ENTRY = FigureEntry(
    title="Singular values, layer by layer",
    section="matrices",
    function=layer_spectra,
    tables=("runs", "lmd_spectrum", "lmd_ranks", "lmd_tails"),
    drawn=lambda runs, spectrum, _ranks, _tails: singular_values(runs, spectrum),
    adds={
        "lmd_ranks": lambda numbers: bool(default_ranks(numbers.frames["lmd_ranks"])["rank"].notna().any()),
        "lmd_tails": lambda numbers: bool((noise_edges(numbers.frames["lmd_tails"])["noise_edge"] > 0).any()),
    },
    needs=("lmd_spectrum", "lmd_ranks", "lmd_layers"),
    caption=_caption,
)
