"""How folding at each value of a swept setting differs from that at its first value, seed by seed."""

import pandas as pd

from spaceprobe.analysis.by_seed import differences_by
from spaceprobe.results.answers.networks import Networks, stack
from spaceprobe.results.answers.verdicts import QUANTITY, with_verdicts
from spaceprobe.results.questions import other_setting
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.results import Results
from spaceprobe.tables.states import TRAINED

ROW_MAXIMA = "row maxima of χ"

QUANTITIES = {
    ROW_MAXIMA: "chi_row_max_median",
    "largest χ": "chi_max",
    "paths that fold": "chi_folded_mean",
}
"""What is compared: columns of aggregates.csv, over class pairs, by their names."""


def setting_differences(results: Results) -> pd.DataFrame:
    """Return how folding of trained networks differs from that at the first value of a setting.

    The setting is the first number beside depth and width that is swept.

    Returns:
        quantity, the settings, the columns of `differences_by` (from the first value), ``verdict``: what the
        interval of the difference says; ``note``.
    """
    networks = Networks(results)
    axis = str(other_setting(results.frames["runs"]))
    rows = networks.read("aggregates")
    rows = rows[rows["state"] == TRAINED]
    first = networks.first_of(axis)
    others = [name for name in networks.settings if name != axis]
    tables = [
        differences_by(
            rows.assign(**{QUANTITY: quantity}).astype({column: float}), [QUANTITY, *others], axis, first,
            column, DECLARED["aggregates"].column(column).bounds,
        )
        for quantity, column in QUANTITIES.items()
    ]  # fmt: skip
    table = with_verdicts(stack(tables, tables[0]), axis, first)
    return networks.noted(table)
