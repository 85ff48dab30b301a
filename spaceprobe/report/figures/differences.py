"""The differences of two studies, group by group, for the page that compares them."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spaceprobe.report.drawing.limits import bounds_of, keep_within
from spaceprobe.report.drawing.marks import STATE_LOOKS
from spaceprobe.report.drawing.style import (
    BLUE,
    GRAY,
    INK,
    MARKERS,
    ORANGE,
    empty_note,
    format_number,
    new_figure,
    styled,
    titled,
)
from spaceprobe.results.groups import LABEL
from spaceprobe.results.side_by_side import one_reading_each, with_group_names
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.states import TRAINED, UNTRAINED

NAMES = {
    "test_accuracy": "test accuracy",
    "test_loss": "test loss (nats)",
    "chi_folded_mean": "share of paths that fold",
    "chi_max": "largest χ",
    "chi_row_max_median": "row maxima of χ",
}
"""Quantities that have a panel each, and their names."""

RANKS = {
    "rank_participation": "participation ratio",
    "rank_data99": "99 % of the data's variance",
    "rank_functional": "functional rank",
}
"""Ranks of layers, in one panel together."""

STATES = (TRAINED, UNTRAINED)

RANK_COLORS = (BLUE, ORANGE, GRAY)

MAX_ROWS = 30
"""Of a panel; the figure says how many more the table has. Chosen: a figure is at most 18 in high."""

ROW_HEIGHT, MARGIN = 0.17, 0.75
"""Of a row, and of a panel's axis and title, in inches."""


