"""Which rows of a study's tables answer the questions that captions and headlines ask."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spaceprobe.analysis.correlations import PRIMARY_RESPONSE
from spaceprobe.analysis.predictors import predictors
from spaceprobe.analysis.samples import NOTHING_ELSE, POOLED
from spaceprobe.results.groups import LABEL, group_order, with_groups
from spaceprobe.results.readings import matching, shown_reading
from spaceprobe.results.results import Results
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.frames import column_name

OVER_SEEDS, RUNS_POOLED = "t over seeds", "Fisher z"
"""Intervals of correlations.csv."""


def varying_predictors(runs: pd.DataFrame) -> list[str]:
    """Return those of depth, width and the numeric swept settings that vary."""
    return [name for name in predictors(runs, RUNS.settings(runs)) if runs[name].nunique() > 1]


def other_setting(runs: pd.DataFrame) -> str | None:
    """Return the first swept number other than depth and width that varies; None where there is none."""
    return next((name for name in varying_predictors(runs) if name not in ("depth", "width")), None)


def is_zipped(results: Results, predictor: str) -> bool:
    """Return whether networks that differ in a predictor differ in other settings with it (sweep.zip).

    Depth and width are compared across architectures with a learning rate each, but not across kinds of
    networks, of which each means something else by them.
    """
    zipped = {column_name(key) for key in results.study.zipped}
    return predictor in zipped or (predictor in ("depth", "width") and "model" in zipped)


def overall_correlations(correlations: pd.DataFrame, predictor: str, given: str = "none") -> pd.DataFrame:
    """Return the rows of correlations.csv over all seeds and all runs, whatever their accuracy."""
    rows = correlations[(correlations["predictor"] == predictor) & (correlations["given"] == given)]
    rows = rows[(rows["min_accuracy"] == 0) & (rows["seed"].astype(str) == "all")]
    return rows.dropna(subset="pearson")


def correlation_rows(
    frames: Mapping[str, pd.DataFrame], predictor: str, state: str, *, given: str = "none"
) -> dict[str, int]:
    """Return the rows of correlations.csv with the primary response over seeds, else with all runs pooled.

    They are by the values of what else is swept, in the order of the table: the column ``at``.
    """
    if "correlations" not in frames:
        return {}
    table = matching(frames["correlations"], shown_reading(frames))
    rows = overall_correlations(table, predictor, given)
    rows = rows[(rows["response"] == PRIMARY_RESPONSE) & (rows["state"] == state)]
    found: dict[str, int] = {}
    for interval in (OVER_SEEDS, RUNS_POOLED):
        for row, at in rows.loc[rows["interval"] == interval, "at"].items():
            found.setdefault(str(at), int(str(row)))
    return {at: found[at] for at in dict.fromkeys(rows["at"].astype(str)) if at in found}


def correlation_row(
    frames: Mapping[str, pd.DataFrame], predictor: str, state: str, *, given: str = "none"
) -> int | None:
    """Return the one of `correlation_rows` that is over all networks; None where there is none.

    Where something else is swept its ``at`` is "pooled", and what shows it has to say so.
    """
    rows = correlation_rows(frames, predictor, state, given=given)
    return rows.get(NOTHING_ELSE, rows.get(POOLED))


def architecture_rows(frames: Mapping[str, pd.DataFrame], state: str) -> dict[str, int]:
    """Return the rows of architectures.csv of a state, by group, in the order of figures."""
    if "architectures" not in frames:
        return {}
    runs, table = with_groups(frames["runs"]), matching(frames["architectures"], shown_reading(frames))
    columns = ["architecture", "activation", "dataset", *RUNS.settings(frames["runs"])]
    labels = runs[[*columns, LABEL]].drop_duplicates(columns)
    table = table.merge(labels, on=columns, how="left").set_axis(table.index)
    table = table[table["state"] == state]
    places = dict(zip(table[LABEL], table.index.tolist(), strict=True))
    return {group: places[group] for group in group_order(runs) if group in places}


def largest_folding(frames: Mapping[str, pd.DataFrame]) -> int | None:
    """Return the row of folding.csv with the largest χ of a trained network, the first of several."""
    table = matching(frames["folding"], shown_reading(frames))
    table = table[(table["measure"] == "chi") & (table["epoch"] > 0) & table["max"].notna()]
    return None if table.empty else int(table.index[int(table["max"].to_numpy(float).argmax())])


def reading_values(frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the values of the columns that identify the reading of paths that figures show."""
    reading = shown_reading(frames).dropna(axis="columns")
    return dict(zip(reading.columns, reading.to_numpy(object).ravel().tolist(), strict=True))


def has_valid_rank(ranks: pd.DataFrame, rule: str) -> bool:
    """Return whether a rule gives any layer of lmd_ranks.csv a valid rank that was measured."""
    return bool(((ranks["rule"] == rule) & ranks["valid"] & ranks["rank"].notna()).any())


def scored_points(frames: Mapping[str, pd.DataFrame]) -> str:
    """Return on which points functional ranks were scored, as lmd_functional.csv says, with a space before.

    >>> scored_points({"lmd_functional": pd.DataFrame({"scored_on": ["test", "training", "test"]})})
    ' on test or training points'
    >>> scored_points({})
    ''
    """
    table = frames.get("lmd_functional")
    sets = [] if table is None else sorted(table["scored_on"].dropna().unique())
    return f" on {' or '.join(sets)} points" if sets else ""
