"""Singular values of noise: where they end, where their median lies, what to cut off with."""

import math
from functools import lru_cache

from scipy.integrate import quad
from scipy.optimize import brentq


def marchenko_pastur_edge(shape: tuple[int, int], variance: float) -> float:
    """Return √v·(√m + √n), where the singular values of an m × n noise matrix end.

    For independent entries of variance v and large m and n (Marchenko and Pastur 1967 for the bulk;
    Yin, Bai and Krishnaiah 1988 for the largest value).
    """
    return math.sqrt(variance) * (math.sqrt(shape[0]) + math.sqrt(shape[1]))


def gavish_donoho_factor(shape: tuple[int, int]) -> float:
    """Return ω(β) = λ*(β) / √μ_β for an m × n matrix, β its shorter over its longer side.

    λ* is the optimal threshold for known noise, μ_β the median of the Marchenko-Pastur law. Gavish
    and Donoho, arXiv 1305.5870, who also give a cubic in β that is within 0.02 of ω.

    >>> round(gavish_donoho_factor((50, 50)), 3)
    2.858
    """
    beta = min(shape) / max(shape)
    root = math.sqrt(beta**2 + 14 * beta + 1)
    threshold = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + root))
    return threshold / math.sqrt(_marchenko_pastur_median(beta))


@lru_cache(maxsize=256)
def _marchenko_pastur_median(beta: float) -> float:
    """Return the median of the Marchenko-Pastur law with ratio β in (0, 1] and unit variance.

    The density √((b - x)(x - a)) / (2πβx) on [a, b] = [(1 - √β)², (1 + √β)²] becomes smooth in θ with
    x = 1 + β - 2√β cos θ.
    """
    half_width = 2 * math.sqrt(beta)

    def density(angle: float) -> float:
        x = 1 + beta - half_width * math.cos(angle)
        # At β = 1 and θ = 0 the law has its pole, and the integrand in θ its limit 2/π.
        return (half_width * math.sin(angle)) ** 2 / (2 * math.pi * beta * x) if x > 0 else 2 / math.pi

    def excess(angle: float) -> float:
        return float(quad(density, 0, angle, epsabs=1e-13, epsrel=1e-13)[0]) - 0.5

    angle = brentq(excess, 0, math.pi, xtol=1e-14)
    return 1 + beta - half_width * math.cos(angle)