def differences_figure(
    differences: pd.DataFrame, group_columns: Sequence[str], reading_columns: Sequence[str] = ()
) -> Figure:
    """Draw the differences of two studies with their intervals, a row for each group that both have.

    Every quantity has a panel: filled markers are trained networks, open ones untrained. Below are the ranks
    of the trained layers, with a row for each layer. A point without ends of a bar has no interval; the line
    at 0 is no difference. Where paths were read in several ways, the exact one is drawn, else that with the
    most points. In an SVG every point has its numbers as a title.

    Args:
        differences: differences.csv.
        group_columns: its columns that tell groups of runs apart.
        reading_columns: its columns that tell readings of one network apart.
    """
    rows = with_group_names(one_reading_each(differences, reading_columns), group_columns)
    panels = [quantity for quantity in NAMES if (rows["quantity"] == quantity).any()]
    ranks = rows[rows["quantity"].isin(list(RANKS)) & (rows["state"] == TRAINED)]
    ranks = ranks.astype({"layer": int})  # a column with empty cells is read back as floats
    with styled():
        if not panels and ranks.empty:
            figure = new_figure(height=1.2)
            empty_note(figure.axes[0], "the two studies have no measured group in common")
            return figure
        groups = list(rows.loc[rows["quantity"].isin(panels), LABEL].unique())
        order = {label: number for number, label in enumerate(rows[LABEL].unique())}
        layers = sorted(
            {*zip(ranks[LABEL], ranks["layer"], strict=True)}, key=lambda row: (order[row[0]], row[1])
        )
        num_columns = min(3, max(1, len(panels)))
        heights = [_height(len(groups))] * -(-len(panels) // num_columns)
        heights += [_height(len(layers))] if layers else []
        figure = new_figure(len(heights), num_columns, height_ratios=heights)
        figure.set_size_inches(figure.get_figwidth(), sum(heights) + MARGIN / 3)
        small = figure.axes[: len(figure.axes) - num_columns] if layers else figure.axes
        for axes, quantity in zip(small, panels, strict=False):
            _forest(axes, rows[rows["quantity"] == quantity], groups[:MAX_ROWS], NAMES[quantity])
        for number, axes in enumerate(small):
            if number % num_columns:
                axes.tick_params(labelleft=False)
            if number >= len(panels):
                axes.set_axis_off()
        if panels:
            seen = set(rows.loc[rows["quantity"].isin(panels), "state"])
            _legend(small, len(panels), [state for state in STATES if state in seen])
        if layers:
            _rank_panel(figure, num_columns, ranks, layers)
        more = f"; the first {MAX_ROWS} of {len(groups)} groups" if len(groups) > MAX_ROWS else ""
        figure.supxlabel(
            f"difference, second study minus first, with its 95 % t interval{more}", fontsize=8.5
        )
    return figure


def _height(num_rows: int) -> float:
    """Return the height of a panel in inches."""
    return MARGIN + ROW_HEIGHT * min(max(num_rows, 3), MAX_ROWS)


def _forest(axes: Axes, rows: pd.DataFrame, groups: Sequence[str], name: str) -> None:
    """Draw one quantity: a row for each group, trained and untrained."""
    place = {group: number for number, group in enumerate(groups)}
    states = [state for state in STATES if (rows["state"] == state).any()]
    for number, state in enumerate(states):
        look = STATE_LOOKS[state]
        of_state = rows[(rows["state"] == state) & rows[LABEL].isin(list(groups))]
        shift = 0.16 * (2 * number - len(states) + 1)
        places = [place[group] + shift for group in of_state[LABEL]]
        titles = [f"{group}, {look.name}" for group in of_state[LABEL]]
        _points(axes, of_state, places, titles, (look.color, look.marker, look.fill))
    _finish(axes, groups)
    axes.set_xlabel(name)
    quantity = str(rows["quantity"].iloc[0])
    of_value = bounds_of("runs" if quantity in RUNS.names else "aggregates", quantity)
    keep_within(axes, "x", of_value.of_difference())


def _rank_panel(
    figure: Figure, num_columns: int, ranks: pd.DataFrame, layers: Sequence[tuple[str, int]]
) -> None:
    """Draw the ranks of trained layers in the last row of a figure, over its whole width."""
    last = figure.axes[-num_columns:]
    grid = last[0].get_subplotspec().get_gridspec()  # type: ignore[union-attr]  # `new_figure` gave it one
    for axes in last:
        axes.remove()
    axes = figure.add_subplot(grid[-1, :])
    place = {row: number for number, row in enumerate(layers[:MAX_ROWS])}
    is_drawn = [row in place for row in zip(ranks[LABEL], ranks["layer"], strict=True)]
    ranks = ranks[is_drawn]
    rules = [rule for rule in RANKS if (ranks["quantity"] == rule).any()]
    for number, rule in enumerate(rules):
        by_rule = ranks[ranks["quantity"] == rule]
        rows = list(zip(by_rule[LABEL], by_rule["layer"], strict=True))
        places = [place[row] + 0.22 * (number - (len(rules) - 1) / 2) for row in rows]
        titles = [f"{group}, layer {layer}, {RANKS[rule]}" for group, layer in rows]
        color = RANK_COLORS[number % len(RANK_COLORS)]
        _points(axes, by_rule, places, titles, (color, MARKERS[number], color), RANKS[rule])
    _finish(axes, [f"{label}, layer {layer}" for label, layer in place], num_ticks=9)
    more = f" (the first {MAX_ROWS} of {len(layers)} layers)" if len(layers) > MAX_ROWS else ""
    axes.set_xlabel(f"components of a trained layer{more}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(RANKS), borderaxespad=0.2)


def _points(
    axes: Axes,
    rows: pd.DataFrame,
    places: Sequence[float],
    titles: Sequence[str],
    look: tuple[str, str, str],
    name: str | None = None,
) -> None:
    """Draw differences with their intervals, where they have one."""
    color, marker, fill = look
    spread = rows["low"].notna().to_numpy()
    at = pd.Series([*places], dtype=float)
    axes.hlines(at[spread], rows["low"][spread], rows["high"][spread], color=color, linewidth=1.1)
    # The ends are marked, so that an interval of no width can be seen.
    for end in ("low", "high"):
        axes.plot(rows[end][spread], at[spread], "|", color=color, markersize=7, markeredgewidth=0.9)
    for number, (value, low, high, place, title) in enumerate(
        zip(rows["difference"], rows["low"], rows["high"], places, titles, strict=True)
    ):
        interval = "no interval" if low != low else f"[{format_number(low)}, {format_number(high)}]"
        axes.plot(
            value,
            place,
            linestyle="none",
            marker=marker,
            markersize=4,
            markerfacecolor=fill,
            markeredgecolor=color,
            gid=titled(f"{title}: {format_number(value)} {interval}"),
            label=name if number == 0 else None,
        )


def _finish(axes: Axes, names: Sequence[str], num_ticks: int = 4) -> None:
    """Draw the line of no difference and name the rows, the first on top."""
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(names)), [*names], fontsize=7.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=num_ticks)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _legend(panels: Sequence[Axes], num_drawn: int, states: Sequence[str]) -> None:
    """Write which marker is which state into the place without a panel, else above the first panel."""
    for state in states:
        look = STATE_LOOKS[state]
        panels[0].plot(
            [], [], color=look.color, label=look.name, linewidth=1.1,
            marker=look.marker, markersize=4, markerfacecolor=look.fill,
        )  # fmt: skip
    handles, labels = panels[0].get_legend_handles_labels()
    if num_drawn < len(panels):
        panels[num_drawn].legend(handles, labels, loc="center left")
    else:
        panels[0].legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
