"""When networks come to rest, and what their ranks are before, then and at the end."""

import math

import pandas as pd

from spaceprobe.analysis.by_seed import differences_by
from spaceprobe.results.answers.networks import EPOCH, LAYER, Networks, stack
from spaceprobe.results.answers.ranks import valid_ranks
from spaceprobe.results.results import Results

WHEN = "when"
START, REST, END = "untrained", "at rest", "at the end"

_OF_DIFFERENCES = ["difference", "difference_low", "difference_high"]

RULE = "participation"
"""The rule whose unrounded rank is followed: it needs no data, so it is there at every epoch."""


def at_rest(networks: Networks) -> pd.DataFrame:
    """Return whether every layer of a network has stably converged, by run and epoch, with its settings."""
    rows = networks.read("lmd_convergence")
    found = rows.groupby(["run", EPOCH])["converged"].all().rename("is_at_rest").reset_index()
    return found.merge(networks.runs, on="run")


def first_at_rest(networks: Networks) -> pd.DataFrame:
    """Return the first epoch at which each run is at rest (NaN for none), and whether it is at its end."""
    rows = at_rest(networks).sort_values(["run", EPOCH])
    first = rows[rows["is_at_rest"]].groupby("run")[EPOCH].min()
    last = rows.groupby("run")["is_at_rest"].last()
    return networks.runs.assign(
        first=networks.runs["run"].map(first), is_at_end=networks.runs["run"].map(last)
    )


def coming_to_rest(results: Results) -> pd.DataFrame:
    """Return the participation ratio of every layer untrained, at rest and at the end.

    At rest is the first epoch that is decomposed once a network has come to rest. Where some networks of the
    same settings come to rest and others do not, the ranks are of those that do.

    Returns:
        The settings, layer, ``when``, the columns of `differences_by` (of the end, from what it is at rest),
        the first and the last epoch of these ranks, and of all runs of these settings: ``num_runs``,
        ``num_at_rest`` (at some epoch), ``num_at_end`` (at the last), ``first_at_rest`` and
        ``last_at_rest``: the epochs at which the first and the last of them come to rest. Then ``note``.
    """
    networks = Networks(results)
    rest = first_at_rest(networks)
    ranks = valid_ranks(networks, RULE).merge(rest[["run", "first"]], on="run")
    ranks = _that_rested(ranks, networks.settings)
    by = [*networks.settings, LAYER]
    of_run = ranks.groupby("run")[EPOCH]
    resting = ranks[ranks[EPOCH] >= ranks["first"]]
    resting = resting[resting[EPOCH] == resting.groupby("run")[EPOCH].transform("min")]
    parts = {
        START: ranks[ranks[EPOCH] == 0],
        REST: resting,
        END: ranks[(ranks[EPOCH] == of_run.transform("max")) & (ranks[EPOCH] > 0)],
    }
    rows = stack((part.assign(**{WHEN: when}) for when, part in parts.items()), ranks.assign(**{WHEN: ""}))
    table = differences_by(rows, by, WHEN, REST, "value")
    table.loc[table[WHEN] == START, _OF_DIFFERENCES] = math.nan  # the end is what is compared
    epochs = rows.groupby([*by, WHEN], dropna=False)[EPOCH].agg(first_epoch="min", last_epoch="max")
    table = table.merge(epochs.reset_index(), on=[*by, WHEN])
    return networks.noted(_with_counts(table, rest, networks.settings))


def _that_rested(ranks: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """Return the ranks of networks that come to rest, and of all where none of the same settings does."""
    has_rested = ranks["first"].notna()
    if settings:
        groups = [ranks[name] for name in settings]
        return ranks[has_rested | ~has_rested.groupby(groups, dropna=False).transform("any")]
    return ranks[has_rested | (not has_rested.any())]


def _with_counts(table: pd.DataFrame, rest: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    counts = {
        "num_runs": ("run", "size"),
        "num_at_rest": ("first", "count"),
        "num_at_end": ("is_at_end", "sum"),
        "first_at_rest": ("first", "min"),
        "last_at_rest": ("first", "max"),
    }
    if settings:
        return table.merge(rest.groupby(settings, dropna=False).agg(**counts).reset_index(), on=settings)
    return table.assign(**{name: rest[column].agg(of) for name, (column, of) in counts.items()})
