"""The rows of folding_null.csv that the figure and the answer of the null model show."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from spaceprobe.analysis.null_columns import NULL_RESPONSES
from spaceprobe.results.figure_rows import AlongAxis, aggregates_along
from spaceprobe.results.questions import OVER_SEEDS, overall_correlations
from spaceprobe.results.readings import matching, reading_columns, shown_reading

TABLE, CORRELATIONS = "folding_null", "folding_null_correlations"


def null_along(
    axis: str,
    runs: pd.DataFrame,
    aggregates: pd.DataFrame,
    null: pd.DataFrame,
    correlations: pd.DataFrame | None,
) -> AlongAxis:
    """Return the networks of folding_null.csv that have a value on an axis; see `aggregates_along`.

    Args:
        axis: ``depth``, ``width`` or the column of a swept number.
        runs: runs.csv.
        aggregates: aggregates.csv.
        null: folding_null.csv.
        correlations: folding_null_correlations.csv; None where there is none.
    """
    by = ["run", "state", *reading_columns("aggregates", aggregates, runs)]
    along = aggregates_along(axis, runs, aggregates.merge(null[by], on=by), correlations)
    rows = along.aggregates.merge(null[[*by, *NULL_RESPONSES]], on=by)
    return replace(along, aggregates=rows)


def null_correlation_rows(frames: Mapping[str, pd.DataFrame], predictor: str, state: str) -> dict[str, int]:
    """Return the row of each response in folding_null_correlations.csv over all seeds and networks."""
    if CORRELATIONS not in frames:
        return {}
    table = matching(frames[CORRELATIONS], shown_reading(frames))
    rows = overall_correlations(table, predictor)
    rows = rows[(rows["state"] == state) & (rows["interval"] == OVER_SEEDS)]
    rows = rows[rows["at"].isin(["none", "pooled"])].drop_duplicates("response")
    return {str(response): int(str(row)) for row, response in rows["response"].items()}
