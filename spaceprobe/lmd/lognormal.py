"""Whether a lognormal fits a tail better than a power law does: Vuong's test.

Clauset, Shalizi and Newman, SIAM Review 51 (2009), section 5 and appendix C, after Vuong, Econometrica 57
(1989). Both laws are fitted to the values from xmin on. In x = ln(λ / xmin) ≥ 0 the power law is an
exponential law, and the lognormal a normal one cut off below 0.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.optimize import brentq
from scipy.special import erfcx, log_ndtr

LEVEL = 0.05
"""Chosen: of the two-sided test, so that one law in twenty is given up by chance at most."""

LARGEST_CUT = 100.0
"""Chosen: where a normal law is cut off so many deviations above its mean, what is left is an exponential law
to 1e-4 in its second moment, and counts as one."""

LOWEST_CUT = -1e6
"""Chosen: a law so narrow beside its distance from xmin that no double tells it from a point."""

Preferred = Literal["lognormal", "undecided"]


@dataclass(frozen=True)
class LognormalComparison:
    """A power law against a lognormal, on the same tail.

    Attributes:
        ratio: the log-likelihood ratio of the power law to the lognormal over √n times the standard deviation
            of its terms. It is at most 0, since the power law is a limit of truncated lognormals: 0 where
            none fits better.
        p_value: two-sided, of the ratio.
        preferred: lognormal where the p-value is below `LEVEL`.
    """

    ratio: float
    p_value: float
    preferred: Preferred


def compare_with_lognormal(excess: Float64[np.ndarray, "tail"]) -> LognormalComparison:
    """Return Vuong's test of the power law against the lognormal that fit a tail best.

    Args:
        excess: ln(λ / xmin) of the values in the tail, ≥ 0, at least two and not all 0.
    """
    mean = float(excess.mean())
    fitted = fit_truncated_normal(excess)
    if fitted is None:
        return LognormalComparison(0.0, 1.0, "undecided")
    location, deviation = fitted
    normal = (
        -(((excess - location) / deviation) ** 2) / 2
        - math.log(deviation)
        - math.log(2 * math.pi) / 2
        - float(log_ndtr(location / deviation))
    )
    terms = -math.log(mean) - excess / mean - normal
    spread = float(terms.std())
    ratio = float(terms.sum()) / (math.sqrt(len(terms)) * spread) if spread > 0 else 0.0
    p_value = math.erfc(abs(ratio) / math.sqrt(2))
    return LognormalComparison(ratio, p_value, "lognormal" if ratio < 0 and p_value < LEVEL else "undecided")


def fit_truncated_normal(excess: Float64[np.ndarray, "tail"]) -> tuple[float, float] | None:
    """Return μ and σ of the normal law, cut off below 0, of the largest likelihood.

    It is an exponential family in x and x²: the likelihood has one maximum, where the law has the mean and
    the mean square of the data. With the cut at a = -μ/σ and h(a) = φ(a) / (1 - Φ(a)) these are σ(h - a) and
    σ²(1 + a² - ah); their ratio E x² / (E x)² grows in a from 1 to 2, so that a is the root of one function.

    Args:
        excess: numbers ≥ 0, not all 0.

    Returns:
        μ and σ; None where the exponential law is at least as likely as any, which is the limit μ → -∞.
    """
    mean = float(excess.mean())
    ratio = float((excess**2).mean()) / mean**2
    if ratio >= _moment_ratio(LARGEST_CUT):
        return None
    if ratio <= _moment_ratio(LOWEST_CUT):
        raise ValueError("excess: all but the same number, no law has a spread to fit")
    cut = brentq(lambda cut: _moment_ratio(cut) - ratio, LOWEST_CUT, LARGEST_CUT, xtol=1e-12)
    deviation = mean / (_hazard(cut) - cut)
    return -cut * deviation, deviation


def _hazard(cut: float) -> float:
    """Return φ(a) / (1 - Φ(a)); 0 where that underflows."""
    return math.sqrt(2 / math.pi) / float(erfcx(cut / math.sqrt(2)))


def _moment_ratio(cut: float) -> float:
    hazard = _hazard(cut)
    return (1 + cut * cut - cut * hazard) / (hazard - cut) ** 2
