"""The states in which a network is measured, and how a table of epochs gives them."""

import pandas as pd

UNTRAINED = "initial"
TRAINED = "trained"
DIFFERENCE = "difference"

STATES = (UNTRAINED, TRAINED, DIFFERENCE)
"""Epoch 0, the last epoch, and trained minus untrained."""


def last_epochs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each run's last epoch."""
    return frame[frame["epoch"] == frame.groupby("run")["epoch"].transform("max")]
