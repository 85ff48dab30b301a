"""What polynomial activations do to the points of a layer, and which degree suits data, as tables."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from spaceprobe.findings.entry import Tables
from spaceprobe.lmd.degree import activation_degree, num_monomials, num_pieces_of

RELU = "relu"
DEGREES = {f"polynomial-{degree}": degree for degree in range(1, 5)}
"""The degree of each activation that is a polynomial."""

IDENTITY = next(iter(DEGREES))
BENT = [name for name in DEGREES if name != IDENTITY]

SET = "set"
"""The column that tells data apart: the dataset, and its dimension where that can be chosen."""

POWER, POWER99, INTRINSIC, SEPARATION = "power", "power99", "added_dimension", "separation"
ALL_MONOMIALS = "has_all_monomials"
SIZE, TOPOLOGY = "by_size", "by_topology"
ESTIMATES = {SIZE: "from the number of points", TOPOLOGY: "from components and outputs"}
BEST, ERROR = "best", "log_error"


def with_powers(layers: pd.DataFrame) -> pd.DataFrame:
    """Return layers with the powers to which linear dimensions are raised, and by how much the other rises.

    The power is log(after) / log(before), NaN where one direction or none comes in, and where the activations
    take all directions that the width has, so that more could not be seen. `ALL_MONOMIALS` is 1
    where the rank is that of all monomials of the degree without the constant one, or the width where there
    are more of them, and else 0; NaN for what is not a polynomial.

    Args:
        layers: rows with ``activation``, ``width``, ``rank_before``, ``rank_after``, the same of ``rank99``
            and of ``dimension``.
    """
    found: dict[str, Any] = {}
    for name, rank in ((POWER, "rank"), (POWER99, "rank99")):
        before, after = (layers[f"{rank}_{side}"].astype(float) for side in ("before", "after"))
        is_free = (after > 0) & (after < layers["width"])
        found[name] = np.log(after.where(is_free)) / np.log(before.where(before > 1))
    ranks = layers[["activation", "width", "rank_before", "rank_after"]]
    found[ALL_MONOMIALS] = [_has_all_monomials(*row) for row in ranks.itertuples(index=False)]
    found[INTRINSIC] = layers["dimension_after"] - layers["dimension_before"]
    return layers.assign(**found)


def _has_all_monomials(name: str, width: int, before: float, after: float) -> float:
    """Return 1 if the rank is the number of monomials less the constant one, or the width; else 0."""
    if name not in DEGREES or not before >= 0:
        return math.nan
    return float(after == min(width, round(num_monomials(before, DEGREES[name])) - 1))


def choices_table(tables: Tables) -> pd.DataFrame:
    """Return for each data set, number of points, seed and epoch the best degree, and the estimated ones.

    Args:
        tables: ``errors``, the logarithm of the error on held-out points; and ``data``.

    Returns:
        `BEST` is the degree of the smallest error, the lower of equal ones. Estimates above the largest
        degree that was trained are cut to it. ``log_error_at_…`` is the error at each estimate and at each
        degree minus that of the best one.
    """
    about = [SET, "points", "seed"]
    known = {tuple(row[name] for name in about): row for row in tables["data"].to_dict("records")}
    polynomials = tables["errors"][tables["errors"]["activation"].isin([*DEGREES])].dropna(subset=ERROR)
    rows = []
    for key, networks in polynomials.groupby([*about, "epoch"], sort=False):
        data = known.get(key[:-1])
        error = {DEGREES[row["activation"]]: row[ERROR] for row in networks.to_dict("records")}
        if data is None or not data["dimension"] > 0 or {*error} != {*DEGREES.values()}:
            continue
        best = min(sorted(error), key=error.__getitem__)
        estimated = {name: min(value, max(error)) for name, value in _estimates(data).items()}
        chosen = {**estimated, **{f"degree_{degree}": degree for degree in error}}
        rows.append(
            {
                **dict(zip([*about, "epoch"], key, strict=True)),
                BEST: float(best),
                **{name: float(value) for name, value in estimated.items()},
                **{f"{BEST}_minus_{name}": float(best - value) for name, value in estimated.items()},
                **{f"{ERROR}_at_{name}": error[degree] - error[best] for name, degree in chosen.items()},
            }
        )
    differences = [f"{BEST}_minus_{name}" for name in ESTIMATES]
    at = [f"{ERROR}_at_{name}" for name in (*ESTIMATES, *(f"degree_{n}" for n in DEGREES.values()))]
    return pd.DataFrame(rows, columns=[*about, "epoch", BEST, *ESTIMATES, *differences, *at])


def _estimates(data: Mapping[Hashable, Any]) -> dict[str, int]:
    """Return the degree of activations by each estimate."""
    pieces = num_pieces_of(int(data["num_components"]), int(data["num_outputs"]))
    needed = {SIZE: int(data["points"]), TOPOLOGY: pieces}
    return {
        name: activation_degree(data["dimension"], number, int(data["num_layers"]))
        for name, number in needed.items()
    }
