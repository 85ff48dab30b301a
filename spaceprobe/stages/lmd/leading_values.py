"""Decompose a large matrix of which only the leading singular values are computed."""

import math
from dataclasses import asdict

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix, frobenius_norm
from spaceprobe.lmd.certificate import isometry_error
from spaceprobe.lmd.entries import ENTRIES_AT_ONCE, entries_of
from spaceprobe.lmd.factors import Factors
from spaceprobe.lmd.large import (
    BLOCK,
    DIMENSIONS_PER_VALUE,
    NUM_STEPS,
    PAYS_FROM,
    LeadingTriplets,
    leading_triplets,
)
from spaceprobe.lmd.rank_rules import (
    DATA_SHARES,
    ENERGY_SHARES,
    NO_DATA,
    NO_INIT_VARIANCE,
    RULES,
    ZERO_MATRIX,
    num_reaching,
    round_half_up,
    rounding_level,
)
from spaceprobe.lmd.ranks import FUNCTIONAL, NOT_MEASURED, rank_table
from spaceprobe.lmd.rounding import FLOAT32_EPSILON
from spaceprobe.lmd.spectrum import participation_ratio, spectrum_table
from spaceprobe.lmd.spikes import spikes
from spaceprobe.stages.lmd.matrix import Decomposition, Row, entries_row, json_rows, matrix_rows, tail_row

NOT_OF_A_FILE = {
    **dict.fromkeys(DATA_SHARES, NO_DATA),
    "marchenko_pastur": NO_INIT_VARIANCE,
    FUNCTIONAL: NOT_MEASURED,
}
"""Why a rule gives no rank for a file of weights, however many singular values there are."""


def is_iterated(shape: tuple[int, int], num_values: int) -> bool:
    """Return whether `decompose_leading` iterates; otherwise it decomposes the matrix in full."""
    return num_values <= max_iterated(shape)


