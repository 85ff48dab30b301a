"""The readings of a network: which columns tell them apart, and the one that figures show of several."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spaceprobe.stages import TABLES
from spaceprobe.stages.train.tables import RUNS

DECLARED = {table.name: table for table in TABLES}
"""The tables that stages write, by name."""


def reading_columns(name: str, frame: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Return the columns of a table that tell the readings of one network apart, in their order.

    They are the swept settings of a probe, and what the table declares as a setting.

    Args:
        name: of the table.
        frame: the table.
        runs: runs.csv, whose swept settings tell networks apart, not readings of one.
    """
    columns = {*DECLARED[name].readings(frame)} - {*RUNS.settings(runs)}
    return [column for column in frame.columns if column in columns]


def one_reading(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of one reading of networks, and a note on it where there were others.

    The exact method goes first, then the most points, then the most images of a class, then what stands
    first in the table.

    Args:
        frame: a table.
        columns: those that tell its readings apart; see `reading_columns`.
    """
    readings = frame[[*columns]].drop_duplicates(ignore_index=True)
    if not columns or len(readings) < 2:
        return frame, []
    ranks = pd.DataFrame(index=readings.index)
    if "method" in readings:
        ranks["is_other"] = readings["method"] != "exact"
        ranks["points"] = -pd.to_numeric(readings["num_points"]).fillna(0)
    if "per_class" in readings:  # "all" is not a number
        ranks["images"] = -pd.to_numeric(readings["per_class"], errors="coerce").fillna(np.inf)
    order = ranks.sort_values([*ranks.columns], kind="stable").index if len(ranks.columns) else ranks.index
    best = readings.loc[order[:1]]
    varying = [name for name in columns if readings[name].nunique(dropna=False) > 1]
    values = [f"{name} {best[name].iloc[0]}" for name in varying if not best[name].isna().iloc[0]]
    return matching(frame, best), [f"of {len(readings)} ways of reading them: {', '.join(values)}"]


def matching(frame: pd.DataFrame, reading: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that agree with a single row in every column that both have."""
    agrees = pd.Series(data=True, index=frame.index)
    for name in reading.columns.intersection(frame.columns):
        value = reading[name].iloc[0]
        agrees &= frame[name].isna() if pd.isna(value) else frame[name] == value
    return frame[agrees]


def shown_reading(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the reading of paths that figures show, as a row; it has no columns where none was measured."""
    if "folding" not in frames or frames["folding"].empty:
        return pd.DataFrame(index=[0])
    columns = reading_columns("folding", frames["folding"], frames["runs"])
    return one_reading(frames["folding"], columns)[0].iloc[:1][columns]
