"""Decompose one weight matrix, trained here or read from a file: its rows of the tables and its factors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix
from spaceprobe.lmd.certificate import Certificate, certify
from spaceprobe.lmd.entries import Entries, entries_of
from spaceprobe.lmd.factors import Factors, cut, decompose
from spaceprobe.lmd.graph import ConstantPointsError
from spaceprobe.lmd.noise import marchenko_pastur_edge
from spaceprobe.lmd.rank_rules import RankEstimate
from spaceprobe.lmd.ranks import rank_table
from spaceprobe.lmd.spectrum import participation_ratio, shuffled_singular_values, spectrum_table
from spaceprobe.lmd.spikes import num_entry_spikes, shuffled_distance, spikes
from spaceprobe.lmd.tails import matrix_norms, power_law_tail
from spaceprobe.stages.lmd.latent_metrics import Metric

Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Rows of tables, by the table's name."""

SHUFFLE_SEED = 0
"""Chosen: of the shuffled entries whose singular values stand beside a matrix's own."""


@dataclass(frozen=True)
class Background:
    """What is known of a matrix beside its entries; each may be missing.

    Attributes:
        untrained_values: its singular values at initialisation, descending.
        init_variance: the variance of its entries then.
        output_variances: the variances of its outputs along their principal axes, descending.
        functional: its functional rank.
        num_dead_inputs: inputs that never vary.
    """

    untrained_values: np.ndarray | None = None
    init_variance: float | None = None
    output_variances: np.ndarray | None = None
    functional: RankEstimate | None = None
    num_dead_inputs: int | None = None


@dataclass(frozen=True)
class Decomposition:
    """The rows of the tables for one matrix, and its factors.

    Attributes:
        rows: by table.
        factors: by the metric's name, of every metric that is valid; all of the same rank.
        note: what the tables leave out; empty for nothing.
    """

    rows: Rows
    factors: Mapping[str, Factors] = field(default_factory=dict)
    note: str = ""


def decompose_matrix(
    weight: Tensor, metrics: Sequence[Metric], background: Background, whole: Factors | None = None
) -> Decomposition:
    """Return the rows and the factors of a matrix.

    Args:
        weight: of shape (outputs, inputs).
        metrics: at least one.
        background: what else is known of it.
        whole: all its components, as `decompose` returns them; None computes them.

    Raises:
        ValueError: as `spaceprobe.lmd.decompose` about the weight.
    """
    weight = as_matrix(weight)  # once: each function below would make a copy of its own
    shuffled_values = shuffled_singular_values(weight, SHUFFLE_SEED)  # before there are U and V in memory
    if whole is None:
        whole = decompose(weight)
    values = whole.singular_values.numpy()
    shape = (weight.shape[0], weight.shape[1])
    ranks = rank_table(
        values,
        shape,
        background.init_variance,
        output_variances=background.output_variances,
        functional=background.functional,
    )
    rule, rank = default_rank(ranks)
    spectra = [
        spectrum_table(
            values,
            rank,
            background.untrained_values,
            shuffled_values=shuffled_values,
            participation_u=participation_ratio(whole.U.T),
            participation_v=participation_ratio(whole.Vh),
        )
    ]
    valid_factors: dict[str, Factors] = {}
    layers = []
    for metric in metrics:
        factors, row = _factors_and_row(weight, whole, rank, metric)
        layers.append({**row, "rule": rule, "num_dead_inputs": background.num_dead_inputs})
        if factors is not None:
            valid_factors[metric.name] = factors
            if metric.name != "identity" and factors.rank:
                spectra.append(spectrum_table(factors.S_prime.numpy(), factors.rank, basis=metric.name))
    tail = tail_row(values, shape, background.init_variance) | noise_row(weight, values, shuffled_values)
    return Decomposition(matrix_rows(layers, json_rows(ranks), spectra, tail), valid_factors)


def default_rank(ranks: pd.DataFrame) -> tuple[str, int]:
    """Return the default rule and its rank, of the ranks by every rule."""
    row = ranks[ranks["default"]].iloc[0]
    return row["rule"], int(row["rank"])