def max_iterated(shape: tuple[int, int]) -> int:
    """Return for how many leading values at most `decompose_leading` iterates; 0 for none."""
    krylov_dim = BLOCK * (min(shape) // PAYS_FROM // BLOCK)
    return krylov_dim // DIMENSIONS_PER_VALUE if krylov_dim >= NUM_STEPS * BLOCK else 0


def decompose_leading(weight: Tensor, num_values: int) -> Decomposition:
    """Return the rows and the factors of the leading values of a matrix.

    The Frobenius norm and the errors of the factors are exact to rounding. The spectral norm, the stable
    rank and their logarithm rest on the computed σ₁, each value of lmd_spectrum stands beside the bound of
    its error. A rank rule is valid where the leading values settle it: the stable rank, the energies that
    they reach and the numerical rank, if both ends of the stated errors give the same integer. What needs
    all values is marked invalid. Where the iteration would not pay, all values are computed: then ranks and
    the power law are those of all of them.

    Memory: W in float64 and a float32 copy while the iteration runs, 12 bytes an entry beside the file's.

    Args:
        weight: of shape (outputs, inputs).
        num_values: how many, below the shorter side.

    Raises:
        ValueError: as `spaceprobe.lmd.decompose` about the weight.
    """
    W = as_matrix(weight)
    shape = (W.shape[0], W.shape[1])
    triplets = leading_triplets(W, num_values)
    layer = _layer_row(W, triplets)
    values, norm = triplets.singular_values.numpy(), layer["frobenius_norm"]
    errors = triplets.residuals.numpy() * values[0]
    spectrum = spectrum_table(
        values,
        num_values,
        participation_u=participation_ratio(triplets.U.T),
        participation_v=participation_ratio(triplets.Vh),
    )
    spectrum["energy"] = (values / norm) ** 2 if values[0] > 0 else 0.0
    spectrum["cumulative_energy"] = spectrum["energy"].cumsum()
    spectrum["error"] = errors
    if triplets.all_values is None:
        ranks = leading_ranks(values, errors, norm, shape)
        tail = _leading_tail(values, layer, ranks)
    else:
        all_values = triplets.all_values.numpy()
        ranks = json_rows(rank_table(all_values, shape).assign(default=False))
        tail = tail_row(all_values, shape)
        values, errors = all_values, np.zeros(len(all_values))
    tail |= _noise_columns(W, values, errors)
    one = torch.eye(num_values, dtype=torch.float64)
    factors = Factors(triplets.U, one, triplets.singular_values, one, triplets.Vh, triplets.singular_values)
    return Decomposition(matrix_rows([layer], ranks, [spectrum], tail), {"identity": factors})


def _leading_tail(values: Float64[np.ndarray, "values"], layer: Row, ranks: list[Row]) -> Row:
    """Return the columns of lmd_tails that leading values tell: norms and ranks, no law."""
    norm, shape = layer["frobenius_norm"], (layer["num_outputs"], layer["num_inputs"])
    numerical = next(row for row in ranks if row["rule"] == "numerical")
    return {
        "num_values": min(shape),
        "num_tail": 0,
        "valid": False,
        "reason": _only_leading(values, shape),
        "log_norm": 2 * math.log10(norm) if norm > 0 else None,
        "log_spectral_norm": 2 * math.log10(values[0]) if values[0] > 0 else None,
        "stable_rank": layer["stable_rank"],
        "numerical_rank": numerical["rank"] if numerical["valid"] else None,
    }


def _noise_columns(
    W: Tensor, values: Float64[np.ndarray, "values"], errors: Float64[np.ndarray, "values"]
) -> Row:
    """Return the columns of lmd_tails on noise that need no other singular values than these.

    Args:
        W: the matrix.
        values: all or the leading ones, descending.
        errors: by how much they may be too small.
    """
    entries, shape = entries_of(W), (W.shape[0], W.shape[1])
    least, most = (spikes(some, shape, entries.deviation) for some in (values, values + errors))
    is_settled = least.num_spikes == most.num_spikes and (
        least.num_spikes < len(values) or len(values) == min(shape)
    )
    settled = {} if is_settled else {"num_spikes": None}
    return {**asdict(least), **settled, **entries_row(entries)}


def leading_ranks(
    values: Float64[np.ndarray, "values"],
    errors: Float64[np.ndarray, "values"],
    norm: float,
    shape: tuple[int, int],
) -> list[Row]:
    """Return the rows of lmd_ranks, as far as the leading singular values settle them.

    Args:
        values: the leading ones, descending, each at most the true one.
        errors: by how much they may be too small.
        norm: the Frobenius norm of the matrix.
        shape: its rows and columns.
    """
    upper = values + errors
    least = np.sum(values > rounding_level(upper[0], shape, FLOAT32_EPSILON))
    most = np.sum(upper > rounding_level(values[0], shape, FLOAT32_EPSILON))
    settled = {"numerical": (float(least), float(most) if most < len(values) else math.inf)}
    if norm > 0:
        settled["stable_rank"] = ((norm / upper[0]) ** 2, (norm / values[0]) ** 2)
        for rule, share in ENERGY_SHARES.items():
            settled[rule] = (
                num_reaching((upper / norm) ** 2, share),
                num_reaching((values / norm) ** 2, share),
            )
    unsettled = dict.fromkeys(RULES, _only_leading(values, shape) if norm > 0 else ZERO_MATRIX)
    reasons = unsettled | (NOT_OF_A_FILE if norm > 0 else {FUNCTIONAL: NOT_OF_A_FILE[FUNCTIONAL]})
    return [_rank_row(rule, *settled.get(rule, (0.0, math.inf)), reason) for rule, reason in reasons.items()]


def _rank_row(rule: str, least: float, most: float, reason: str) -> Row:
    """Return the rank by a rule if both ends give the same one, or why there is none."""
    if math.isfinite(most):
        lowest, highest = round_half_up(least), round_half_up(most)
        reason = "" if lowest == highest else f"within the stated errors it is {lowest} to {highest}"
    value = 0.0 if reason else most
    row = {"rule": rule, "rank": round_half_up(value), "value": value}
    return {**row, "valid": not reason, "reason": reason, "default": False}


def _only_leading(values: Float64[np.ndarray, "values"], shape: tuple[int, int]) -> str:
    return f"only the {len(values)} leading of {min(shape)} singular values were computed"


def _layer_row(W: Tensor, triplets: LeadingTriplets) -> Row:
    """Return the row of lmd_layers, measured some rows of W at a time: no second copy of W."""
    left = triplets.U * triplets.singular_values
    is_ignored = torch.ones(W.shape[1], dtype=torch.bool)
    norms = []
    num_rows = max(1, ENTRIES_AT_ONCE // W.shape[1])
    for rows, images in zip(W.split(num_rows), left.split(num_rows), strict=True):
        is_ignored &= (rows == 0).all(dim=0)
        parts = rows, rows - images @ triplets.Vh, rows @ triplets.Vh.T - images
        norms.append([frobenius_norm(part) for part in parts])
    norm, cut_off, deviation = (
        frobenius_norm(column) for column in torch.tensor(norms, dtype=torch.float64).T
    )
    largest = float(triplets.singular_values[0])
    return {
        **{"num_outputs": W.shape[0], "num_inputs": W.shape[1], "rank": len(left.T)},
        **{"metric": "identity", "rule": "leading", "valid": True},
        "frobenius_norm": norm,
        "spectral_norm": largest,
        "stable_rank": (norm / largest) ** 2 if largest > 0 else 0.0,
        "truncation_error": cut_off,
        "reconstruction_error": deviation / (norm or 1.0),
        "isometry_error_u": isometry_error(triplets.U),
        "isometry_error_v": isometry_error(triplets.Vh.T),
        **{"condition_in": 1.0, "condition_out": 1.0},
        "num_ignored_inputs": int(is_ignored.sum()),
    }
