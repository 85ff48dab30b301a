"""The states in which a network is measured, and how a table of epochs gives them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

UNTRAINED = "untrained"
TRAINED = "trained"
DIFFERENCE = "difference"

GIVEN_EPOCH = -1
"""Stands for the epoch of given weights: how long they were trained, and whether, is not known."""

STATES = (UNTRAINED, TRAINED, DIFFERENCE)
"""Epoch 0, the last epoch, and trained minus untrained, in the order of tables; readers see these names."""


def last_epochs(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of each run's last epoch."""
    return frame[frame["epoch"] == frame.groupby("run")["epoch"].transform("max")]


def by_state(frame: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """Return the rows of epoch 0 as untrained, and those of each run's last other epoch as trained.

    Given weights stand with the trained ones; `name_of_last` is what readers are told.
    """
    last = last_epochs(frame)
    return {UNTRAINED: frame[frame["epoch"] == 0], TRAINED: last[last["epoch"] != 0]}


def name_of_last(frame: "pd.DataFrame") -> str:
    """Return what the networks of the last epochs of a table are called: trained, or given where all are."""
    return "given" if len(frame) and (frame["epoch"] == GIVEN_EPOCH).all() else TRAINED
