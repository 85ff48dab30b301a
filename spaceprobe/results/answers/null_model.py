"""χ of the single paths of each network beside its null model, over seeds."""

import numpy as np
import pandas as pd

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.results.answers.networks import Networks
from spaceprobe.results.answers.verdicts import NO_INTERVAL, SPANS_ZERO, VERDICT
from spaceprobe.results.null_rows import TABLE
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.results import Results
from spaceprobe.tables.states import DIFFERENCE

STATE = "state"

ABOVE, BELOW = "above zero", "below zero"
"""Where the interval of the excess may lie, beside the verdicts of differences."""

AVERAGED = (
    *("chi", "null_chi", "excess", "matched_chi", "matched_null_chi", "matched_excess", "length", "overlap"),
)
"""The columns of folding_null.csv that are averaged over seeds."""


def null_means(results: Results) -> pd.DataFrame:
    """Return χ, its null value and the excess of each network, untrained and trained, as means over seeds.

    Returns:
        The settings, ``depth``, state, ``num_seeds``; the mean of each of `AVERAGED`, with ``_low`` and
        ``_high``, the ends of its 95 % t interval, empty where there is none; ``verdict``: where the interval
        of the excess lies; ``note``.
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
    low, high = table["excess_low"], table["excess_high"]
    verdict = np.select([low > 0, high < 0, low.notna()], [ABOVE, BELOW, SPANS_ZERO], NO_INTERVAL)
    return networks.noted(networks.in_order(table.assign(**{VERDICT: verdict}), networks.settings))
