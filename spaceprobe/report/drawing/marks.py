"""Parts of figures: axes, lines of many runs, legends, and the notes below."""

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from spaceprobe.report.drawing.limits import COUNTED, keep_within
from spaceprobe.report.drawing.style import (
    BLUE,
    INK,
    LINES,
    MARKERS,
    MUTED,
    NOTE_WIDTH,
    ORANGE,
    PAPER,
    STYLE,
    empty_note,
    letters,
    new_figure,
    plain,
    sequence_colors,
    styled,
    that_fit,
)
from spaceprobe.tables.states import TRAINED, UNTRAINED

LEGEND_WIDTH = 110
"""Characters, keys and gaps in a line of a legend above a figure of full width."""

LINE_HEIGHT = 0.15
"""Of a line of a legend or a note, in inches."""

LEAST_WIDTH = 1.4
"""Inches of a panel that can be read. Chosen."""

MANY_EPOCHS = 100
"""Beyond which epochs are on a log scale, since most happens in the first ones. Chosen."""

SETTINGS_GAP = " · "
"""Between the settings of a group of runs."""

_NO_BREAK = "\N{NO-BREAK SPACE}"

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Look(NamedTuple):
    """How one of several things is drawn; the name stands in the legend."""

    name: str
    color: Any
    line: Any = "-"
    marker: str = ""
    fill: Any = None
    width: float | None = None


RULE_NAMES = {
    "functional": "functional rank",
    "participation": "participation ratio",
    "entropy": "entropy of energies",
    "roy_vetterli": "effective rank (Roy, Vetterli)",
    "stable_rank": "stable rank",
    "energy90": "90 % of the energy",
    "energy95": "95 % of the energy",
    "energy99": "99 % of the energy",
    "data95": "95 % of the data's variance",
    "data99": "99 % of the data's variance",
    "elbow": "elbow of the spectrum",
    "marchenko_pastur": "Marchenko-Pastur edge",
    "gavish_donoho": "Gavish-Donoho threshold",
    "numerical": "numerical rank",
}
"""What readers call the rules of lmd_ranks.csv."""


def rule_name(rule: str) -> str:
    """Return what readers call a rank rule; one that is not known is called as it is."""
    return RULE_NAMES.get(rule, rule)


STATE_LOOKS = {
    UNTRAINED: Look(UNTRAINED, ORANGE, "--", "s", PAPER),
    TRAINED: Look(TRAINED, BLUE, "-", "o", BLUE),
}
"""Filled and open, solid and dashed: told apart in grey as well."""


def sequence_looks(names: Sequence[object]) -> dict[Any, Look]:
    """Return a look for each of the names, which are in order, such as groups from shallow to deep."""
    colors = sequence_colors(len(names))
    return {
        name: Look(str(name), color, LINES[n % len(LINES)], MARKERS[n % len(MARKERS)], color)
        for n, (name, color) in enumerate(zip(names, colors, strict=True))
    }


def empty_figure(*reasons: str) -> Figure:
    """Return a figure that only says why it is empty."""
    with styled():
        figure = new_figure(height=1.4)
        empty_note(figure.axes[0], "; ".join(reasons))
    return figure


