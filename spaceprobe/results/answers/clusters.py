"""How far what a few points of each class tell is from what all pairs of images tell."""

import pandas as pd

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.results.answers.networks import NOTE
from spaceprobe.results.groups import notes_on_failures
from spaceprobe.results.results import Results
from spaceprobe.tables.states import STATES, by_state

PAIRS, CLUSTERS = "folding", "folding_clusters"

KIND, K, STATISTIC, STATE = "kind", "k", "statistic", "state"

STATISTICS = ("folded", "mean", "max", "q05", "q25", "q50", "q75", "q95", "row_max_median")
"""Columns of folding.csv that are compared: those of χ."""

_PAIR = ["run", "epoch", "source_class", "target_class", "method"]


def cluster_errors(results: Results) -> pd.DataFrame:
    """Return the error of each statistic of χ with k points of each class, against all pairs.

    Returns:
        state, kind, statistic, k; ``error``: the mean over class pairs of the absolute difference, then over
        seeds, with ``error_low`` and ``error_high``; ``num_seeds``; ``spread``: the standard deviation of the
        statistic over class pairs, averaged over networks; ``lacking``: the share of class pairs in which
        only all pairs have a value; ``cost``: paths, as a share of those of all pairs; ``is_below``: whether
        the error and its interval lie below the spread, without which it tells no class pairs apart;
        ``note``.
    """
    by_network = cluster_networks(results)
    tables = [
        _over_seeds(rows).assign(**{STATE: str(state), STATISTIC: str(statistic)})
        for (state, statistic), rows in by_network.groupby([STATE, STATISTIC], sort=False)
    ]
    names = [STATE, KIND, STATISTIC, K, "error", "error_low", "error_high", "num_seeds"]
    names += ["spread", "lacking", "cost", "is_below"]
    table = pd.concat(tables, ignore_index=True)[names] if tables else pd.DataFrame(columns=names)
    orders = {
        STATE: {state: place for place, state in enumerate(STATES)},
        STATISTIC: {name: place for place, name in enumerate(STATISTICS)},
    }
    table = table.sort_values(
        [STATE, KIND, STATISTIC, K],
        key=lambda column: column.map(orders[column.name]) if column.name in orders else column,
        ignore_index=True,
    )
    noted: pd.DataFrame = table.assign(**{NOTE: "; ".join(notes_on_failures(results.frames["runs"]))})
    return noted


def cluster_networks(results: Results) -> pd.DataFrame:
    """Return the error of each statistic of χ in each network, with k points of each class.

    Returns:
        run, seed, state, statistic, kind, k; of class pairs ``error``, the mean of the absolute difference
        from all pairs of images, ``spread``, the standard deviation of the statistic, and ``lacking``, the
        share in which only all pairs of images have a value; ``few`` and ``every``, the medians over class
        pairs with k points and with all images; ``num_paths`` and ``num_all``, the paths of all class pairs.
    """
    every, few = (_chi(results.frames[name]) for name in (PAIRS, CLUSTERS))
    # What else is swept together with the sources, such as k, does not matter to all pairs.
    every = every.drop_duplicates(_PAIR)[[*_PAIR, "num_paths", *STATISTICS]]
    both = few.merge(every, on=_PAIR, suffixes=("", "_all"))
    both = both.merge(results.frames["runs"][["run", "seed"]], on="run")
    tables = []
    for state, rows in by_state(both).items():
        for statistic in STATISTICS if len(rows) else ():
            tables.append(_of_networks(rows, statistic).assign(**{STATE: state, STATISTIC: statistic}))
    names = ["run", "seed", STATE, STATISTIC, KIND, K, "error", "spread", "lacking", "few", "every"]
    names += ["num_paths", "num_all"]
    return pd.concat(tables, ignore_index=True)[names] if tables else pd.DataFrame(columns=names)


def _chi(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.loc[frame["measure"] == "chi"]


def _of_networks(rows: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """Return what one statistic shows in each network, by kind and k."""
    few, every = (rows[name].astype(float) for name in (statistic, f"{statistic}_all"))
    return (
        rows.assign(few=few, every=every, error=(few - every).abs())
        .assign(lacking=(few.isna() & every.notna()).astype(float), spread=every)
        .groupby(["run", "seed", "epoch", KIND, K], as_index=False)
        .agg(
            error=("error", "mean"),
            lacking=("lacking", "mean"),
            num_paths=("num_paths", "sum"),
            num_all=("num_paths_all", "sum"),
            spread=("spread", "std"),
            few=("few", "median"),
            every=("every", "median"),
        )
    )


def _over_seeds(by_network: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of one statistic by kind and k."""
    by_network = by_network.assign(cost=by_network["num_paths"] / by_network["num_all"])
    means = means_by(by_network, [KIND, K], "error")[[KIND, K, "mean", "low", "high", "num_seeds"]]
    means = means.rename(columns={"mean": "error", "low": "error_low", "high": "error_high"})
    others = by_network.groupby([KIND, K], as_index=False)[["spread", "lacking", "cost"]].mean()
    table = means.merge(others, on=[KIND, K])
    worst = table["error_high"].fillna(table["error"])
    return table.assign(is_below=worst < table["spread"])
