"""How often noise passes as a power law, and how often a power law is recognised.

Prints two tables in Markdown: matrices of independent normal entries, and planted laws of known exponents,
alone or above as many or more other values. A valid law has at least 50 values in its tail, a p-value of 0.1
at least, and no lognormal that fits better; the columns beside say what the first two alone would let pass.

Run: python scripts/tail_verdicts.py [--noise 200] [--planted 100]
"""

import argparse
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from spaceprobe.lmd.goodness import LEAST_P
from spaceprobe.lmd.tails import MIN_TAIL_VALUES, Tail, power_law_tail

SHAPES = [(100, 100), (128, 1024), (200, 1000), (256, 256), (300, 784), (500, 500), (512, 2048), (784, 784)]
EXPONENTS = [2.0, 2.5, 3.0, 3.5, 4.0]
SIZES = {"100 values": (100, 0), "300": (300, 0), "1000": (1000, 0), "200 above 300 others": (200, 300)}
"""How many values follow the law, and how many lie below it."""


def noise_tail(shape: tuple[int, int], seed: int) -> Tail:
    """Return the tail of a matrix of independent normal entries."""
    entries = np.random.default_rng([seed, *shape]).normal(size=shape)
    return power_law_tail(np.linalg.svd(entries, compute_uv=False), shape=shape)


def planted_values(exponent: float, num_law: int, num_below: int, seed: int) -> Float64[np.ndarray, "values"]:
    """Return singular values whose squares follow a law from 4 on, and are uniform below."""
    rng = np.random.default_rng([seed, round(10 * exponent), num_law, num_below])
    above = 4 * (1 - rng.random(num_law)) ** (-1 / (exponent - 1))
    return np.sqrt(np.sort(np.concatenate([above, rng.uniform(0.1, 4, num_below)])))[::-1].copy()


def lines(first: str, groups: dict[str, list[Tail]]) -> Iterator[str]:
    """Yield a table with a line for each group and one for all."""
    yield f"| {first} | number | 50 values or more | p ≥ 0.1 | lognormal preferred | valid | exponents |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    everything = [tail for tails in groups.values() for tail in tails]
    for name, tails in [*groups.items(), ("all", everything)]:
        judged = [tail for tail in tails if tail.num_tail >= MIN_TAIL_VALUES]
        fitting = sum(tail.goodness_p >= LEAST_P for tail in judged)
        refused = sum(tail.preferred == "lognormal" for tail in judged)
        valid = sum(tail.valid for tail in tails)
        exponents = [tail.exponent for tail in judged]
        span = f"{min(exponents):.1f} to {max(exponents):.1f}" if exponents else "-"
        yield (
            f"| {name} | {len(tails)} | {len(judged)} | {fitting} | {refused} | "
            f"{valid} ({valid / len(tails):.1%}) | {span} |"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--noise", type=int, default=200, help="matrices of noise")
    parser.add_argument("--planted", type=int, default=100, help="planted laws")
    options = parser.parse_args()
    noise: dict[str, list[Tail]] = {}
    for number in range(options.noise):
        shape = SHAPES[number % len(SHAPES)]
        noise.setdefault(f"{shape[0]} × {shape[1]}", []).append(noise_tail(shape, number))
    print(*lines("normal entries", noise), "", sep="\n", flush=True)
    planted: dict[str, list[Tail]] = {}
    for number in range(options.planted):
        name = [*SIZES][number % len(SIZES)]
        exponent = EXPONENTS[number // len(SIZES) % len(EXPONENTS)]
        planted.setdefault(name, []).append(
            power_law_tail(planted_values(exponent, *SIZES[name], seed=number))
        )
    print(*lines("planted law", planted), sep="\n")


if __name__ == "__main__":
    main()
