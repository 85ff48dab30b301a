"""What in a spectrum is more than noise of the entries: verdicts that need no initialisation and no data.

Martin and Mahoney, Implicit self-regularization in deep neural networks, JMLR 22 (2021): singular values
beyond the Marchenko-Pastur edge of the entries' own variance (spikes), the soft rank, and the comparison with
the shuffled matrix, whose entries are the same and whose correlations are gone. A few very large entries make
values beyond the edge as well, in the shuffled matrix too: these are told apart by taking the entries out.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.entries import Entries
from spaceprobe.lmd.noise import marchenko_pastur_edge
from spaceprobe.lmd.rank_rules import rounding_level
from spaceprobe.lmd.rounding import FLOAT32_EPSILON
from spaceprobe.lmd.spectrum import singular_values

TRACY_WIDOM_99 = 2.0234
"""The 99 % quantile of the Tracy-Widom law of real matrices (Johnstone, Annals of Statistics 29 (2001))."""

MAX_FEW = 100
"""Chosen: more large entries than this are not a few; a heavy-tailed matrix has thousands."""


@dataclass(frozen=True)
class Spikes:
    """How the singular values of a matrix stand to noise of the variance of its entries.

    Attributes:
        entries_edge: where the singular values of such noise end (`noise.marchenko_pastur_edge`).
        num_spikes: singular values above `spike_threshold`.
        soft_rank: the edge over σ₁, squared: λ₊ / λ_max, about 1 for noise; None for a zero matrix.
    """

    entries_edge: float
    num_spikes: int
    soft_rank: float | None


def spikes(
    values: Float64[np.ndarray, "values"],
    shape: tuple[int, int],
    deviation: float,
    epsilon: float = FLOAT32_EPSILON,
) -> Spikes:
    """Return how singular values stand to noise.

    The variance is that of all entries, what the spikes add to it included: a matrix of few strong components
    has a high edge, so the number of spikes is rather too small than too large.

    Args:
        values: all or the leading singular values, descending, at least one.
        shape: rows and columns of the matrix.
        deviation: standard deviation of its entries.
        epsilon: relative rounding of its entries.
    """
    edge = deviation * marchenko_pastur_edge(shape, 1.0)
    rounding = rounding_level(float(values[0]), shape, epsilon)
    num_spikes = int(np.sum(values > max(spike_threshold(shape, deviation), rounding)))
    return Spikes(edge, num_spikes, (edge / float(values[0])) ** 2 if values[0] > 0 else None)


def spike_threshold(shape: tuple[int, int], deviation: float) -> float:
    """Return what the largest singular value of m × n noise exceeds with a probability of about 1 %.

    The largest value fluctuates about the edge: with centre (√(n-1) + √m)² and scale
    (√(n-1) + √m)·(1/√(n-1) + 1/√m)^⅓, its square over the variance follows the Tracy-Widom law (Johnstone
    2001, theorem 1.1). Of matrices of noise one in six exceeds the bare edge.
    """
    longer, shorter = math.sqrt(max(1, max(shape) - 1)), math.sqrt(min(shape))
    scale = (longer + shorter) * (1 / longer + 1 / shorter) ** (1 / 3)
    return deviation * math.sqrt((longer + shorter) ** 2 + TRACY_WIDOM_99 * scale)


def shuffled_distance(
    values: Float64[np.ndarray, "values"], shuffled: Float64[np.ndarray, "values"]
) -> float:
    """Return √Σ(σ_i - σ'_i)² / √Σσ², from 0 to √2; 0 for a zero matrix.

    The quadratic Wasserstein distance of the two sets of singular values, over the root mean square of
    either, which is the same for both. By Mirsky's theorem the two matrices come no closer, relative to their
    norm, by orthogonal transformations of inputs and outputs.

    Args:
        values: all singular values, descending.
        shuffled: those of the matrix with its entries in random order (`spectrum.shuffled_singular_values`).
    """
    if values[0] == 0:
        return 0.0
    own, other = values / values[0], shuffled / values[0]
    return math.sqrt(float(np.sum((own - other) ** 2)) / float(np.sum(own**2)))


def num_entry_spikes(W: Float64[Tensor, "outputs inputs"], entries: Entries, num_spikes: int) -> int | None:
    """Return how many spikes vanish when the large entries are replaced by the mean of the others.

    The threshold stays that of the whole matrix. It takes singular values of its own, only where there are
    spikes and large entries.

    Args:
        W: the matrix.
        entries: of it.
        num_spikes: of it.

    Returns:
        The number; None where more than `MAX_FEW` entries are large.
    """
    if not num_spikes or not entries.num_large:
        return 0
    if entries.num_large > MAX_FEW:
        return None
    threshold = spike_threshold((W.shape[0], W.shape[1]), entries.deviation)
    left = int(np.sum(singular_values(entries.without_large(W)) > threshold))
    return max(0, num_spikes - left)
