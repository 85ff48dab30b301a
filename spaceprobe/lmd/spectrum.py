"""Singular values of a weight matrix: how its energy is spread over its components."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

FLOAT32_EPSILON = float(np.finfo(np.float32).eps)
"""Relative rounding of a trained weight: networks are trained and stored in float32."""

SPECTRUM_COLUMNS = (
    "basis",
    "index",
    "value",
    "energy",
    "cumulative_energy",
    "initial_value",
    "kept",
)


@dataclass(frozen=True)
class Spectrum:
    """What a rank rule may know of a matrix.

    Attributes:
        values: singular values, descending, all of them: as many as the shorter side.
        shape: rows and columns of the matrix.
        init_variance: variance of its entries at initialisation; None where it is not known.
        epsilon: relative rounding of its entries.
    """

    values: Float64[np.ndarray, "values"]
    shape: tuple[int, int]
    init_variance: float | None = None
    epsilon: float = FLOAT32_EPSILON

    def __post_init__(self) -> None:
        values = self.values
        if len(values) != min(self.shape) or not len(values):
            raise ValueError(
                f"singular_values: {len(values)} for a {self.shape[0]} × {self.shape[1]} matrix, "
                f"{min(self.shape)} are needed, at least one"
            )
        if not np.all(np.isfinite(values)) or values[-1] < 0 or np.any(np.diff(values) > 0):
            raise ValueError("singular_values: finite, descending numbers >= 0 are needed")
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


def energy_shares(
    singular_values: Float64[np.ndarray, "values"],
) -> Float64[np.ndarray, "values"]:
    """Returns σ² / Σσ², in [0, 1]; zeros for a zero matrix.

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
    initial_values: Float64[np.ndarray, "initial_values"] | None = None,
    basis: str = "svd",
) -> pd.DataFrame:
    """Returns one row a component, columns `SPECTRUM_COLUMNS`.

    ``index`` counts from 1, as σ₁ does. ``energy`` is σ²/Σσ² and ``cumulative_energy`` its sum up to
    the component, exactly 1 at the last; both are 0 throughout for a zero matrix. ``initial_value`` is
    the singular value of the same index at initialisation, NaN where it is not known.

    Args:
        values: singular values (or S' for another basis), descending, at least one.
        rank: how many are kept, 0 to all.
        initial_values: the same of the untrained layer.
        basis: svd, or the name of the metric whose S' this is.

    Raises:
        ValueError: if the initial values are of another number, or the rank is out of range.
    """
    num_values = len(values)
    if initial_values is not None and len(initial_values) != num_values:
        raise ValueError(f"initial_values: {len(initial_values)}, {num_values} are needed")
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
            "initial_value": np.nan if initial_values is None else initial_values,
            "kept": index <= rank,
        },
        columns=[*SPECTRUM_COLUMNS],
    )
