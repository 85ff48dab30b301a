"""How much of the leading latent axes is class: trained beside untrained, and with shuffled labels."""

import pandas as pd

from spaceprobe.analysis.by_seed import differences_by, means_by
from spaceprobe.results.answers.networks import LAYER, Networks, stack
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED, UNTRAINED, by_state
from spaceprobe.tables.table import Bounds

LEADING = 5
"""Latent axes of a layer that count as leading. Chosen."""

STATE = "state"
SHARE = Bounds(0, 1)


def leading_axes(results: Results) -> pd.DataFrame:
    """Return what classes explain of the leading axes of every layer, by state.

    Returns:
        The settings, layer, state, the columns of `differences_by` of the mean share over the axes (from the
        untrained networks); ``shuffled``: the same with shuffled labels; ``held``: the share of all variance
        between classes along these axes; ``num_axes``; ``note``.
    """
    networks = Networks(results)
    rows = networks.read("lmd_semantics")
    rows = rows[rows["axis"] <= LEADING]
    states = {state: part for state, part in by_state(rows).items() if len(part)}
    rows = stack(
        (part.assign(**{STATE: state}) for state, part in states.items()), rows.assign(**{STATE: ""})
    )
    by = [*networks.settings, LAYER]
    of_network = ["run", "seed", *by, STATE]
    rows = rows.groupby(of_network, dropna=False, sort=False).agg(
        share=("share", "mean"),
        shuffled=("shuffled_mean", "mean"),
        held=("class_variance", "sum"),
        num_axes=("axis", "size"),
    )
    rows = rows.reset_index().sort_values(LAYER, kind="stable")
    first = UNTRAINED if UNTRAINED in states else TRAINED
    table = differences_by(rows, by, STATE, first, "share", SHARE)
    for name in ("shuffled", "held", "num_axes"):
        of_name = means_by(rows, [*by, STATE], name).rename(columns={"mean": name})
        table = table.merge(of_name[[*by, STATE, name]], on=[*by, STATE], how="left")
    return networks.noted(networks.in_order(table, [*networks.settings, LAYER]))
