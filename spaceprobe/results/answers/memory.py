"""Which share of their training labels networks fit, at several epochs, and what random ones cost in rank."""

import math

import pandas as pd

from spaceprobe.analysis.by_seed import differences_by, means_by
from spaceprobe.results.answers.networks import ACTIVATION, EPOCH, LAYER, Networks
from spaceprobe.results.answers.ranks import valid_ranks
from spaceprobe.results.answers.rest import at_rest
from spaceprobe.results.results import Results
from spaceprobe.tables.table import Bounds

LABELS = "random_labels"
DIFFERENCE = ["difference", "difference_low", "difference_high"]

PARTS = (1 / 8, 1 / 4, 1 / 2, 1)
"""Of the longest training, after which networks are looked at. Chosen: where a share still rises from one to
the next, it says how fast labels are fitted, not how many can be."""


def fitted_labels(results: Results) -> pd.DataFrame:
    """Return the share of training labels that are fitted: by settings and epoch, with who has come to rest.

    Returns:
        The settings, epoch, the columns of `means_by`; ``rise``: the mean minus that at the epoch before;
        ``difference`` from the first activation, paired by seed, with its interval, empty where no other is
        swept; ``num_at_rest``: networks that are at rest then (every layer stably converged); these four
        at the last epoch once more, with ``_at_end``; ``note``.
    """
    networks = Networks(results)
    training = networks.read("training")
    last = int(training[EPOCH].max())
    rows = training[training[EPOCH].isin([math.ceil(last * part) for part in PARTS])]
    by = [*networks.settings, EPOCH]
    table = means_by(rows.sort_values(EPOCH, kind="stable"), by, "train_accuracy", Bounds(0, 1))
    table = networks.in_order(table, by)
    before = table.groupby(networks.settings, dropna=False)["mean"].shift()
    table = table.assign(rise=table["mean"] - before)
    rest = at_rest(networks)
    resting = rest.groupby(by, dropna=False)["is_at_rest"].sum().rename("num_at_rest").reset_index()
    table = table.merge(resting, on=by, how="left")
    table = _with_differences(table, networks, rows)
    at_end = table.groupby(networks.settings, dropna=False)[["num_at_rest", *DIFFERENCE]]
    table = table.join(at_end.transform(lambda values: values.iloc[-1]).add_suffix("_at_end"))
    others = [name for name in networks.settings if name != LABELS]
    return networks.noted(networks.in_order(table, [LABELS, *others, EPOCH]))


def _with_differences(table: pd.DataFrame, networks: Networks, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the paired differences from the first activation."""
    if ACTIVATION not in networks.settings:
        return table.assign(**dict.fromkeys(DIFFERENCE, math.nan))
    by = [*(name for name in networks.settings if name != ACTIVATION), EPOCH]
    first = networks.first_of(ACTIVATION)
    found = differences_by(rows, by, ACTIVATION, first, "train_accuracy", Bounds(0, 1))
    return table.merge(found[[*by, ACTIVATION, *DIFFERENCE]], on=[*by, ACTIVATION], how="left")


def ranks_of_labels(results: Results) -> pd.DataFrame:
    """Return how many more components random labels need than true ones: the functional rank at the end.

    Returns:
        The settings, layer, random_labels, the columns of `differences_by` and ``note``.
    """
    networks = Networks(results)
    by = [*(name for name in networks.settings if name != LABELS), LAYER]
    ranks = valid_ranks(networks, "functional", last=True)
    table = differences_by(ranks, by, LABELS, networks.runs[LABELS].min(), "rank")
    return networks.noted(networks.in_order(table, [*by, LABELS]))
