"""How well a fitted power law fits, by the semiparametric bootstrap of Clauset, Shalizi and Newman.

Power-law distributions in empirical data, SIAM Review 51 (2009), section 4.1: samples are drawn from the
fitted law and from what lies below it, the law is fitted to each anew, xmin included, and the p-value is the
share of samples that are at least as far from their law as the data are from theirs. Their verdict: below
`LEAST_P` the law is ruled out.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from spaceprobe.lmd.power_law import PowerLaw, fit_power_law

LEAST_P = 0.1
"""Clauset, Shalizi and Newman (2009), section 4.2."""

NUM_REPLICAS = 1000
"""Chosen: at most so many, for which a p-value of 0.1 has a standard error of 0.0095."""

NUM_FIRST = 200
"""Chosen: a hopeless law is given up after so many."""

FEWEST_OF_FIRST = 5
"""Chosen: given up is a law that fewer of the first replicas are as far from. If its p-value were 0.1, that
would happen with a probability of 2e-5."""


@dataclass(frozen=True)
class Goodness:
    """The verdict of the bootstrap.

    Attributes:
        p_value: the share of replicas that are at least as far from their own law.
        num_replicas: how many were drawn.
    """

    p_value: float
    num_replicas: int


def goodness_of_fit(logs: Float64[np.ndarray, "values"], law: PowerLaw) -> Goodness:
    """Return the p-value of a fitted law.

    Drawing stops once `LEAST_P` · `NUM_REPLICAS` replicas are as far: the law is not ruled out whatever the
    others are, and the p-value is that of Besag and Clifford, Sequential Monte Carlo p-values, Biometrika 78
    (1991). It stops after the first `NUM_FIRST` where fewer than `FEWEST_OF_FIRST` are.

    The random numbers follow from the values themselves, relative to the largest and rounded to float32: the
    same matrix has the same p-value in any order of matrices, and last bits do not change it.

    Args:
        logs: descending logarithms of all values, relative to the largest.
        law: what `fit_power_law` returns of them.
    """
    enough = math.ceil(LEAST_P * NUM_REPLICAS)
    generator = np.random.default_rng(_seed(logs))
    num_as_far = 0
    for number in range(1, NUM_REPLICAS + 1):
        replica = fit_power_law(draw_replica(logs, law, generator))
        # Equal numbers follow no law: as far from one as can be.
        num_as_far += replica is None or replica.distance >= law.distance
        if num_as_far == enough or (number == NUM_FIRST and num_as_far < FEWEST_OF_FIRST):
            break
    return Goodness(num_as_far / number, number)


def draw_replica(
    logs: Float64[np.ndarray, "values"], law: PowerLaw, generator: np.random.Generator
) -> Float64[np.ndarray, "values"]:
    """Return as many descending logarithms, each drawn from the law or from the values below xmin.

    From the law with the probability num_tail / values, otherwise one of the values below it, each with the
    same probability and with replacement.

    Args:
        logs: as of `goodness_of_fit`.
        law: as of it.
        generator: of the random numbers.
    """
    below = logs[law.num_tail :]
    num_above = generator.binomial(len(logs), law.num_tail / len(logs))
    excess = generator.exponential(1 / (law.exponent - 1), num_above)
    drawn = below[generator.integers(len(below), size=len(logs) - num_above)] if len(below) else below
    return np.sort(np.concatenate([logs[law.num_tail - 1] + excess, drawn]))[::-1]


def _seed(logs: Float64[np.ndarray, "values"]) -> int:
    """Return a seed that the values tell."""
    return int.from_bytes(hashlib.sha256(np.exp(logs).astype("<f4").tobytes()).digest())
