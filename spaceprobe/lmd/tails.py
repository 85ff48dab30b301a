"""Heavy tails: the power law of a layer's eigenvalues, and the norms that go with it.

Martin and Mahoney (JMLR 22 (2021)) and the tool WeightWatcher (Martin, Peng and Mahoney, Nature
Communications 12 (2021)) read the quality of a layer off the eigenvalues λ = σ² of WᵀW. The exponent rests
on the values in the tail alone: for the small layers of this project they are few, and it is then marked
invalid. A fit always exists; that the values follow a power law is another matter, and the eigenvalues of
noise do not. So a fit is valid only if the bootstrap does not rule it out (`spaceprobe.lmd.goodness`) and a
lognormal does not fit better (`spaceprobe.lmd.lognormal`).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from spaceprobe.lmd.goodness import LEAST_P, goodness_of_fit
from spaceprobe.lmd.lognormal import LEVEL, Preferred, compare_with_lognormal
from spaceprobe.lmd.power_law import PowerLaw, fit_power_law
from spaceprobe.lmd.rank_rules import ZERO_MATRIX, numerical, stable_rank
from spaceprobe.lmd.rounding import FLOAT32_EPSILON
from spaceprobe.lmd.spectrum import Spectrum

MIN_TAIL_VALUES = 50
"""Clauset, Shalizi and Newman (2009), section 3.1: the estimate is good for 50 values and more."""

LARGEST_VALUE = math.sqrt(np.finfo(float).max)
"""A singular value whose square is a float64."""


@dataclass(frozen=True)
class Tail:
    """A power law p(λ) ∝ λ^-α for λ ≥ xmin, fitted to eigenvalues of WᵀW.

    Attributes:
        num_values: all eigenvalues, those left out too.
        exponent: α > 1; None where no law can be fitted.
        standard_error: (α - 1) / √(number of tail values), to first order and xmin taken as given; None
            without exponent.
        ks_distance: largest distance of the tail's distribution from the law, in [0, 1]; None without
            exponent.
        xmin: the eigenvalue at which the tail starts; None without exponent.
        num_tail: on how many eigenvalues the fit rests, xmin included; 0 without one.
        valid: whether they are enough, the p-value is at least `LEAST_P`, and a lognormal is not preferred.
        reason: why it is not valid; empty otherwise.
        num_left_out: eigenvalues that are zero or rounding, on which nothing rests.
        goodness_p: p-value of the law (`goodness.goodness_of_fit`); None, as all that follow, where the tail
            has too few eigenvalues to be judged.
        num_replicas: how many bootstrap replicas it rests on.
        lognormal_ratio: normalised log-likelihood ratio against a lognormal, at most 0
            (`lognormal.compare_with_lognormal`).
        lognormal_p: two-sided p-value of the ratio.
        preferred: lognormal, or undecided.
    """

    num_values: int
    exponent: float | None
    standard_error: float | None
    ks_distance: float | None
    xmin: float | None
    num_tail: int
    valid: bool
    reason: str
    num_left_out: int = 0
    goodness_p: float | None = None
    num_replicas: int | None = None
    lognormal_ratio: float | None = None
    lognormal_p: float | None = None
    preferred: Preferred | None = None


@dataclass(frozen=True)
class Norms:
    """Norms of a layer on a log scale, base 10, and its ranks. For a zero matrix the logs are None.

    Attributes:
        log_norm: log10 ‖W‖_F².
        log_spectral_norm: log10 λ₁, λ₁ = σ₁².
        weighted_alpha: α · log10 λ₁; None without an exponent.
        log_alpha_norm: log10 Σ λ^α; None without an exponent.
        stable_rank: ‖W‖_F² / σ₁²; 0 for a zero matrix.
        numerical_rank: how many singular values exceed rounding (`ranks.numerical`).
    """

    log_norm: float | None
    log_spectral_norm: float | None
    weighted_alpha: float | None
    log_alpha_norm: float | None
    stable_rank: float
    numerical_rank: int


def power_law_tail(
    values: Float64[np.ndarray, "values"],
    min_values: int = MIN_TAIL_VALUES,
    *,
    shape: tuple[int, int] | None = None,
    epsilon: float = FLOAT32_EPSILON,
) -> Tail:
    """Return the power law that fits the upper tail of the eigenvalues λ = σ² best.

    Clauset, Shalizi and Newman, Power-law distributions in empirical data, SIAM Review 51 (2009): for
    every eigenvalue but the largest as xmin the continuous maximum-likelihood exponent α = 1 + n / Σ
    ln(λ_i / xmin) (their equation 3.1) over the n eigenvalues from xmin on; taken is the xmin of least KS
    distance (section 3.3), of several the smallest. α and the KS distance do not depend on the scale of
    the matrix, and neither does the verdict.

    Only eigenvalues that count for the numerical rank are fitted, those with σ > σ₁ · max(m, n) · ε
    (`rank_rules.numerical`). What lies below is rounding: a matrix of rank 1 has hundreds of values at
    1e-16 σ₁ that look like a tail, and a zero has no logarithm.

    Args:
        values: all singular values, descending.
        min_values: fewer eigenvalues in the tail make the fit invalid without a judgement; its numbers stand.
        shape: rows and columns of the matrix; None takes a square one, which has the lowest threshold
            for that many values.
        epsilon: relative rounding of its entries.

    Raises:
        ValueError: if the values are not finite, descending numbers ≥ 0, at least one, or not min(shape).
    """
    if not len(values) or not (
        np.isfinite(values).all() and values[-1] >= 0 and (np.diff(values) <= 0).all()
    ):
        raise ValueError("values: finite, descending singular values >= 0 are needed, at least one")
    num_kept = numerical(Spectrum(values, shape or (len(values), len(values)), epsilon=epsilon)).rank
    num_left_out = len(values) - num_kept
    if values[0] == 0:
        return _no_tail(len(values), num_left_out, ZERO_MATRIX)
    if values[0] > LARGEST_VALUE:
        reason = f"singular values to {values[0]:.3g}: their squares overflow"
        return _no_tail(len(values), num_left_out, reason)
    logs = 2 * np.log(values[:num_kept] / values[0])
    law = fit_power_law(logs)
    if law is None:
        return _no_tail(len(values), num_left_out, "fewer than two different eigenvalues above rounding")
    smallest = float(values[law.num_tail - 1])
    tail = Tail(
        num_values=len(values),
        exponent=law.exponent,
        standard_error=(law.exponent - 1) / math.sqrt(law.num_tail),
        ks_distance=law.distance,
        xmin=smallest * smallest,  # not ** 2: pow may round otherwise
        num_tail=law.num_tail,
        valid=False,
        reason=f"{law.num_tail} eigenvalues in the tail, fewer than {min_values}",
        num_left_out=num_left_out,
    )
    return tail if law.num_tail < min_values else _judged(tail, logs, law)


def matrix_norms(
    values: Float64[np.ndarray, "values"],
    shape: tuple[int, int],
    tail: Tail | None = None,
    epsilon: float = FLOAT32_EPSILON,
) -> Norms:
    """Return the log norms as WeightWatcher reports them, the stable and the numerical rank.

    Sums are taken relative to σ₁, so that no power overflows.

    Args:
        values: all singular values, descending.
        shape: rows and columns of the matrix.
        tail: `power_law_tail` of the same singular values and shape, where it is at hand; None fits it.
        epsilon: relative rounding of the entries.

    Raises:
        ValueError: if the singular values are not min(shape) finite, descending numbers ≥ 0.
    """
    spectrum = Spectrum(values, shape, epsilon=epsilon)
    alpha = (tail or power_law_tail(values, shape=shape, epsilon=epsilon)).exponent
    rank = numerical(spectrum).rank
    if values[0] == 0:
        return Norms(None, None, None, None, stable_rank=0.0, numerical_rank=rank)
    log_spectral_norm = 2 * math.log10(values[0])
    weighted_alpha = log_alpha_norm = None
    if alpha is not None:
        weighted_alpha = alpha * log_spectral_norm
        log_alpha_norm = weighted_alpha + math.log10(np.sum(spectrum.relative ** (2 * alpha)))
    return Norms(
        log_norm=log_spectral_norm + math.log10(np.sum(spectrum.relative**2)),
        log_spectral_norm=log_spectral_norm,
        weighted_alpha=weighted_alpha,
        log_alpha_norm=log_alpha_norm,
        stable_rank=stable_rank(spectrum).value,
        numerical_rank=rank,
    )


def _judged(tail: Tail, logs: Float64[np.ndarray, "values"], law: PowerLaw) -> Tail:
    """Return a tail of enough values with what the bootstrap and the lognormal say of it."""
    goodness = goodness_of_fit(logs, law)
    comparison = compare_with_lognormal(logs[: law.num_tail] - logs[law.num_tail - 1])
    reasons = []
    if goodness.p_value < LEAST_P:
        reasons.append(f"the bootstrap rules the law out: goodness_p below {LEAST_P}")
    if comparison.preferred == "lognormal":
        reasons.append(f"a lognormal fits better: lognormal_p below {LEVEL}")
    return replace(
        tail,
        valid=not reasons,
        reason="; ".join(reasons),
        goodness_p=goodness.p_value,
        num_replicas=goodness.num_replicas,
        lognormal_ratio=comparison.ratio,
        lognormal_p=comparison.p_value,
        preferred=comparison.preferred,
    )


def _no_tail(num_values: int, num_left_out: int, reason: str) -> Tail:
    return Tail(num_values, None, None, None, None, 0, False, reason, num_left_out)
