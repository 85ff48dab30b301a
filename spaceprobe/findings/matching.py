"""Networks that are matched in a quantity, such as the accuracy."""

import numpy as np
import pandas as pd


def nearest(controls: pd.DataFrame, column: str, value: float) -> "pd.Series[float] | None":
    """Return the row whose column is nearest to a value, the first of several; None where none has a number.

    Args:
        controls: rows, in the order in which they are preferred.
        column: a column of numbers.
        value: what it shall be; NaN has no nearest.
    """
    distance = np.abs(controls[column].to_numpy(np.float64) - value)
    return None if np.isnan(distance).all() else controls.iloc[int(np.nanargmin(distance))]
