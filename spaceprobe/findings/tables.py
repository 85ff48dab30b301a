"""Tables that several findings keep and derive."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from spaceprobe.analysis.aggregate_columns import ACCURACY
from spaceprobe.analysis.association import associate
from spaceprobe.analysis.by_seed import means_by
from spaceprobe.report.drawing.limits import bounds_of
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE, by_state

AGGREGATES = "aggregates"
"""The table that most findings keep rows of."""

NETWORK_COLUMNS = ("run", "architecture", "depth", "width", "seed", "state", ACCURACY)
"""What tells the rows of `networks_table` apart, and the test accuracy."""

RUN_COLUMNS = ("run", "architecture", "depth", "width", "seed")
"""What tells the rows of `of_states` apart, beside the state."""

MEASURE_NAMES = {
    "chi_folded_mean": "share of paths that fold",
    "chi_max": "largest χ",
    "chi_row_max_median": "row maxima of χ",
    "chi_mean": "mean χ",
    "peak_max": "largest peak folding",
    "peak_row_max_median": "row maxima of peak folding",
}
"""What sentences and figures call the aggregates of a network."""


def networks_table(
    results: Results, measures: Sequence[str], settings: Sequence[str] = (), table: str = AGGREGATES
) -> pd.DataFrame:
    """Return the rows of aggregates.csv with a few of its columns: a network in a state each.

    Args:
        results: of the study.
        measures: the columns that are kept beside `NETWORK_COLUMNS`.
        settings: columns of swept settings beside the architecture and the seed.
        table: another one with such rows, such as folding_null.
    """
    return results.frames[table][[*NETWORK_COLUMNS, *settings, *measures]].reset_index(drop=True)


def of_states(results: Results, rows: pd.DataFrame, settings: Sequence[str] = ()) -> pd.DataFrame:
    """Return the rows of epochs as rows of states, untrained and trained, of the networks that have both.

    Args:
        results: of the study.
        rows: with ``run`` and ``epoch``, as the tables of endpoints have them.
        settings: columns of runs.csv that are wanted beside `RUN_COLUMNS`.

    Returns:
        `RUN_COLUMNS`, the settings, ``state``, then the columns of the rows but the epoch; networks in the
        order of the sweep.
    """
    runs = results.runs[[*RUN_COLUMNS, *settings]]
    parts = [part.assign(state=state) for state, part in by_state(rows).items()]
    own = [name for name in rows.columns if name not in (*runs.columns, "epoch")]
    stated = pd.concat(parts, ignore_index=True)[["run", "state", *own]]
    return runs.merge(stated, on="run")


def means_table(
    networks: pd.DataFrame, by: Sequence[str], measures: Sequence[str], table: str = AGGREGATES
) -> pd.DataFrame:
    """Return the means over seeds of several measures, one below the other; see `by_seed.means_by`.

    Args:
        networks: rows with ``seed``, ``state`` and the measures.
        by: the columns that tell groups apart beside the state.
        measures: columns of a table that knows their bounds.
        table: its name.

    Returns:
        The columns ``measure``, ``state`` and ``by``, then those of `by_seed.MEAN_COLUMNS`.
    """
    means_of = []
    for measure in measures:
        for state, rows in networks.groupby("state", sort=False):
            bounds = bounds_of(table, measure)
            means = means_by(rows, by, measure, bounds.of_difference() if state == DIFFERENCE else bounds)
            means.insert(0, "state", state)
            means.insert(0, "measure", measure)
            means_of.append(means)
    return pd.concat(means_of, ignore_index=True)


def rank_correlation(first: "pd.Series[float]", second: "pd.Series[float]") -> float:
    """Return Spearman's correlation of two columns; NaN where one is constant or rows are fewer than 5."""
    found = associate(first.to_numpy(np.float64), second.to_numpy(np.float64))
    return math.nan if isinstance(found, str) or found.spearman is None else found.spearman


MEAN_CHI = "mean_chi"
"""The column of `mean_chi`."""


def mean_chi(folding: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the mean χ over all paths of each network, from the means of its class pairs.

    The aggregates are medians over class pairs; where paths are few, most pairs have no folded one.

    Args:
        folding: folding.csv.
        by: the columns that tell networks, epochs and readings of paths apart.
    """
    rows = folding[folding["measure"] == "chi"]
    rows = rows.assign(**{MEAN_CHI: rows["mean"] * rows["num_paths"]})
    sums = rows.groupby([*by], as_index=False, sort=False)[[MEAN_CHI, "num_paths"]].sum()
    return sums.assign(**{MEAN_CHI: sums[MEAN_CHI] / sums["num_paths"]}).drop(columns="num_paths")


def seed_differences(first: pd.DataFrame, second: pd.DataFrame, measure: str) -> list[float]:
    """Return the second minus the first, one a seed that both have, in the order of the seeds.

    Args:
        first: rows with ``seed``, each seed once.
        second: the same.
        measure: the column.

    Raises:
        ValueError: a seed comes twice.
    """
    sides = []
    for rows in (first, second):
        if rows["seed"].duplicated().any():
            raise ValueError(f"{measure}: expected each seed once, got {[*rows['seed']]}")
        sides.append(dict(zip(rows["seed"], rows[measure].astype(float), strict=True)))
    return [sides[1][seed] - sides[0][seed] for seed in sorted({*sides[0]} & {*sides[1]})]
