"""Every rank rule: how many components of a weight matrix count.

Each rule reads singular values, or the variances of W x over data, and returns a `RankEstimate`.
Real-valued rules are rounded to the nearest integer (halves up), at least 1; counting rules give an
integer. A rule whose assumption visibly fails is marked invalid with the reason; its numbers stand for
comparison, and 0 where there is none. A zero matrix has rank 0 by every rule, and only the numerical
rank is valid.

All rules but the Marchenko-Pastur edge are free of scale. Which rule comes closest to the number of
components that a network needs, the functional rank (`spaceprobe.lmd.functional`), is an empirical
question (design.md, section 4): data99 with data, and without them the participation ratio.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from spaceprobe.lmd.noise import gavish_donoho_factor, marchenko_pastur_edge
from spaceprobe.lmd.spectrum import Spectrum

MIN_VALUES_FOR_NOISE = 10
"""Chosen: the median of fewer singular values says little about a noise level."""

SLACK = 1e-12
"""Rounding of sums over thousands of shares: what is this close to a threshold has reached it, so that
a rank does not hang on the last bit."""


@dataclass(frozen=True)
class RankEstimate:
    """What one rule says.

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


def energy90(spectrum: Spectrum) -> RankEstimate:
    """Return the least r whose leading energies make up 90 % (Jolliffe 2002, section 6.1.1)."""
    return _energy_rank(spectrum, 0.90)


def energy95(spectrum: Spectrum) -> RankEstimate:
    """Return the least r whose leading energies make up 95 % (Jolliffe 2002, section 6.1.1)."""
    return _energy_rank(spectrum, 0.95)


def energy99(spectrum: Spectrum) -> RankEstimate:
    """Return the least r whose leading energies make up 99 % (Jolliffe 2002, section 6.1.1)."""
    return _energy_rank(spectrum, 0.99)


def data95(spectrum: Spectrum) -> RankEstimate:
    """Return the least r whose leading principal components of W x hold 95 % of its variance.

    As `data99`, which says what is cut.
    """
    return _data_rank(spectrum, 0.95)


def data99(spectrum: Spectrum) -> RankEstimate:
    """Return the least r whose leading principal components of W x hold 99 % of its variance.

    The r largest eigenvalues of Cov(W x) over given inputs x (`output_variances`) make up 99 % of
    their sum: a number of dimensions of what the layer says about these inputs (Jolliffe 2002, section
    6.1.1). It is a number only. W_r cut to it keeps r singular directions of W, which are in general
    not the principal components of W x and hold less of the variance; the components themselves are the
    leading S' of the metric `data` at full rank. Invalid without data, and for a layer that is constant
    over the inputs.
    """
    return _data_rank(spectrum, 0.99)


def elbow(spectrum: Spectrum) -> RankEstimate:
    """Return the number of singular values before the elbow of the scree plot.

    The elbow is the point (i, σ_i) farthest below the straight line from the first to the last one,
    as in Satopää et al., Finding a «Kneedle» in a haystack (2011), without smoothing; the first of
    several. What comes before it is kept, as Cattell, The scree test (1966), does. Invalid without
    a point below the line: fewer than three values, or a spectrum that is straight or bends down.
    """
    relative = spectrum.relative
    drop = np.linspace(relative[0], relative[-1], len(relative)) - relative
    if drop.max() <= SLACK:
        return RankEstimate(0.0, 0, valid=False, reason="no elbow: nothing below the chord")
    return _counted(int(np.argmax(drop >= drop.max() - SLACK)))


def marchenko_pastur(spectrum: Spectrum) -> RankEstimate:
    """Return how many singular values exceed those of the layer's own initialisation.

    What training lifts above the edge of the initial noise stands out (`marchenko_pastur_edge`;
    Martin and Mahoney, JMLR 22 (2021), read trained weights in this way). The edge is asymptotic: in
    a small untrained layer the largest value may exceed it slightly by chance.
    """
    if spectrum.init_variance is None:
        return RankEstimate(0.0, 0, valid=False, reason="variance at initialisation not known")
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
    elif median <= _rounding_level(spectrum):
        reason = "median singular value is rounding: no noise to measure"
    return RankEstimate(float(num_above), num_above, valid=not reason, reason=reason)


def numerical(spectrum: Spectrum) -> RankEstimate:
    """Return how many singular values exceed rounding, σ₁ · max(m, n) · ε.

    The default tolerance of numpy.linalg.matrix_rank, with the ε of float32, in which weights are
    trained and stored.
    """
    return _counted(int(np.sum(spectrum.values > _rounding_level(spectrum))))


RULES: dict[str, Callable[[Spectrum], RankEstimate]] = {
    rule.__name__: rule
    for rule in (
        participation,
        entropy,
        roy_vetterli,
        stable_rank,
        energy90,
        energy95,
        energy99,
        data95,
        data99,
        elbow,
        marchenko_pastur,
        gavish_donoho,
        numerical,
    )
}
"""Every rule that reads a spectrum, by its name in lmd_ranks.csv."""


def _exp_entropy(shares: Float64[np.ndarray, "values"]) -> float:
    """Return exp(-Σ p log p); a share of 0 adds nothing."""
    positive = shares[shares > 0]
    return math.exp(-float(np.sum(positive * np.log(positive))))


def _energy_rank(spectrum: Spectrum, threshold: float) -> RankEstimate:
    return _counted(_num_leading(spectrum.energy, threshold))


def _data_rank(spectrum: Spectrum, threshold: float) -> RankEstimate:
    variances = spectrum.output_variances
    if variances is None:
        return RankEstimate(0.0, 0, valid=False, reason="no data")
    if variances[0] == 0:
        return RankEstimate(0.0, 0, valid=False, reason="the layer is constant over the data")
    shares = variances / variances[0]
    return _counted(_num_leading(shares / shares.sum(), threshold))


def _num_leading(shares: Float64[np.ndarray, "values"], threshold: float) -> int:
    """Return how many leading shares reach the threshold together."""
    return int(np.argmax(np.cumsum(shares) >= threshold - SLACK)) + 1


def _rounding_level(spectrum: Spectrum) -> float:
    return float(spectrum.values[0]) * max(spectrum.shape) * spectrum.epsilon


def _rounded(value: float, spectrum: Spectrum) -> RankEstimate:
    return RankEstimate(value, min(len(spectrum.values), max(1, math.floor(value + 0.5 + SLACK))))


def _counted(count: int) -> RankEstimate:
    return RankEstimate(float(count), count)
