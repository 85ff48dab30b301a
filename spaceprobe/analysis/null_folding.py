"""folding_null.csv: χ of single paths beside its null value, and both at matched lengths.

The null value of a path is its mean χ over random orders of its flips (docs/definitions.md, "Null model"). χ
minus that is the excess. Networks of several depths have paths of several lengths; at matched lengths, those
that all networks of a seed have count as much in each of them.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Int64

from spaceprobe.analysis.aggregates import probe_readings
from spaceprobe.analysis.correlations import correlation_table
from spaceprobe.analysis.null_columns import EXCESS, MATCHED, NULL_RESPONSES, PLAIN
from spaceprobe.tables.frames import Frames
from spaceprobe.tables.states import DIFFERENCE, TRAINED, UNTRAINED, by_state
from spaceprobe.tables.table import Table

LEADING_BITS = 6
"""Chosen: lengths below 64 are matched exactly, longer ones to within a share of 1/32."""

_BIN = "length_bin"
_SHARE = "share"


def null_table(frames: Frames, table: Table) -> pd.DataFrame:
    """Return folding_null.csv: a row for each run that is done, each state, and each reading of paths.

    Matched values weight the paths of each length by the least share that paths of that length have in any
    network of the same seed, state and reading. ``overlap`` is the sum of these shares: 1 where all networks
    have the same lengths, and 0 where no length is in all of them, which leaves matched values empty.

    Args:
        frames: aggregates, runs, and paths, of which there are some with a null value.
        table: the declaration of folding_null.csv.

    Returns:
        The columns of aggregates.csv that ``table`` has, then the others of ``table``; rows in the order of
        aggregates.csv.
    """
    aggregates, readings = frames["aggregates"], probe_readings(frames)
    paths = frames["paths"].dropna(subset="null_chi")
    by = ["run", "state", *readings]
    states = [rows.assign(state=state) for state, rows in by_state(paths).items()]
    paths = pd.concat(states, ignore_index=True).merge(
        aggregates[["run", "seed"]].drop_duplicates(), on="run"
    )
    paths[EXCESS] = paths["chi"] - paths["null_chi"]
    groups = paths.groupby(by, dropna=False, sort=False)
    measured = groups[[*PLAIN, EXCESS]].mean()
    measured = measured.assign(num_paths=groups.size()).reset_index()
    measured = measured.merge(_matched(paths, by, ["seed", "state", *readings]), on=by)
    measured = pd.concat([measured, _differences(measured, readings)], ignore_index=True)
    kept = {"run", *frames.settings("aggregates"), *table.names}
    names = [name for name in aggregates.columns if name in kept]
    rows = aggregates[names].merge(measured, on=by, how="inner")
    return rows[[*names, *(name for name in table.names if name not in names)]]


def null_correlations(frames: Frames, table: Table) -> pd.DataFrame:
    """Return how the columns of folding_null.csv go with depth, width and swept numbers.

    Args:
        frames: folding_null, aggregates and runs.
        table: the declaration of correlations.
    """
    by = ["run", "state", *probe_readings(frames)]
    null = frames["folding_null"][[*by, *NULL_RESPONSES]]
    aggregates = frames["aggregates"].merge(null, on=by, how="inner")
    declared = frames.tables["aggregates"]
    more = (frames.tables["folding_null"].column(name) for name in NULL_RESPONSES)
    with_null = frames.with_table(replace(declared, columns=(*declared.columns, *more)), aggregates)
    return correlation_table(with_null, table, responses=NULL_RESPONSES)


def length_bins(length: Int64[np.ndarray, " paths"]) -> Int64[np.ndarray, " paths"]:
    """Return the least length of each path's bin: the length itself, its last bits cleared where it is long.

    >>> length_bins(np.array([0, 5, 63, 64, 65, 127, 130, 1000]))
    array([  0,   5,  63,  64,  64, 126, 128, 992])
    """
    num_bits = np.frexp(length.astype(np.float64))[1].astype(np.int64)
    cleared = np.maximum(num_bits - LEADING_BITS, 0)
    return length >> cleared << cleared


def _matched(paths: pd.DataFrame, by: list[str], among: list[str]) -> pd.DataFrame:
    """Return the matched values and the overlap of each network.

    Args:
        paths: of all networks, with `EXCESS`.
        by: the columns that tell networks and readings apart.
        among: those that networks have in common whose paths are matched.
    """
    paths = paths.assign(**{_BIN: length_bins(paths["length"].to_numpy(np.int64))})
    cells = paths.groupby([*by, "seed", _BIN], dropna=False, sort=False)[["chi", "null_chi", EXCESS]]
    bins = cells.mean().assign(num=cells.size()).reset_index()
    bins[_SHARE] = bins["num"] / bins.groupby(by, dropna=False)["num"].transform("sum")
    num_networks = bins.groupby(among, dropna=False)["run"].transform("nunique")
    shares = bins.groupby([*among, _BIN], dropna=False)
    is_in_all = shares["run"].transform("nunique") == num_networks
    bins["weight"] = shares[_SHARE].transform("min").where(is_in_all, 0.0)
    weighted = bins[["chi", "null_chi", EXCESS]].mul(bins["weight"], axis=0)
    weighted = pd.concat([bins[by], weighted.assign(overlap=bins["weight"])], axis=1)
    totals = weighted.groupby(by, dropna=False, sort=False, as_index=False).sum()
    means = totals[["chi", "null_chi", EXCESS]].div(totals["overlap"].where(totals["overlap"] > 0), axis=0)
    means = means.set_axis([*MATCHED], axis=1)
    return pd.concat([totals[[*by, "overlap"]], means], axis=1)


def _differences(measured: pd.DataFrame, readings: list[str]) -> pd.DataFrame:
    """Return trained minus untrained where there are both; the number of paths is the trained network's."""
    untrained, trained = (measured[measured["state"] == state] for state in (UNTRAINED, TRAINED))
    both = trained.merge(untrained, on=["run", *readings], suffixes=("", "_untrained"))
    difference = both[measured.columns].assign(state=DIFFERENCE, overlap=np.nan)
    for name in NULL_RESPONSES:
        difference[name] = both[name] - both[f"{name}_untrained"]
    return difference
