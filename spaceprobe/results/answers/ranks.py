"""The ranks that answers compare, and how far those by rule are from the rank that a network needs."""

import math

import numpy as np
import pandas as pd

from spaceprobe.analysis.by_seed import means_by
from spaceprobe.results.answers.networks import LAYER, Networks, stack
from spaceprobe.results.figure_rows import ranks_beside_functional
from spaceprobe.results.results import Results
from spaceprobe.tables.text import count

SIZES = {"all layers": (1, math.inf), "up to 24": (1, 24), "25 to 50": (25, 50), "more": (51, math.inf)}
"""Layers by their number of components: the smaller of outputs and inputs. Chosen, as in docs/ranks.md."""


def valid_ranks(networks: Networks, rule: str, *, last: bool = False) -> pd.DataFrame:
    """Return the valid ranks by a rule, with settings: rows of lmd_ranks.csv, numbers as floats."""
    rows = networks.read("lmd_ranks", last=last)
    rows = rows[(rows["rule"] == rule) & rows["valid"].eq(other=True)]
    return rows.astype({"rank": float, "value": float})


def rules_beside_functional(results: Results) -> pd.DataFrame:
    """Return how much of what a network needs each rule keeps, in layers of all sizes and by size.

    Returns:
        rule; size, one of `SIZES`; ``ratio``: the geometric mean of rank / functional rank over layers and
        seeds, with its 95 % interval over seeds; ``error``: the root mean square of its logarithm;
        ``num_layers``; ``note``. Rules with the least error over all layers come first.
    """
    networks = Networks(results)
    points, notes = ranks_beside_functional(results.frames["lmd_ranks"], results.frames["runs"])
    is_zero = points["rank"] == 0
    if is_zero.any():
        counts = points.loc[is_zero, "rule"].value_counts(sort=False).items()
        layers_of = ", ".join(f"{rule} in {count(int(number), 'layer')}" for rule, number in counts)
        notes = [*notes, f"rank 0, left out of the means since it has no logarithm: {layers_of}"]
    networks.notes, points = notes, points[~is_zero]
    layers = results.frames["lmd_layers"].drop_duplicates(["run", "epoch", LAYER])
    components = layers[["run", "epoch", LAYER]].assign(
        components=layers[["num_outputs", "num_inputs"]].min(axis=1)
    )
    points = points.merge(components, on=["run", "epoch", LAYER])
    points = points.merge(networks.runs[["run", "seed"]], on="run")
    points["log"] = np.log(points["rank"].astype(float) / points["functional_rank"].astype(float))
    points["square"] = points["log"] ** 2
    tables = []
    for size, (low, high) in SIZES.items():
        of_size = points[points["components"].between(low, high)]
        table = means_by(of_size, ["rule"], "log").set_index("rule")
        table["error"] = of_size.groupby("rule")["square"].mean() ** 0.5
        tables.append(table.reset_index().assign(size=size))
    table = stack(tables, tables[0])
    order = tables[0].sort_values("error", kind="stable")["rule"].tolist()
    table = table.sort_values("rule", key=lambda rules: rules.map(order.index), kind="stable")
    logs = {"ratio": "mean", "ratio_low": "low", "ratio_high": "high"}
    table = table.assign(**{name: np.exp(table[column]) for name, column in logs.items()})
    table = table.rename(columns={"num_values": "num_layers"})
    names = ["rule", "size", *logs, "error", "num_seeds", "num_layers"]
    return networks.noted(table[names].reset_index(drop=True))
