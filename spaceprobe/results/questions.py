"""Which rows of a study's tables answer the questions that figures and pages ask."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spaceprobe.analysis.correlations import PRIMARY_RESPONSE
from spaceprobe.analysis.predictors import predictors
from spaceprobe.results.groups import (
    LABEL,
    group_order,
    matching,
    one_reading,
    reading_keys,
    with_groups,
)
from spaceprobe.stages.train.tables import RUNS

Frames = Mapping[str, pd.DataFrame]

STATES = {"trained": "trained", "untrained": "untrained"}
"""The states of a network in the tables, and what a reader is told."""

OVER_SEEDS, POOLED = "t over seeds", "Fisher z"
"""Intervals of correlations.csv."""


def varying_predictors(runs: pd.DataFrame) -> list[str]:
    """Return depth, width and the numeric swept settings, those of them that vary."""
    return [name for name in predictors(runs, RUNS.settings(runs)) if runs[name].nunique() > 1]


def correlation_row(
    frames: Frames, predictor: str, state: str, *, given: str = "none", response: str = PRIMARY_RESPONSE
) -> int | None:
    """Return the row of correlations.csv with the correlation over seeds, else with the pooled one.

    None where neither is there, nor the table. It is of all runs, whatever their accuracy.
    """
    if "correlations" not in frames:
        return None
    table = _as_read(frames, "correlations")
    asked = (table["predictor"] == predictor) & (table["response"] == response) & (table["state"] == state)
    asked &= (table["given"] == given) & (table["min_accuracy"] == 0) & (table["seed"].astype(str) == "all")
    rows = table[asked & table["pearson"].notna()]
    for interval in (OVER_SEEDS, POOLED):
        found = rows.index[rows["interval"] == interval].tolist()
        if found:
            return int(found[0])
    return None


def architecture_rows(frames: Frames, state: str) -> dict[str, int]:
    """Return the rows of architectures.csv of a state, by group, in the order of figures."""
    if "architectures" not in frames:
        return {}
    runs, table = with_groups(frames["runs"]), _as_read(frames, "architectures")
    keys = ["architecture", "activation", "dataset", *RUNS.settings(frames["runs"])]
    labels = runs[[*keys, LABEL]].drop_duplicates(keys)
    table = table.merge(labels, on=keys, how="left").set_axis(table.index)
    table = table[table["state"] == state]
    places = dict(zip(table[LABEL], table.index.tolist(), strict=True))
    return {group: places[group] for group in group_order(runs) if group in places}


def largest_folding(frames: Frames) -> int | None:
    """Return the row of folding.csv with the largest χ of a trained network, the first of several."""
    table = _as_read(frames, "folding")
    table = table[(table["measure"] == "chi") & (table["epoch"] > 0) & table["max"].notna()]
    return None if table.empty else int(table.index[int(table["max"].to_numpy(float).argmax())])


def way_shown(frames: Frames) -> dict[str, Any]:
    """Return the values of the columns that say how paths were read, of the one way that figures show."""
    if "folding" not in frames or frames["folding"].empty:
        return {}
    shown, _ = one_reading(frames["folding"])
    way = shown.iloc[:1][reading_keys(shown)].dropna(axis="columns")
    return dict(zip(way.columns, way.to_numpy(object).ravel().tolist(), strict=True))


def has_valid_rank(ranks: pd.DataFrame, rule: str) -> bool:
    """Return whether a rule gives any layer of lmd_ranks.csv a valid rank; what was not measured is none."""
    return bool(((ranks["rule"] == rule) & ranks["valid"] & ranks["rank"].notna()).any())


def _as_read(frames: Frames, name: str) -> pd.DataFrame:
    """Return the rows of a table of the one way of reading paths that figures show."""
    if "folding" not in frames or frames["folding"].empty:
        return frames[name]
    shown, _ = one_reading(frames["folding"])
    return matching(frames[name], shown.iloc[:1][reading_keys(shown)])