def grid_figure(num_panels: int, num_columns: int, *, height: float, **options: Any) -> Figure:
    """Return a figure with so many panels in rows; those left over in the last row are removed."""
    num_columns = max(1, min(num_panels, that_fit(num_columns, LEAST_WIDTH)))
    figure = new_figure(-(-num_panels // num_columns), num_columns, height=height, **options)
    for axes in figure.axes[num_panels:]:
        axes.remove()
    return figure


def short(text: str, width: int, num_lines: int = 2) -> str:
    r"""Return a text broken into a few lines, and cut where it is longer.

    Settings of a group stay whole where they fit into a line.

    >>> short("2x10 · lr 0.001", 12)
    '2x10 ·\nlr 0.001'
    """
    if num_lines > 1:
        parts = text.split(SETTINGS_GAP)
        whole = [part.replace(" ", _NO_BREAK) if len(part) <= width else part for part in parts]
        lines = [line.replace(_NO_BREAK, " ") for line in wrap(SETTINGS_GAP.join(whole), width)]
    else:
        lines = [text]
    if len(lines) > num_lines or any(len(line) > width for line in lines):
        lines = [*lines[: num_lines - 1], f"{lines[num_lines - 1][: width - 1]}…"]
    return plain("\n".join(lines))


def legend_above(figure: Figure, looks: Sequence[Look], *, has_markers: bool = False) -> None:
    """Draw one legend for all panels above them, in as many columns as there is room for."""
    handles = [
        Line2D(
            [], [], color=look.color, linestyle=look.line, label=short(look.name, min(60, letters(80)), 1),
            marker=look.marker if has_markers else "", markerfacecolor=look.fill,
            linewidth=STYLE["lines.linewidth"] if look.width is None else look.width,
        )
        for look in looks
    ]  # fmt: skip
    widths = [len(str(handle.get_label())) + 7 for handle in handles]
    room = letters(LEGEND_WIDTH)
    num_columns = len(handles) if sum(widths) <= room else max(1, room // max(widths))
    figure.legend(handles=handles, loc="outside upper center", ncols=num_columns, fontsize=7.5)
    _make_room(figure, -(-len(handles) // num_columns))


def name_below(figure: Figure, name: str, notes: Sequence[str] = ()) -> None:
    """Write the name of all x axes below the panels, if there is one, and below that the notes."""
    lines = [name] if name else []
    lines += [line for note in notes for line in wrap(note, letters(NOTE_WIDTH + 20))]
    if lines:
        color, size = (INK, 8.5) if name else (MUTED, 7.5)
        figure.supxlabel(plain("\n".join(lines)), fontsize=size, color=color)
        _make_room(figure, len(lines))


def _make_room(figure: Figure, num_lines: int) -> None:
    """Make a figure higher where a legend or notes take more than the two lines that it has room for."""
    figure.set_figheight(figure.get_figheight() + LINE_HEIGHT * max(0, num_lines - 2))


def draw_means(axes: Axes, rows: pd.DataFrame, x: Sequence[float], look: Look) -> None:
    """Draw means with their intervals as a line.

    Args:
        axes: where to draw.
        rows: columns mean, low and high.
        x: where each row is.
        look: of the line.
    """
    if rows.empty:  # an errorbar of nothing has a place in the layout: the figure's corner
        return
    ends = np.nan_to_num(np.abs([rows["low"] - rows["mean"], rows["high"] - rows["mean"]]))
    axes.errorbar(
        x, rows["mean"], ends, color=look.color, linestyle=look.line, capsize=2, elinewidth=0.8, linewidth=1,
        marker=look.marker, markersize=4, markerfacecolor=look.fill,
    )  # fmt: skip


def draw_runs(
    axes: Axes, runs: Sequence[tuple[pd.Series, pd.Series]], look: Look, *, width: float, alpha: float = 1.0
) -> None:
    """Draw a line for each run, all as one artist; on a log scale only values above 0."""
    lines = []
    for x, y in runs:
        values = y.to_numpy(float)
        if axes.get_yscale() == "log":
            values = np.where(values > 0, values, np.nan)
        lines.append(np.column_stack([x.to_numpy(float), values]))
    if not any(np.isfinite(line).all(axis=1).any() for line in lines):
        return
    axes.add_collection(
        LineCollection(lines, colors=[look.color], linestyles=[look.line], linewidths=width, alpha=alpha)
    )
    axes.autoscale_view()


def log_scale(axes: Axes, *names: str) -> None:
    """Make axes logarithmic, with ticks at 1, 2 and 5 where they span less than two decades."""
    for name in names:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(_LogTicks())
        axis.set_major_formatter(FuncFormatter(log_label))
        axis.set_minor_locator(NullLocator())


def log_scale_from_zero(axes: Axes, last: float) -> None:
    """Make the y axis logarithmic from 1 on, with a place for 0 below."""
    axes.set_yscale("symlog", linthresh=1, linscale=0.3)
    ticks = [tick for tick in _LogTicks().tick_values(1, max(2, last)) if 1 <= tick <= last]
    axes.yaxis.set_major_locator(FixedLocator([0, *ticks]))
    axes.yaxis.set_major_formatter(FuncFormatter(log_label))
    axes.yaxis.set_minor_locator(NullLocator())


def log_label(value: float, _: object = None) -> str:
    """Return a number as ticks show it.

    >>> log_label(0.05), log_label(1e-4), log_label(20_000)
    ('0.05', '10⁻⁴', '2·10⁴')
    """
    if value <= 0:
        return "0" if value == 0 else ""
    exponent = math.floor(math.log10(value) + 1e-9)
    if -3 <= exponent <= 3:
        return f"{value:g}"
    factor = value / 10.0**exponent
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    return power if round(factor, 6) == 1 else f"{factor:g}·{power}"


def count_axis(axes: Axes, most: int = 4) -> None:
    """Give the x axis whole numbers only, as for indices, layers and epochs; for limits see `keep_within`."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True, steps=[1, 2, 5, 10]))


def epoch_axis(axes: Axes, last: float) -> None:
    """Give the x axis of a panel with everything drawn epochs; from 1 on a log scale where there are many."""
    if last > MANY_EPOCHS:
        axes.set_xscale("symlog", linthresh=1)
        decades = 10 ** np.arange(0, math.floor(math.log10(last)) + 1)
        axes.xaxis.set_major_locator(FixedLocator([0, *decades.tolist()]))
        axes.xaxis.set_major_formatter(FuncFormatter(log_label))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        count_axis(axes)
    keep_within(axes, "x", COUNTED, low=0, high=1.1 * last if last > MANY_EPOCHS else 1.04 * max(1.0, last))


class _LogTicks(LogLocator):
    """Decades; over a short span 1, 2 and 5 of each, since one tick alone does not show a scale."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return the ticks between two limits above 0."""
        is_short = vmin > 0 and math.log10(max(vmin, vmax) / min(vmin, vmax)) < 2
        self.set_params(subs=(1.0, 2.0, 5.0) if is_short else (1.0,))
        return super().tick_values(vmin, vmax)

    def nonsingular(self, vmin: float, vmax: float) -> tuple[float, float]:
        """Return limits that differ: of values equal up to rounding, a decade to either side."""
        if vmin > 0 and max(vmin, vmax) / min(vmin, vmax) < 1 + 1e-6:
            vmin = vmax = max(vmin, vmax)
        limits: tuple[float, float] = super().nonsingular(vmin, vmax)
        return limits
