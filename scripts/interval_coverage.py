"""Simulate how often intervals over seeds hold the true mean (docs/definitions.md, "Intervals").

Shares are drawn from beta distributions of a mean and a precision (a beta(mean × precision, (1 - mean) ×
precision) has the variance mean (1 - mean) / (precision + 1)), differences from two of them. Printed is the
share of simulated studies whose 95 % interval holds the mean: on the scale of the logit as `t_interval` has
it, and without, as a t interval of the values themselves, of which the last column says how often it leaves
the range.

    python scripts/interval_coverage.py
"""

import numpy as np

from spaceprobe.analysis.mean_difference import mean_difference
from spaceprobe.analysis.over_seeds import t_interval
from spaceprobe.tables.table import Bounds

SEED = 20250209
NUM_STUDIES = 4_000
"""Chosen: a coverage of 95 % then has a standard error of 0.3 %."""

NUM_SEEDS = (3, 5, 10)
SHARES = ((0.5, 4), (0.5, 50), (0.2, 30), (0.05, 100), (0.05, 20), (0.99, 50))
"""Mean and precision; of the last, half of the values are within 0.005 of 1."""

UNIT = Bounds(0, 1)


def coverage_of_shares(mean: float, precision: float, num_seeds: int) -> tuple[float, float, float]:
    """Return how often either interval holds the mean, and how often the plain one leaves [0, 1]."""
    rng = np.random.default_rng(SEED)
    studies = rng.beta(mean * precision, (1 - mean) * precision, (NUM_STUDIES, num_seeds))
    on_scale = [t_interval(study, UNIT) for study in studies]
    plain = [t_interval(study) for study in studies]
    held = [[low <= mean <= high for low, high in filter(None, ends)] for ends in (on_scale, plain)]
    left = [low < 0 or high > 1 for low, high in filter(None, plain)]
    return float(np.mean(held[0])), float(np.mean(held[1])), float(np.mean(left))


def coverage_of_differences(means: tuple[float, float], precision: float, num_seeds: int) -> float:
    """Return how often the paired interval holds the difference of two means."""
    rng = np.random.default_rng(SEED)
    a, b = (rng.beta(m * precision, (1 - m) * precision, (NUM_STUDIES, num_seeds)) for m in means)
    held = []
    for of_a, of_b in zip(a.tolist(), b.tolist(), strict=True):
        sides = [{seed: [value] for seed, value in enumerate(values)} for values in (of_a, of_b)]
        made = mean_difference(sides[0], sides[1], UNIT)
        held.append(made.low <= means[1] - means[0] <= made.high)
    return float(np.mean(held))


def main() -> None:
    """Print the tables."""
    print("| mean | precision | seeds | logit | plain | plain leaves the range |")
    print("| --- | --- | --- | --- | --- | --- |")
    for mean, precision in SHARES:
        for num_seeds in NUM_SEEDS:
            on_scale, plain, left = coverage_of_shares(mean, precision, num_seeds)
            print(f"| {mean} | {precision} | {num_seeds} | {on_scale:.3f} | {plain:.3f} | {left:.2f} |")
    print("| means | precision | seeds | paired difference |")
    print("| --- | --- | --- | --- |")
    for means, precision in (((0.4, 0.5), 30), ((0.05, 0.9), 20)):
        for num_seeds in NUM_SEEDS:
            held = coverage_of_differences(means, precision, num_seeds)
            print(f"| {means[0]}, {means[1]} | {precision} | {num_seeds} | {held:.3f} |")


if __name__ == "__main__":
    main()
