"""χ of the single paths of each network beside its null model, over seeds."""

import pandas as pd

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.results.answers.networks import Networks
from spaceprobe.results.null_rows import TABLE
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE

STATE = "state"

AVERAGED = (
    *("chi", "null_chi", "excess", "matched_chi", "matched_null_chi", "matched_excess", "length", "overlap"),
)
"""The columns of folding_null.csv that are averaged over seeds."""


def null_means(results: Results) -> pd.DataFrame:
    """Return χ, its null value and the excess of each network, untrained and trained, as means over seeds.

    Returns:
        The settings, ``depth``, state, ``num_seeds``; the mean of each of `AVERAGED`, with ``_low`` and
        ``_high``, the ends of its 95 % t interval, empty where there is none; ``note``.
    """
    networks = Networks(results)
    rows = networks.read(TABLE)
    rows = rows[rows[STATE] != DIFFERENCE]
    by = [*networks.settings, "depth", STATE]
    table = rows[by].drop_duplicates()
    for name in AVERAGED:
        means = means_by(rows, by, name, DECLARED[TABLE].column(name).bounds)
        names = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
        if name == "chi":
            names = {"num_seeds": "num_seeds", **names}
        table = table.merge(means[[*by, *names]].rename(columns=names), on=by, how="left")
    order = networks.in_order(table, networks.settings)
    return networks.noted(order)
