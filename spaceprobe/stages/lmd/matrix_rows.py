"""What the tables say of one weight matrix, whether it was trained here or read from a file."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd import Certificate, certify
from spaceprobe.lmd.factors import Factors, as_matrix, cut, decompose
from spaceprobe.lmd.graph import ConstantPointsError
from spaceprobe.lmd.metrics import LatentMetric
from spaceprobe.lmd.noise import marchenko_pastur_edge
from spaceprobe.lmd.rank_rules import RankEstimate
from spaceprobe.lmd.ranks import rank_table
from spaceprobe.lmd.spectrum import participation_ratio, shuffled_singular_values, spectrum_table
from spaceprobe.lmd.tails import matrix_norms, power_law_tail
from spaceprobe.stages.lmd.tables import LAYER_COLUMNS, TAIL_COLUMNS

Rows = dict[str, list[dict[str, Any]]]
"""Rows of tables, by the table's name."""

SHUFFLE_SEED = 0
"""Chosen: of the shuffled entries whose singular values stand beside a matrix's own."""


@dataclass(frozen=True)
class Metric:
    """A latent metric to decompose a matrix with, and what was seen when it was made.

    Attributes:
        name: of the metric.
        latent: the metric; None where it could not be made.
        num_components: of the neighbour graphs of inputs and outputs, where there are such.
        reason: why it could not be made.
    """

    name: str
    latent: LatentMetric | None
    num_components: tuple[int | None, int | None] = (None, None)
    reason: str = ""


@dataclass(frozen=True)
class Known:
    """What is known of a matrix beside its entries; each may be missing.

    Attributes:
        initial_values: its singular values at initialisation.
        init_variance: the variance of its entries then.
        output_variances: the variances of its outputs along their principal axes.
        functional: its functional rank.
        num_dead_inputs: inputs that never vary.
    """

    initial_values: np.ndarray | None = None
    init_variance: float | None = None
    output_variances: np.ndarray | None = None
    functional: RankEstimate | None = None
    num_dead_inputs: int | None = None


@dataclass(frozen=True)
class Decomposed:
    """The tables' rows of one matrix, and its factors by the metric's name.

    Attributes:
        rows: by table.
        factors: of every metric that could be used, all cut at the same rank.
        note: what of the tables was left out, in words; empty for nothing.
    """

    rows: Rows
    factors: Mapping[str, Factors] = field(default_factory=dict)
    note: str = ""


def decomposed(weight: Tensor, metrics: Sequence[Metric], known: Known) -> Decomposed:
    """Return what the tables say of a matrix.

    Args:
        weight: of shape (outputs, inputs).
        metrics: at least one.
        known: what else is known of it.

    Raises:
        ValueError: as `spaceprobe.lmd.decompose` about the weight.
    """
    weight = as_matrix(weight)  # once: each function below would make a copy of its own
    shuffled_values = shuffled_singular_values(weight, SHUFFLE_SEED)  # before there are U and V in memory
    whole = decompose(weight)
    values = whole.singular_values.numpy()
    shape = (weight.shape[0], weight.shape[1])
    ranks = rank_table(
        values,
        shape,
        known.init_variance,
        output_variances=known.output_variances,
        functional=known.functional,
    )
    default = ranks[ranks["default"]].iloc[0]
    rank = int(default["rank"])
    spectra = [
        spectrum_table(
            values,
            rank,
            known.initial_values,
            shuffled_values=shuffled_values,
            participation_u=participation_ratio(whole.U.T),
            participation_v=participation_ratio(whole.Vh),
        )
    ]
    factors: dict[str, Factors] = {}
    layers = []
    for metric in metrics:
        found, row = _layer_row(weight, whole, rank, metric)
        layers.append({**row, "rule": default["rule"], "num_dead_inputs": known.num_dead_inputs})
        if found is not None:
            factors[metric.name] = found
            if metric.name != "identity" and found.rank:
                spectra.append(spectrum_table(found.S_prime.numpy(), found.rank, basis=metric.name))
    tail = tail_row(values, shape, known.init_variance)
    return Decomposed(tables(layers, records(ranks), spectra, tail), factors)


