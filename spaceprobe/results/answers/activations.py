"""How ranks and dimensions differ from those under the first activation, seed by seed."""

import pandas as pd

from spaceprobe.analysis.by_seed import differences_by
from spaceprobe.results.answers.networks import ACTIVATION, EPOCH, LAYER, Networks, stack
from spaceprobe.results.answers.ranks import valid_ranks
from spaceprobe.results.answers.verdicts import QUANTITY, with_verdicts
from spaceprobe.results.results import Results

FUNCTIONAL_RANK = "functional rank"
PARTICIPATION_RATIO = "participation ratio"
DIMENSION = "dimension of what enters"


def activation_differences(results: Results) -> pd.DataFrame:
    """Return each activation's ranks and dimensions beside the first's, by layer and epoch after the start.

    The dimension is the maximum likelihood estimate for what enters a layer. What enters the first layer are
    the data, which no activation changes: it is left out.

    Returns:
        The settings but the activation, quantity, layer, epoch, activation, the columns of `differences_by`
        (from the first activation), ``verdict``: what the interval of the difference says; ``note``.
    """
    networks = Networks(results)
    values = [
        valid_ranks(networks, "functional").assign(quantity=FUNCTIONAL_RANK, value=lambda rows: rows["rank"]),
        valid_ranks(networks, "participation").assign(quantity=PARTICIPATION_RATIO),
    ]
    if results.has("lmd_dimension"):
        rows = networks.read("lmd_dimension")
        rows = rows[(rows["space"] == "input") & (rows["estimator"] == "mle") & (rows[LAYER] > 0)]
        values.append(rows.assign(quantity=DIMENSION, value=rows["dimension"].astype(float)))
    rows = stack(values, values[0])
    rows = rows[rows[EPOCH] > 0]
    by = [*(name for name in networks.settings if name != ACTIVATION), QUANTITY, LAYER, EPOCH]
    first = networks.first_of(ACTIVATION)
    table = differences_by(rows, by, ACTIVATION, first, "value")
    table = with_verdicts(table, ACTIVATION, first)
    quantities = [FUNCTIONAL_RANK, PARTICIPATION_RATIO, DIMENSION]
    others = [name for name in by if name not in (QUANTITY, LAYER, EPOCH)]
    table = networks.in_order(table, [*others, LAYER, ACTIVATION, EPOCH])
    table = table.sort_values(QUANTITY, key=lambda names: names.map(quantities.index), kind="stable")
    return networks.noted(table.reset_index(drop=True))
