"""Folding against the first number that is swept, other than depth and width."""

import pandas as pd

from spaceprobe.report.figures.depth import entry_against
from spaceprobe.results.questions import varying_predictors


def _setting(runs: pd.DataFrame) -> str | None:
    return next((name for name in varying_predictors(runs) if name not in ("depth", "width")), None)


ENTRY = entry_against("setting", "Folding against another setting", _setting)
