"""Networks in a column: a dot each, and their mean with its interval."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.report.drawing.marks import Look
from spaceprobe.tables.table import Bounds


def draw_column(
    axes: Axes, x: float, networks: pd.DataFrame, measure: str, look: Look, bounds: Bounds
) -> None:
    """Draw the networks that have a number, and their mean over seeds with its interval.

    Args:
        axes: a panel.
        x: where.
        networks: rows with ``seed`` and the measure.
        measure: a column.
        look: of all marks.
        bounds: of the measure.
    """
    values = networks[measure].dropna()
    if values.empty:
        return
    axes.plot(
        [x] * len(values), values, linestyle="none", marker=".", markersize=2.5, color=look.color, alpha=0.4
    )
    mean = means_by(networks.assign(column=0), ["column"], measure, bounds).iloc[0]
    ends = np.nan_to_num([[mean["mean"] - mean["low"]], [mean["high"] - mean["mean"]]])
    axes.errorbar(
        [x], [mean["mean"]], ends.tolist(), color=look.color, linestyle="none", capsize=2.5, elinewidth=1,
        marker=look.marker, markersize=4.5, markerfacecolor=look.fill, clip_on=False,
    )  # fmt: skip
