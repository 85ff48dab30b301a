"""An x axis of the values of a setting."""

import numpy as np
from matplotlib.axes import Axes

from spaceprobe.report.drawing.marks import log_label, short
from spaceprobe.report.drawing.style import letters
from spaceprobe.stages import STAGES
from spaceprobe.tables.table import UNBOUNDED, Bounds

AXES = {"depth": "depth (hidden layers)", "width": "width (units a hidden layer)"}
"""Names of two axes; any other is called what its column is, in words."""

LOG_FROM = 8.0
"""Largest over smallest place from which an axis other than depth is logarithmic. Chosen."""

TICK_GAP = 0.035
"""Of a panel's width, for each character of two neighbouring tick labels that shall not meet."""


def setting_bounds(column: str) -> Bounds:
    """Return the range of depth, width or a setting, as the section of a study that it is of declares it.

    >>> setting_bounds("depth"), setting_bounds("random_labels")
    (Bounds(low=0, high=None), Bounds(low=0, high=1))
    """
    if column in AXES:
        return Bounds(0)
    fields = (section.model_fields for stage in STAGES for section in stage.sections.values())
    field = next((of_section[column] for of_section in fields if column in of_section), None)
    if field is None:
        return UNBOUNDED
    lows = [
        end
        for mark in field.metadata
        for name in ("ge", "gt")
        if (end := getattr(mark, name, None)) is not None
    ]
    highs = [
        end
        for mark in field.metadata
        for name in ("le", "lt")
        if (end := getattr(mark, name, None)) is not None
    ]
    return Bounds(max(lows, default=None), min(highs, default=None))


class NumberAxis:
    """Where the values of a swept number stand on an x axis."""

    def __init__(self, axis: str, values: list[float]) -> None:
        """Take the column and its different values, at least one, smallest first."""
        self.column = axis
        self.values = values
        self.is_log = axis != "depth" and values[0] > 0 and values[-1] >= LOG_FROM * values[0]
        scaled = np.log10(values) if self.is_log else np.array(values)
        self.span = float(scaled[-1] - scaled[0]) or 1.0
        self.unit = float(np.diff(scaled).min(initial=self.span))

    def shifted(self, value: float, shift: np.ndarray | float) -> np.ndarray:
        """Return places beside a value, moved by fractions of the smallest distance between two."""
        return np.asarray(value * 10 ** (shift * self.unit) if self.is_log else value + shift * self.unit)

    def prepare(self, axes: Axes) -> None:
        """Give a panel its x axis, with a tick at every value whose label does not touch the one before."""
        axes.set_xlabel(short(AXES.get(self.column, self.column.replace("_", " ")), letters(100) // 3))
        if self.is_log:
            axes.set_xscale("log")
        labelled, end = [], -np.inf
        for value in self.values:
            label = log_label(value) if value > 0 else f"{value:g}"
            scaled = np.log10(value) if self.is_log else value
            half = 0.5 * TICK_GAP * (len(label) + 1) * self.span
            if scaled - half >= end:
                labelled.append((value, label))
                end = scaled + half
        axes.set_xticks([value for value, _ in labelled], [label for _, label in labelled])
        axes.minorticks_off()
        first, last = self.values[0], self.values[-1]
        margin = max(0.12 * self.span / self.unit, 0.25)  # half a marker beyond the points beside a value
        low, high = float(self.shifted(first, -margin)), float(self.shifted(last, margin))
        bounds = setting_bounds(self.column)
        low = low if bounds.low is None else max(low, bounds.low)
        high = high if bounds.high is None else min(high, bounds.high)
        axes.set_xlim(low, high)  # points beside a value at the end of the range are not clipped
