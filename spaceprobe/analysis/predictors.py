"""What folding is set against: depth, width, and the numbers that a study sweeps."""

from collections.abc import Sequence

import pandas as pd

from spaceprobe.tables.seeds import SEEDS


def predictors(runs: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    """Return depth, width and the numeric swept settings that vary, seeds left out.

    Args:
        runs: runs.csv.
        settings: its columns that hold swept settings.
    """
    numeric = runs[[name for name in settings if name not in SEEDS]].select_dtypes("number")
    return ["depth", "width", *(name for name in numeric.columns if numeric[name].nunique() > 1)]


def main_predictor(runs: pd.DataFrame, settings: Sequence[str]) -> str | None:
    """Return the one of depth and width with more values, else the first swept number; None for neither.

    At a fixed number of units width says the same as depth.

    Args:
        runs: runs.csv.
        settings: its columns that hold swept settings.
    """
    num_depths, num_widths = runs["depth"].nunique(), runs["width"].nunique()
    if max(num_depths, num_widths) > 1:
        return "width" if num_widths > num_depths else "depth"
    return next(iter(predictors(runs, settings)[2:]), None)