def tail_row(
    values: Float64[np.ndarray, "values"], shape: tuple[int, int], init_variance: float | None = None
) -> dict[str, Any]:
    """Return the power law, the norms and the edge of noise of a matrix.

    Args:
        values: all singular values, descending.
        shape: rows and columns of the matrix.
        init_variance: the variance of its entries at initialisation, where it is known.
    """
    law = power_law_tail(values, shape=shape)
    return {
        **dataclasses.asdict(law),
        **dataclasses.asdict(matrix_norms(values, shape, law)),
        "noise_edge": init_variance and marchenko_pastur_edge(shape, init_variance),
    }


def tables(
    layers: Sequence[Mapping[str, Any]],
    ranks: Sequence[dict[str, Any]],
    spectra: Sequence[pd.DataFrame],
    tail: Mapping[str, Any],
) -> Rows:
    """Return the rows of the tables that any matrix fills; a column that is missing is an empty cell."""
    return {
        "lmd_layers": [{name: plain(row.get(name)) for name in LAYER_COLUMNS} for row in layers],
        "lmd_ranks": [*ranks],
        "lmd_spectrum": [row for table in spectra for row in records(table)],
        "lmd_tails": [{name: plain(tail.get(name)) for name in TAIL_COLUMNS}],
    }


def certificate_row(certificate: Certificate) -> dict[str, Any]:
    """Return a certificate as the columns of lmd_layers."""
    row = dataclasses.asdict(certificate)
    row["num_ignored_inputs"] = row.pop("num_dead_inputs")
    return row


def _layer_row(
    weight: Tensor, whole: Factors, rank: int, metric: Metric
) -> tuple[Factors | None, dict[str, Any]]:
    """Return the factors with one metric, None where it is not valid, and their certificate."""
    row: dict[str, Any] = {
        "metric": metric.name,
        "num_components": metric.num_components[0],
        "num_components_out": metric.num_components[1],
    }
    factors, reason = None, metric.reason
    if metric.latent is not None:
        try:
            factors = cut(whole, rank, metric.latent)
        except ConstantPointsError as error:
            reason = str(error)
    # Without this metric the norms and the truncation still hold: they are the matrix's own.
    shown = cut(whole, rank) if factors is None else factors
    certificate = certificate_row(certify(weight, shown))
    if factors is None:
        certificate |= dict.fromkeys(("reconstruction_error", "condition_in", "condition_out"))
    return factors, {**row, **certificate, "valid": factors is not None, "reason": reason}


def isometry_error(columns: Tensor) -> float:
    """Return the largest entry of |CᵀC - 1|; 0 without columns."""
    error = (columns.T @ columns - torch.eye(columns.shape[1], dtype=torch.float64)).abs()
    return float(error.max()) if error.numel() else 0.0


def factor_arrays(name: str, decomposition: Decomposed) -> dict[str, np.ndarray]:
    """Return the factors of a matrix as arrays by name.

    U and Vh belong to every metric; O_dist, S_prime and I_dist carry the metric's name.
    """
    arrays: dict[str, np.ndarray] = {}
    for metric, factors in decomposition.factors.items():
        arrays |= {f"{name}-U": factors.U.numpy(), f"{name}-Vh": factors.Vh.numpy()}
        for part in ("O_dist", "S_prime", "I_dist"):
            arrays[f"{name}-{metric}-{part}"] = getattr(factors, part).numpy()
    return arrays


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as JSON values."""
    names = [str(name) for name in frame.columns]
    return [
        dict(zip(names, map(plain, row), strict=True)) for row in frame.itertuples(index=False, name=None)
    ]


def plain(value: Any) -> Any:
    """Return a value as JSON has it; what is no finite number becomes an empty cell."""
    value = value.item() if isinstance(value, np.generic | Tensor) else value
    return None if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)) else value
