"""The ranks of weight matrices by rule, against the rank that the network needs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import COUNTED, NUMBERED, keep_within
from spaceprobe.report.drawing.marks import (
    LEAST_WIDTH,
    Look,
    empty_figure,
    grid_figure,
    legend_above,
    log_scale,
    log_scale_from_zero,
    name_below,
    rule_name,
    sequence_looks,
    short,
)
from spaceprobe.report.drawing.style import MUTED, styled, that_fit
from spaceprobe.report.entry import AT_END, FigureEntry, joined, sentence, when
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.figure_rows import FUNCTIONAL, ranks_beside_functional
from spaceprobe.results.groups import GroupedRows
from spaceprobe.results.questions import has_valid_rank
from spaceprobe.results.readings import one_reading, reading_columns
from spaceprobe.results.results import Results

FIT = "below the rules: geometric mean of rank / functional rank, root mean square of its logarithm"

JUST = Look("just the rank needed", MUTED, "-", width=0.8)

MAX_RULES = 16
"""That are drawn. There are fewer; a table of another program may have more."""


def ranks_against_functional(ranks: pd.DataFrame, runs: pd.DataFrame | None = None) -> Figure:
    """Draw the rank that each rule gives against the functional rank, a point for each layer of a run.

    On the diagonal a rule gives just the rank that the network needs. In the title stand the geometric mean
    of rank / functional rank and the root mean square of its logarithm, both of ranks above 0. Layers with
    functional rank 0 are left out.

    Args:
        ranks: lmd_ranks.csv with the rule ``functional``, of each run's last epoch.
        runs: runs.csv, for leaving out runs that failed; None for all runs.
    """
    points, notes = ranks_beside_functional(ranks, runs)
    with_rank = [*dict.fromkeys(points["rule"])]
    rules = with_rank[:MAX_RULES]
    if not rules:
        return empty_figure("no functional rank was measured", *notes)
    looks = sequence_looks(sorted(points["layer"].unique()))
    largest = points[["functional_rank", "rank"]].to_numpy(float).max()
    num_layers = len(points[["run", "layer"]].drop_duplicates())
    has_zero = bool((points["rank"] == 0).any())
    with styled():
        figure = grid_figure(len(rules), 4, height=1.65, sharex=True, sharey=True)
        log_scale(figure.axes[0], "x", "y")
        if has_zero:
            log_scale_from_zero(figure.axes[0], largest)
        for axes, rule in zip(figure.axes, rules, strict=True):
            axes.plot([1, largest], [1, largest], color=JUST.color, linewidth=JUST.width)
            of_rule = points[points["rule"] == rule]
            for layer, rows in of_rule.groupby("layer"):
                _draw_points(axes, rows, looks[layer])
            axes.set_title(f"{short(rule_name(rule), 24)}\n{_fit(of_rule, num_layers)}", fontsize=7.5)
        for axes in figure.axes:  # which share their limits, but each clips its own
            keep_within(axes, "x", NUMBERED)
            keep_within(axes, "y", COUNTED if has_zero else NUMBERED, low=0 if has_zero else None)
        for axes in figure.axes[-that_fit(4, LEAST_WIDTH) :]:
            axes.tick_params(labelbottom=True)
        names = [look._replace(name=f"layer {layer}", line="none") for layer, look in looks.items()]
        names.append(JUST)
        legend_above(figure, names, has_markers=True)
        fit = FIT + (", both of ranks above 0" if has_zero else "")
        missing = _without_valid_rank(ranks, with_rank)
        name_below(figure, "functional rank: the smallest that keeps the accuracy", [fit, *missing, *notes])
        figure.supylabel("rank by rule", fontsize=8.5)
    return figure


def _without_valid_rank(ranks: pd.DataFrame, with_rank: Sequence[str]) -> list[str]:
    """Return the note on rules that have no valid rank, where there are some."""
    names = [rule_name(rule) for rule in dict.fromkeys(ranks["rule"]) if rule not in (FUNCTIONAL, *with_rank)]
    return [f"without a valid rank in these layers: {', '.join(names)}"] if names else []


def _draw_points(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    axes.plot(
        rows["functional_rank"], rows["rank"],
        linestyle="none", marker=look.marker, color=look.color, markersize=3.5, alpha=0.8,
    )  # fmt: skip


def _fit(rows: pd.DataFrame, num_layers: int) -> str:
    """Return how far a rule is off: the geometric mean of its ratios, their spread, and where it has none."""
    above = rows[rows["rank"] > 0]
    errors = np.log(above["rank"].to_numpy(float) / above["functional_rank"].to_numpy(float))
    parts = [f"×{np.exp(errors.mean()):.2f}, {np.sqrt((errors**2).mean()):.2f}"] if len(above) else []
    if len(above) < len(rows):
        parts.append(f"0 in {len(rows) - len(above)} of {len(rows)}")
    elif len(rows) < num_layers:
        parts.append(f"{len(rows)} of {num_layers} valid")
    return "\n".join(parts)


def _no_functional_rank(results: Results) -> str | None:
    """Return why there is no functional rank to compare with."""
    if has_valid_rank(results.frames["lmd_ranks"], FUNCTIONAL):
        return None
    if results.has("lmd_functional"):
        return "no layer has a valid one; in lmd_ranks.csv the column reason says why"
    return "the study does not ask for it (lmd.probes: functional-rank)"


def _drawn(ranks: pd.DataFrame, runs: pd.DataFrame) -> GroupedRows:
    points, notes = ranks_beside_functional(ranks, runs)
    return GroupedRows(points, [], notes)


def _caption(numbers: Numbers) -> Markup:
    """Describe how the rules stand to the functional rank."""
    table = numbers.frames["lmd_ranks"]
    rules = [
        rule for rule in (FUNCTIONAL, "data99", "participation", "energy95") if has_valid_rank(table, rule)
    ]
    parts = [
        sentence(
            "{} by <code>{}</code>",
            numbers.statistic("median", "lmd_ranks", "rank", {"rule": rule, "valid": True, **AT_END}, "g"),
            rule_name(rule),
        )
        for rule in rules
    ]
    how_to_read = sentence(
        "A point is a layer of a run. On the diagonal a rule gives just the rank that the network needs to "
        "keep its accuracy; above it keeps too much. Medians over layers {}: {}.",
        when(numbers, "lmd_ranks"),
        joined(parts),
    )
    return how_to_read + _left_out(numbers)


def _left_out(numbers: Numbers) -> Markup:
    """Describe which layers have no point, where there are some."""
    table = numbers.frames["lmd_ranks"]
    columns = reading_columns("lmd_ranks", table, numbers.frames["runs"])
    values = one_reading(table, columns)[0][columns].astype(object).iloc[0]
    reading = {name: values[name] for name in columns if pd.notna(values[name])}
    layers: dict[str, Any] = {"rule": FUNCTIONAL, **reading, **AT_END}
    unneeded = {**layers, "rank": 0}
    if not numbers.value("count", "lmd_ranks", None, unneeded):
        return Markup()
    return sentence(
        " Left out are {} of {} layers with functional rank 0, without whose weights the network keeps its "
        "accuracy, and networks that have no other layer.",
        numbers.statistic("count", "lmd_ranks", None, unneeded),
        numbers.statistic("count", "lmd_ranks", None, layers),
    )


ENTRY = FigureEntry(
    title="Ranks by rule against the functional rank",
    section="matrices",
    function=ranks_against_functional,
    tables=("lmd_ranks", "runs"),
    drawn=_drawn,
    unless=_no_functional_rank,
    caption=_caption,
)
