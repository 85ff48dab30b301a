"""The states in which a network is measured, and how a table of epochs gives them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

UNTRAINED = "untrained"
TRAINED = "trained"
DIFFERENCE = "difference"

STATES = (UNTRAINED, TRAINED, DIFFERENCE)
"""Epoch 0, the last epoch, and trained minus untrained, in the order of tables; readers see these names."""


def last_epochs(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of each run's last epoch."""
    return frame[frame["epoch"] == frame.groupby("run")["epoch"].transform("max")]


def by_state(frame: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """Return the rows of epoch 0 as untrained, and those of each run's last other epoch as trained.

    Given weights, whose epoch is -1, stand with the trained ones; `given_sentence` says which runs have them.
    """
    last = last_epochs(frame)
    return {UNTRAINED: frame[frame["epoch"] == 0], TRAINED: last[last["epoch"] != 0]}