def tail_row(
    values: Float64[np.ndarray, "values"], shape: tuple[int, int], init_variance: float | None = None
) -> Row:
    """Return the row of lmd_tails: the power law, the norms and the edge of noise of a matrix.

    Args:
        values: all singular values, descending.
        shape: rows and columns of the matrix.
        init_variance: the variance of its entries at initialisation, where it is known.
    """
    tail = power_law_tail(values, shape=shape)
    edge = init_variance and marchenko_pastur_edge(shape, init_variance)
    return {**asdict(tail), **asdict(matrix_norms(values, shape, tail)), "noise_edge": edge}


def noise_row(
    weight: Tensor,
    values: Float64[np.ndarray, "values"],
    shuffled_values: Float64[np.ndarray, "values"],
) -> Row:
    """Return the columns of lmd_tails on what is more than noise of the entries.

    Args:
        weight: of shape (outputs, inputs), in float64.
        values: all its singular values, descending.
        shuffled_values: those of the matrix with its entries shuffled.
    """
    entries = entries_of(weight)
    shape = (weight.shape[0], weight.shape[1])
    found = spikes(values, shape, entries.deviation)
    return {
        **asdict(found),
        "num_shuffled_spikes": spikes(shuffled_values, shape, entries.deviation).num_spikes,
        "shuffled_distance": shuffled_distance(values, shuffled_values),
        **entries_row(entries),
        "num_entry_spikes": num_entry_spikes(weight, entries, found.num_spikes),
    }


def entries_row(entries: Entries) -> Row:
    """Return the columns of lmd_tails on single entries."""
    return {
        "num_large_entries": entries.num_large,
        "largest_entry": entries.largest,
        "largest_row": entries.row,
        "largest_column": entries.column,
    }


def layer_row(certificate: Certificate) -> Row:
    """Return a certificate as columns of lmd_layers."""
    row = asdict(certificate)
    del row["truncation_gap"]
    return row


def matrix_rows(
    layers: Sequence[Row], ranks: Sequence[Row], spectra: Sequence[pd.DataFrame], tail: Row
) -> Rows:
    """Return the rows of the tables that any matrix fills."""
    return {
        "lmd_layers": [_json_row(row) for row in layers],
        "lmd_ranks": [*ranks],
        "lmd_spectrum": [row for spectrum in spectra for row in json_rows(spectrum)],
        "lmd_tails": [_json_row(tail)],
    }


def _factors_and_row(weight: Tensor, whole: Factors, rank: int, metric: Metric) -> tuple[Factors | None, Row]:
    """Return the factors with one metric, None where it is not valid, and the row of lmd_layers."""
    factors, reason = None, metric.reason
    if metric.latent is not None:
        try:
            factors = cut(whole, rank, metric.latent)
        except ConstantPointsError as error:
            reason = str(error)
    # Without this metric the norms and the truncation still hold: they are the matrix's own.
    row = layer_row(certify(weight, cut(whole, rank) if factors is None else factors))
    if factors is None:
        row |= dict.fromkeys(("reconstruction_error", "condition_in", "condition_out"))
    num_components, num_components_out = metric.num_components
    return factors, {
        **row,
        "metric": metric.name,
        "num_components": num_components,
        "num_components_out": num_components_out,
        "valid": factors is not None,
        "reason": reason,
    }


def factor_arrays(name: str, decomposition: Decomposition) -> dict[str, np.ndarray]:
    """Return the factors of a matrix as arrays by name.

    U and Vh belong to every metric; O_dist, S_prime and I_dist carry the metric's name.
    """
    arrays: dict[str, np.ndarray] = {}
    for metric, factors in decomposition.factors.items():
        arrays |= {f"{name}-U": factors.U.numpy(), f"{name}-Vh": factors.Vh.numpy()}
        for part in ("O_dist", "S_prime", "I_dist"):
            arrays[f"{name}-{metric}-{part}"] = getattr(factors, part).numpy()
    return arrays


def json_rows(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a frame as JSON values; a number that is not finite becomes None, an empty cell."""
    return [_json_row(row) for row in frame.to_dict("records")]


def _json_row(row: Mapping[Any, Any]) -> Row:
    is_empty = {name: isinstance(value, float) and not math.isfinite(value) for name, value in row.items()}
    return {name: None if is_empty[name] else value for name, value in row.items()}
