"""What the intervals of differences from the first value of a setting say."""

import numpy as np
import pandas as pd

from spaceprobe.analysis.by_seed import spans_zero

QUANTITY, VERDICT = "quantity", "verdict"

FIRST, DIFFERS, SPANS_ZERO, NO_INTERVAL = "first", "differs", "spans zero", "no interval"
"""What an interval says of a difference from the first value."""


def with_verdicts(table: pd.DataFrame, axis: str, first: object) -> pd.DataFrame:
    """Return the table of `differences_by` with the column ``verdict``."""
    cases = [table[axis] == first, table["difference_low"].isna(), spans_zero(table)]
    return table.assign(**{VERDICT: np.select(cases, [FIRST, NO_INTERVAL, SPANS_ZERO], DIFFERS)})
