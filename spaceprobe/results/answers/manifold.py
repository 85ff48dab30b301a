"""The dimension of data and activations beside the ranks of weights, and how many directions S' holds."""

import pandas as pd

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.results.answers.networks import EPOCH, LAYER, Networks, stack
from spaceprobe.results.answers.ranks import valid_ranks
from spaceprobe.results.results import Results
from spaceprobe.tables.states import by_state

STATE = "state"
ESTIMATOR = "mle"
RULES = ("functional", "data99", "participation")

NUM_ENERGIES = 3
"""Values of S' whose energy is shown one by one. Chosen: one more than a surface has dimensions."""


def dimension_beside_rank(results: Results) -> pd.DataFrame:
    """Return the dimension of what enters and leaves each layer, and the ranks of its weights, by state.

    Returns:
        The settings, layer and state; for ``input`` and ``output`` (dimensions by maximum likelihood) and
        for the ranks by `RULES` the mean over seeds, with ``_least`` and ``_largest`` over networks, empty
        where there is none; ``num_networks``; ``note``.
    """
    networks = Networks(results)
    dimensions = networks.read("lmd_dimension")
    dimensions = dimensions[dimensions["estimator"] == ESTIMATOR].astype({"dimension": float})
    parts = {
        space: dimensions[dimensions["space"] == space].rename(columns={"dimension": "value"})
        for space in ("input", "output")
    }
    parts |= {rule: valid_ranks(networks, rule).assign(value=lambda rows: rows["rank"]) for rule in RULES}
    trained = parts["functional"][EPOCH] > 0  # an untrained network has next to no score to keep
    parts["functional"] = parts["functional"][trained]
    by = [*networks.settings, LAYER, STATE]
    table = _in_states(parts["input"])[by].drop_duplicates()
    for name, part in parts.items():
        rows = means_by(_in_states(part), by, "value")
        names = {"mean": name, "least": f"{name}_least", "largest": f"{name}_largest"}
        names |= {"num_values": "num_networks"} if name == "input" else {}
        table = table.merge(rows.rename(columns=names)[[*by, *names.values()]], on=by, how="left")
    return networks.noted(networks.in_order(table, [*networks.settings, LAYER]))


def separation_energies(results: Results) -> pd.DataFrame:
    """Return how the energy of S' under the metric of the data is shared out, by layer and state.

    Leading are as many values as the data have dimensions: the median of the estimates for what enters the
    first layer, rounded; one where there is no estimate.

    Returns:
        The settings, layer and state; ``num_values`` of S', the mean over seeds; ``energy_1`` and so on: mean
        energies of its largest values, 0 beyond the last; ``num_leading``; ``leading``: the mean energy of
        the leading ones together, with ``leading_least`` and ``leading_largest`` over networks; ``weights``:
        that of as many singular values of the weights alone; ``note``.
    """
    networks = Networks(results)
    dimensions = networks.read("lmd_dimension")
    of_data = (dimensions["estimator"] == ESTIMATOR) & (dimensions["space"] == "input")
    of_data &= dimensions[LAYER] == 0
    dimension = float(dimensions.loc[of_data, "dimension"].astype(float).median())
    num_leading = max(1, round(dimension)) if dimension == dimension else 1
    spectrum = _in_states(networks.read("lmd_spectrum").astype({"energy": float}).dropna(subset="energy"))
    by = [*networks.settings, LAYER, STATE]
    values = spectrum[spectrum["basis"] == "data"]
    table = values[by].drop_duplicates()
    energies = {f"energy_{number}": values["index"] == number for number in range(1, NUM_ENERGIES + 1)}
    energies |= {"leading": values["index"] <= num_leading}
    for name, is_counted in energies.items():
        rows = _sums(values.assign(value=values["energy"].where(is_counted, 0.0)), by)
        rows = rows.rename(columns={"mean": name, "least": f"{name}_least", "largest": f"{name}_largest"})
        names = [name, *([f"{name}_least", f"{name}_largest"] if name == "leading" else [])]
        table = table.merge(rows[[*by, *names]], on=by)
    weights = spectrum[(spectrum["basis"] == "svd") & (spectrum["index"] <= num_leading)]
    for name, rows in (
        ("num_values", values.assign(value=1.0)),
        ("weights", weights.assign(value=weights["energy"])),
    ):
        means = _sums(rows, by).rename(columns={"mean": name, "num_values": "num_networks"})
        table = table.merge(means[[*by, name]], on=by, how="left")
    return networks.noted(
        networks.in_order(table.assign(num_leading=num_leading), [*networks.settings, LAYER])
    )


def _in_states(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of untrained and of trained networks, with their state."""
    return stack(
        (part.assign(**{STATE: state}) for state, part in by_state(rows).items()), rows.assign(**{STATE: ""})
    )


def _sums(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the means over seeds of the sum of each network's values."""
    of_network = ["run", "seed", *by, EPOCH]
    sums = rows.groupby(of_network, dropna=False, sort=False)["value"].sum().reset_index()
    return means_by(sums, by, "value")
