"""Networks that are matched in a quantity, such as the accuracy."""

import pandas as pd


def nearest(controls: pd.DataFrame, column: str, value: float) -> "pd.Series[float] | None":
    """Return the row whose column is nearest to a value, the first of several; None where none has a number.

    Args:
        controls: rows, in the order in which they are preferred.
        column: a column of numbers.
        value: what it shall be; NaN has no nearest.
    """
    distance = (controls[column] - value).abs()
    return None if distance.isna().all() else controls.iloc[int(distance.reset_index(drop=True).idxmin())]
