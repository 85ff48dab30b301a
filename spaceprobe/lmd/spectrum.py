"""Singular values of a weight matrix: how its energy is spread over its components."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spaceprobe.lmd.arrays import as_matrix, require_finite
from spaceprobe.lmd.rounding import FLOAT32_EPSILON

POINTS_AT_ONCE = 4096
"""Chosen: inputs that are turned into float64 at once; a constant, as blocks decide the last bits."""


@dataclass(frozen=True)
class Spectrum:
    """What a rank rule may read of a matrix.

    Attributes:
        values: singular values, descending, all of them: as many as the shorter side.
        shape: rows and columns of the matrix.
        init_variance: variance of its entries at initialisation; None where it is not known.
        epsilon: relative rounding of its entries.
        output_variances: variances of the principal components of W x over data, descending and as many
            as singular values (`output_variances`); None without data.
    """

    values: Float64[np.ndarray, "values"]
    shape: tuple[int, int]
    init_variance: float | None = None
    epsilon: float = FLOAT32_EPSILON
    output_variances: Float64[np.ndarray, "variances"] | None = None

    def __post_init__(self) -> None:
        values = self.values
        if len(values) != min(self.shape) or not len(values):
            raise ValueError(
                f"singular_values: {len(values)} for a {self.shape[0]} × {self.shape[1]} matrix, "
                f"{min(self.shape)} are needed, at least one"
            )
        if not _is_descending(values):
            raise ValueError("singular_values: finite, descending numbers >= 0 are needed")
        variances = self.output_variances
        if variances is not None and len(variances) != len(values):
            raise ValueError(f"output_variances: {len(variances)}, {len(values)} are needed")
        if variances is not None and not _is_descending(variances):
            raise ValueError("output_variances: finite, descending numbers >= 0 are needed")
        if self.init_variance is not None and not self.init_variance > 0:
            raise ValueError(f"init_variance: {self.init_variance}, a number > 0 is needed")

    @property
    def relative(self) -> Float64[np.ndarray, "values"]:
        """Singular values over the largest: no square of them overflows, and few vanish."""
        relative: np.ndarray = self.values / self.values[0]
        return relative

    @property
    def energy(self) -> Float64[np.ndarray, "values"]:
        """Shares of the squared Frobenius norm, σ² / Σσ²; they add up to 1."""
        return energy_shares(self.values)


def singular_values(weight: Any) -> Float64[np.ndarray, "values"]:
    """Return all singular values of a matrix, descending, as LAPACK finds them in float64.

    No Gram matrix: its eigenvalues would lose what lies below 1e-8 of σ₁.

    Args:
        weight: a torch tensor or an array of shape (outputs, inputs).

    Raises:
        ValueError: if the weight is not a finite real matrix with at least one entry.
    """
    values: np.ndarray = torch.linalg.svdvals(as_matrix(weight)).numpy()
    return values


def shuffled_singular_values(weight: Any, seed: int) -> Float64[np.ndarray, "values"]:
    """Return the singular values of the matrix with its entries in random order, descending.

    The entries and so ‖W‖_F stay, what is lost is how they go together: the randomised comparison of
    Martin and Mahoney, JMLR 22 (2021), section 4. Values above the largest of these are more than
    their entries' distribution makes. With few heavy entries a shuffled matrix has large values too.

    Args:
        weight: a torch tensor or an array of shape (outputs, inputs).
        seed: of the order, ≥ 0; the same seed gives the same order.

    Raises:
        ValueError: if the weight is not a finite real matrix with at least one entry.
    """
    W = as_matrix(weight)
    order = np.random.default_rng(seed).permutation(W.numel())
    return singular_values(W.flatten()[torch.from_numpy(order)].reshape(W.shape))


def output_variances(weight: Any, inputs: Float[Tensor, "points inputs"]) -> Float64[np.ndarray, "values"]:
    """Return the variances of the principal components of W x over given inputs, descending.

    The eigenvalues of Cov(W x), divided by the number of points, from the singular values of the centred
    outputs in float64; as many as W has singular values, zeros where the points span fewer directions
    (the others are zero for every data). The bias does not matter. A layer that is constant over the
    inputs has variances 0, or of rounding: what is below rounding of the outputs is set to 0.

    Args:
        weight: a torch tensor or an array of shape (outputs, inputs).
        inputs: what the layer receives, one point a row; finite, at least one.

    Raises:
        ValueError: if the weight is not a finite real matrix, or the inputs are not finite, none, or of
            another number of features.
    """
    W = as_matrix(weight)
    if inputs.shape[1] != W.shape[1] or not len(inputs):
        raise ValueError(f"inputs: of shape {tuple(inputs.shape)}, (points, {W.shape[1]}) is needed")
    require_finite("inputs", inputs)
    blocks = inputs.detach().cpu().split(POINTS_AT_ONCE)
    outputs = torch.cat([block.double() @ W.T for block in blocks])
    rounding = float(outputs.abs().max()) * len(outputs) * torch.finfo(torch.float64).eps
    values = torch.linalg.svdvals(outputs - outputs.mean(dim=0))
    values = torch.where(values > rounding, values, 0.0)[: min(W.shape)]
    variances = np.zeros(min(W.shape))
    variances[: len(values)] = (values**2 / len(inputs)).numpy()
    return variances


def participation_ratio(
    vectors: Float64[np.ndarray, "vectors entries"] | Float64[Tensor, "vectors entries"],
) -> Float64[np.ndarray, "vectors"]:
    """Return (Σv²)² / Σv⁴ of each row, the number of entries that a vector lives on.

    From 1 (one entry) to the number of entries (all alike); about a third of them for a vector of
    independent normal entries, so for the singular vectors of noise. The inverse of the inverse
    participation ratio (Thouless, Physics Reports 13 (1974)). 0 for a vector of zeros.

    Args:
        vectors: one a row, so Vh as it is and the transpose of U; of any length, finite.
    """
    rows = np.asarray(vectors)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    squares = (rows / np.where(largest > 0, largest, 1.0)) ** 2
    fourth = np.sum(squares**2, axis=1)
    ratio: np.ndarray = np.sum(squares, axis=1) ** 2 / np.where(fourth > 0, fourth, 1.0)
    return ratio


def energy_shares(
    singular_values: Float64[np.ndarray, "values"],
) -> Float64[np.ndarray, "values"]:
    """Return σ² / Σσ², in [0, 1]; zeros for a zero matrix.

    Args:
        singular_values: descending, at least one.
    """
    if singular_values[0] == 0:
        return np.zeros_like(singular_values)
    squares = (singular_values / singular_values[0]) ** 2
    shares: np.ndarray = squares / squares.sum()
    return shares


def spectrum_table(
    values: Float64[np.ndarray, "values"],
    rank: int,
    untrained_values: Float64[np.ndarray, "untrained_values"] | None = None,
    basis: str = "svd",
    *,
    shuffled_values: Float64[np.ndarray, "shuffled_values"] | None = None,
    participation_u: Float64[np.ndarray, "left_vectors"] | None = None,
    participation_v: Float64[np.ndarray, "right_vectors"] | None = None,
) -> pd.DataFrame:
    """Return one row a component.

    ``basis`` is as given. ``index`` counts from 1, as σ₁ does. ``energy`` is σ²/Σσ² and
    ``cumulative_energy`` its sum up to the component, exactly 1 at the last; both are 0 throughout for a
    zero matrix. ``untrained_value`` is the singular value of the same index at initialisation,
    ``shuffled_value`` that of the shuffled matrix; ``participation_u`` and ``participation_v`` tell on how
    many entries the left and right singular vector live, ``kept`` whether the rank keeps the component. A
    column that is not given is NaN.

    Args:
        values: singular values (or S' for another basis), descending, at least one.
        rank: how many are kept, 0 to all.
        untrained_values: the same of the untrained layer.
        basis: svd, or the name of the metric whose S' this is.
        shuffled_values: `shuffled_singular_values` of the layer.
        participation_u: `participation_ratio` of the left vectors, of all or of the leading ones; the
            rest is NaN.
        participation_v: the same of the right vectors.

    Raises:
        ValueError: if the initial or shuffled values are of another number, there are more participation
            ratios than values, or the rank is out of range.
    """
    num_values = len(values)
    if not 0 <= rank <= num_values:
        raise ValueError(f"rank: {rank} is out of range, 0 to {num_values}")
    energy = energy_shares(values)
    cumulative = np.cumsum(energy)
    index = np.arange(1, num_values + 1)
    return pd.DataFrame(
        {
            "basis": basis,
            "index": index,
            "value": values,
            "energy": energy,
            "cumulative_energy": cumulative / cumulative[-1] if values[0] > 0 else cumulative,
            "untrained_value": _column("untrained_values", untrained_values, num_values, num_values),
            "shuffled_value": _column("shuffled_values", shuffled_values, num_values, num_values),
            "participation_u": _column("participation_u", participation_u, num_values),
            "participation_v": _column("participation_v", participation_v, num_values),
            "kept": index <= rank,
        }
    )


def _column(
    name: str, numbers: Float64[np.ndarray, "given"] | None, num_values: int, least: int = 0
) -> Float64[np.ndarray, "values"]:
    """Return the numbers as a column, NaN below the last one."""
    column = np.full(num_values, np.nan)
    if numbers is not None:
        if not least <= len(numbers) <= num_values:
            wanted = f"{num_values} are needed" if least else f"at most {num_values} are allowed"
            raise ValueError(f"{name}: {len(numbers)}, {wanted}")
        column[: len(numbers)] = numbers
    return column


def _is_descending(values: Float64[np.ndarray, "values"]) -> bool:
    return bool(np.all(np.isfinite(values)) and values[-1] >= 0 and np.all(np.diff(values) <= 0))
