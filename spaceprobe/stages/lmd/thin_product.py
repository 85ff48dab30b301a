"""Decompose a product over a head's dimension d, which has at most d singular values other than zero.

The product itself, outputs × inputs, is not formed.
"""

import dataclasses
import math
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix, frobenius_norm
from spaceprobe.lmd.certificate import certify, isometry_error
from spaceprobe.lmd.factors import cut, decompose
from spaceprobe.lmd.ranks import rank_table
from spaceprobe.lmd.spectrum import participation_ratio, shuffled_singular_values, spectrum_table
from spaceprobe.lmd.spikes import spikes
from spaceprobe.stages.lmd.matrix import (
    SHUFFLE_SEED,
    Decomposition,
    default_rank,
    json_rows,
    layer_row,
    matrix_rows,
    noise_row,
    tail_row,
)

MAX_SHUFFLED_ENTRIES = 512 * 512
"""Chosen: the shuffled values of a product need it as a whole and have full rank. At this size they take
0.05 s, three times as long as everything else about it; at 768 × 768 it would be ten times."""


def decompose_product(left: Tensor, right: Tensor) -> Decomposition:
    """Return the rows and the factors of W = left · right, without forming it.

    With left = Q T, the columns of Q orthonormal, W = Q (T · right): T · right, of d rows, has the singular
    values, the right singular vectors and the norms of W. The other min(outputs, inputs) - d values are zero.

    - lmd_spectrum has d rows: the zeros have no direction of their own. ``shuffled_value`` is empty where W
      has more than `MAX_SHUFFLED_ENTRIES` entries, and the note tells it; so is what lmd_tails says of single
      entries and of the distance from the shuffled values.
    - lmd_ranks and lmd_tails are those of W, of all its singular values, the zeros exact: no rule counts more
      than d, and the power law, which leaves zeros out, is fitted to at most d.
    - A value that is at most max(d, inputs) · ε · ‖left‖_F ‖right‖_F, ε of float64, is rounding of the
      product: it is set to 0, so that no law is fitted to it.

    Args:
        left: of shape (outputs, d), d below both sides of W.
        right: of shape (d, inputs).

    Raises:
        ValueError: as `spaceprobe.lmd.decompose` about either factor, or about T · right if it overflows.
    """
    left, right = as_matrix(left), as_matrix(right)
    shape = (left.shape[0], right.shape[1])
    Q, T = torch.linalg.qr(left)
    A = T @ right
    whole = decompose(A)
    rounding = max(A.shape) * torch.finfo(torch.float64).eps * frobenius_norm(left) * frobenius_norm(right)
    kept = torch.where(whole.singular_values > rounding, whole.singular_values, 0.0)
    whole = dataclasses.replace(whole, singular_values=kept, S_prime=kept)
    values = kept.numpy()
    support = int(np.count_nonzero(values))
    all_values = np.append(values, np.zeros(min(shape) - len(values)))
    ranks = rank_table(all_values, shape)
    rule, rank = default_rank(ranks)
    factors = cut(whole, rank)
    layer = layer_row(certify(A, factors))
    factors = dataclasses.replace(factors, U=Q @ factors.U)
    # Where Q takes part, the factors are compared with left and right themselves.
    error = frobenius_norm(left @ (right @ factors.Vh.T) - factors.U * factors.S_prime)
    layer |= {
        "num_outputs": shape[0],
        "isometry_error_u": isometry_error(factors.U),
        "reconstruction_error": error / (layer["frobenius_norm"] or 1.0),
        **{"metric": "identity", "rule": rule, "valid": True},
    }
    is_shuffled = shape[0] * shape[1] <= MAX_SHUFFLED_ENTRIES
    shuffled_values = None
    if is_shuffled:
        product = left @ right
        shuffled_values = shuffled_singular_values(product, SHUFFLE_SEED)
        noise = noise_row(product, all_values, shuffled_values)
    else:
        noise = asdict(spikes(all_values, shape, _deviation(left, right, layer["frobenius_norm"])))
    spectrum = spectrum_table(
        values,
        factors.rank,
        shuffled_values=None if shuffled_values is None else shuffled_values[: len(values)],
        participation_u=participation_ratio((Q @ whole.U[:, :support]).T),
        participation_v=participation_ratio(whole.Vh[:support]),
    )
    note = "" if is_shuffled else f"more than {MAX_SHUFFLED_ENTRIES} entries: not shuffled"
    tail = tail_row(all_values, shape) | noise
    rows = matrix_rows([layer], json_rows(ranks), [spectrum], tail)
    return Decomposition(rows, {"identity": factors}, note)


def _deviation(left: Tensor, right: Tensor, norm: float) -> float:
    """Return the standard deviation of the entries of left · right, whose Frobenius norm is given."""
    num_entries = len(left) * right.shape[1]
    mean = float(left.sum(dim=0) @ right.sum(dim=1)) / num_entries
    root = norm / math.sqrt(num_entries)
    return root * math.sqrt(max(0.0, 1 - (mean / root) ** 2)) if root > 0 else 0.0
