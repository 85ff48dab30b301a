"""Every rank rule: how many components of a weight matrix count.

Each rule reads singular values, or the variances of W x over data, and returns a `RankEstimate`.
Real-valued rules are rounded to the nearest integer (halves up), at least 1; counting rules give an
integer. A rule whose assumption visibly fails is marked invalid with the reason; its numbers stand for
comparison, and 0 where there is none. A zero matrix has rank 0 by every rule, and only the numerical
rank is valid.

All rules but the Marchenko-Pastur edge are free of scale. Which rule comes closest to the number of
components that a network needs, the functional rank (`spaceprobe.lmd.functional`), is an empirical
question (docs/ranks.md, "Which rank?"): data99 with data, and without them the participation ratio.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64

from spaceprobe.lmd.noise import gavish_donoho_factor, marchenko_pastur_edge
from spaceprobe.lmd.rounding import SUM_ROUNDING
from spaceprobe.lmd.spectrum import Spectrum
from spaceprobe.plugins import load_plugins

MIN_VALUES_FOR_NOISE = 10
"""Chosen: the median of fewer singular values says little about a noise level."""

ENERGY_SHARES = {"energy90": 0.90, "energy95": 0.95, "energy99": 0.99}
"""The share of Σσ² that each rule of `energy_rank` asks for."""

DATA_SHARES = {"data95": 0.95, "data99": 0.99}
"""The share of the variance of W x that each rule of `data_rank` asks for."""

ZERO_MATRIX = "every weight is zero"
NO_DATA = "no data"
NO_INIT_VARIANCE = "variance at initialisation not known"
"""Why a rule gives no rank."""


@dataclass(frozen=True)
class RankEstimate:
    """The rank of a matrix by one rule.

    Attributes:
        value: the rule's own number, unrounded.
        rank: the integer to use, 0 to min(shape).
        valid: whether the rule's assumption holds as far as can be seen.
        reason: why it is not valid; empty otherwise.
    """

    value: float
    rank: int
    valid: bool = True
    reason: str = ""


def participation(spectrum: Spectrum) -> RankEstimate:
    """Return (Σσ²)² / Σσ⁴, the participation ratio of the energies.

    The number of equal energies with the same ratio of moments; as a dimension of neural activity
    in Gao et al., A theory of multineuronal dimensionality, bioRxiv 214262 (2017).
    """
    return _rounded(1 / float(np.sum(spectrum.energy**2)), spectrum)


def entropy(spectrum: Spectrum) -> RankEstimate:
    """Return exp(-Σ p log p) with p = σ² / Σσ², the exponential entropy of the energies.

    The effective number of energies in the sense of Hill, Diversity and evenness, Ecology 54 (1973),
    number of order 1; the participation ratio is his number of order 2.
    """
    return _rounded(_exp_entropy(spectrum.energy), spectrum)


def roy_vetterli(spectrum: Spectrum) -> RankEstimate:
    """Return exp(-Σ p log p) with p = σ / Σσ, of singular values instead of energies.

    Roy and Vetterli, The effective rank: a measure of effective dimensionality, EUSIPCO 2007.
    """
    return _rounded(_exp_entropy(spectrum.relative / spectrum.relative.sum()), spectrum)


def stable_rank(spectrum: Spectrum) -> RankEstimate:
    """Return ‖W‖_F² / σ₁².

    Rudelson and Vershynin, Sampling from large matrices, Journal of the ACM 54 (2007), where it is
    called the numerical rank.
    """
    return _rounded(float(np.sum(spectrum.relative**2)), spectrum)


def energy_rank(spectrum: Spectrum, share: float) -> RankEstimate:
    """Return the least r whose leading energies make up a share (Jolliffe 2002, section 6.1.1)."""
    return _counted(int(num_reaching(spectrum.energy, share)))


def data_rank(spectrum: Spectrum, share: float) -> RankEstimate:
    """Return the least r whose leading principal components of W x hold a share of its variance.

    The r largest eigenvalues of Cov(W x) over given inputs x (`output_variances`) make up that share of
    their sum: a number of dimensions of the layer's outputs for these inputs (Jolliffe 2002, section
    6.1.1). It is a number only. W_r cut to it keeps r singular directions of W, which are in general
    not the principal components of W x and hold less of the variance; the components themselves are the
    leading S' of the metric `data` at full rank. Invalid without data, and for a layer that is constant
    over the inputs.
    """
    variances = spectrum.output_variances
    if variances is None:
        return RankEstimate(0.0, 0, valid=False, reason=NO_DATA)
    if variances[0] == 0:
        return RankEstimate(0.0, 0, valid=False, reason="the layer is constant over the data")
    shares = variances / variances[0]
    return _counted(int(num_reaching(shares / shares.sum(), share)))


def elbow(spectrum: Spectrum) -> RankEstimate:
    """Return the number of singular values before the elbow of the scree plot.

    The elbow is the point (i, σ_i) farthest below the straight line from the first to the last one,
    as in Satopää et al., Finding a "Kneedle" in a haystack (2011), without smoothing; the first of
    several. What comes before it is kept, as Cattell, The scree test (1966), does. Invalid without
    a point below the line: fewer than three values, or a spectrum that is straight or bends down.
    """
    relative = spectrum.relative
    drop = np.linspace(relative[0], relative[-1], len(relative)) - relative
    if drop.max() <= SUM_ROUNDING:
        return RankEstimate(0.0, 0, valid=False, reason="no elbow: nothing below the chord")
    return _counted(int(np.argmax(drop >= drop.max() - SUM_ROUNDING)))


def marchenko_pastur(spectrum: Spectrum) -> RankEstimate:
    """Return how many singular values exceed those of the layer's own initialisation.

    What training lifts above the edge of the initial noise stands out (`marchenko_pastur_edge`;
    Martin and Mahoney, JMLR 22 (2021), read trained weights in this way). The edge is asymptotic: in
    a small untrained layer the largest value may exceed it slightly by chance.
    """
    if spectrum.init_variance is None:
        return RankEstimate(0.0, 0, valid=False, reason=NO_INIT_VARIANCE)
    edge = marchenko_pastur_edge(spectrum.shape, spectrum.init_variance)
    return _counted(int(np.sum(spectrum.values > edge)))


def gavish_donoho(spectrum: Spectrum) -> RankEstimate:
    """Return how many singular values exceed ω(β) times their median.

    The threshold of least mean squared error for a low-rank matrix in white noise of unknown level:
    Gavish and Donoho, The optimal hard threshold for singular values is 4/√3, IEEE Transactions on
    Information Theory 60 (2014), arXiv 1305.5870; with ω exact, not by their cubic.
    """
    median = float(np.median(spectrum.values))
    num_above = int(np.sum(spectrum.values > gavish_donoho_factor(spectrum.shape) * median))
    reason = ""
    if len(spectrum.values) < MIN_VALUES_FOR_NOISE:
        reason = f"fewer than {MIN_VALUES_FOR_NOISE} singular values: no median noise"
    elif median <= _rounding(spectrum):
        reason = "median singular value is rounding: no noise to measure"
    return RankEstimate(float(num_above), num_above, valid=not reason, reason=reason)


def numerical(spectrum: Spectrum) -> RankEstimate:
    """Return how many singular values exceed rounding, σ₁ · max(m, n) · ε.

    The default tolerance of numpy.linalg.matrix_rank, with the ε of float32, in which weights are
    trained and stored.
    """
    return _counted(int(np.sum(spectrum.values > _rounding(spectrum))))


RULES: dict[str, Callable[[Spectrum], RankEstimate]] = {
    "participation": participation,
    "entropy": entropy,
    "roy_vetterli": roy_vetterli,
    "stable_rank": stable_rank,
    **{name: partial(energy_rank, share=share) for name, share in ENERGY_SHARES.items()},
    **{name: partial(data_rank, share=share) for name, share in DATA_SHARES.items()},
    "elbow": elbow,
    "marchenko_pastur": marchenko_pastur,
    "gavish_donoho": gavish_donoho,
    "numerical": numerical,
}
"""Every rule that reads a spectrum, by its name in lmd_ranks.csv; those of plug-ins last."""


def _refuse(_: str, rule: object) -> str | None:
    """Return what is wrong with the rule of a plug-in."""
    return None if callable(rule) else f"expected a function of a Spectrum, got {type(rule).__name__}"


_TAKEN = {name: f"spaceprobe's own {name} ({__name__})" for name in (*RULES, "functional")}
RULES |= {
    plugin.name: rule for plugin, rule in load_plugins("rank_rules", _TAKEN, _refuse, is_first_use=True)
}


def _exp_entropy(shares: Float64[np.ndarray, "values"]) -> float:
    """Return exp(-Σ p log p); a share of 0 adds nothing."""
    positive = shares[shares > 0]
    return math.exp(-float(np.sum(positive * np.log(positive))))


def num_reaching(shares: Float64[np.ndarray, "values"], threshold: float) -> float:
    """Return how many leading shares reach the threshold together; infinite where all of them do not."""
    is_reached = np.cumsum(shares) >= threshold - SUM_ROUNDING
    return float(np.argmax(is_reached)) + 1 if is_reached.any() else math.inf


def rounding_level(largest: float, shape: tuple[int, int], epsilon: float) -> float:
    """Return σ₁ · max(m, n) · ε: a singular value of at most this is rounding of an m × n matrix."""
    return largest * max(shape) * epsilon


def round_half_up(value: float) -> int:
    """Return the nearest integer, the larger of two."""
    return math.floor(value + 0.5 + SUM_ROUNDING)


def _rounding(spectrum: Spectrum) -> float:
    return rounding_level(float(spectrum.values[0]), spectrum.shape, spectrum.epsilon)


def _rounded(value: float, spectrum: Spectrum) -> RankEstimate:
    return RankEstimate(value, min(len(spectrum.values), max(1, round_half_up(value))))


def _counted(count: int) -> RankEstimate:
    return RankEstimate(float(count), count)
