"""How much folding changes with each further layer, network by network of a seed."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from spaceprobe.analysis.aggregate_columns import ACCURACY
from spaceprobe.analysis.association import associate
from spaceprobe.tables.states import UNTRAINED

LEAST_DEPTH = 2
"""A single hidden layer does not fold (Lemma 1 of the folding paper), so that slopes begin beyond it."""

SLOPES = "slopes"
"""The table of `slopes_table`."""


def slopes_table(networks: pd.DataFrame, by: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Return, for each seed of a group, the least-squares change of measures a layer, from depth 2 on.

    Args:
        networks: rows with ``depth``, ``seed``, ``state``, the trained ``test_accuracy`` and the measures.
        by: the columns that tell groups apart beside the state.
        measures: columns.

    Returns:
        A row for each group, state, measure and seed: ``slope`` and ``pearson`` of the measure with depth,
        and ``slope_given`` and ``pearson_given`` at a fixed test accuracy, not for untrained networks. NaN
        where there is none: fewer than five depths, or a measure that is the same for all.
    """
    deep = networks[networks["depth"] >= LEAST_DEPTH]
    rows = []
    for (*key, state, seed), group in deep.groupby([*by, "state", "seed"], sort=False, dropna=False):
        depth, accuracy = (group[name].to_numpy(np.float64) for name in ("depth", ACCURACY))
        for measure in measures:
            response = group[measure].to_numpy(np.float64)
            plain = _slope(depth, response, None)
            given = (math.nan, math.nan) if state == UNTRAINED else _slope(depth, response, accuracy)
            cells = (measure, state, seed, len(group), *plain, *given)
            rows.append({**dict(zip(by, key, strict=True)), **dict(zip(COLUMNS, cells, strict=True))})
    return pd.DataFrame(rows, columns=[*by, *COLUMNS])


COLUMNS = (
    "measure", "state", "seed", "num_networks", "slope", "pearson", "slope_given", "pearson_given",
)  # fmt: skip
"""Behind those that tell groups apart."""


def _slope(depth: np.ndarray, response: np.ndarray, given: np.ndarray | None) -> tuple[float, float]:
    is_known = np.isfinite(response) & (True if given is None else np.isfinite(given))
    columns = (depth[is_known], response[is_known], None if given is None else given[is_known])
    found = associate(*columns)
    return (math.nan, math.nan) if isinstance(found, str) else (found.slope, found.pearson)
