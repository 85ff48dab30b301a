"""Space folding in rational arithmetic: docs/definitions.md, "Exact rules", word by word and slow.

Shares no code and no idea with the engines: it finds the breakpoints of each layer between those of
the layers before, then asks for the activation pattern in the middle of every interval that is
left. Nothing is on a boundary there, except units that are zero on the whole interval, which are
off.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import lcm

Vector = list[Fraction]
Layer = tuple[list[Vector], Vector]
"""A weight matrix as its rows (outputs x inputs), and a bias."""


@dataclass(frozen=True)
class ExactFolding:
    """What a path has by the rules; the fields are those of `spaceprobe.folding.PathFolding`."""

    length: int
    reach_from_a: int
    reach_from_b: int
    peak_length_from_a: int
    peak_reach_from_a: int
    peak_length_from_b: int
    peak_reach_from_b: int


def pre_activations(layers: list[Layer], relu_at_end: bool, point: Vector) -> list[Vector]:
    """Return the inputs of every ReLU at a point, layer by layer."""
    counted = layers if relu_at_end else layers[:-1]
    before_relu = []
    hidden = point
    for weight, bias in counted:
        z = [weighted_sum(row, hidden) + c for row, c in zip(weight, bias, strict=True)]
        before_relu.append(z)
        hidden = [max(value, Fraction(0)) for value in z]
    return before_relu


def weighted_sum(weights: Vector, values: Vector) -> Fraction:
    """Return Σ w·v over one common denominator: added one by one, each sum would be reduced anew."""
    numerators = [w.numerator * v.numerator for w, v in zip(weights, values, strict=True)]
    denominators = [w.denominator * v.denominator for w, v in zip(weights, values, strict=True)]
    common = lcm(*denominators)
    return Fraction(sum(n * (common // d) for n, d in zip(numerators, denominators, strict=True)), common)


def between(a: Vector, b: Vector, t: Fraction) -> Vector:
    """Return the point x(t) = (1-t)·a + t·b."""
    return [(1 - t) * start + t * end for start, end in zip(a, b, strict=True)]


def breakpoints(
    layers: list[Layer], relu_at_end: bool, a: Vector, b: Vector, thresholds: list[Vector] | None = None
) -> list[Fraction]:
    """Return 0, 1 and every t between at which some unit passes 0, or its threshold, ascending."""
    times = [Fraction(0), Fraction(1)]
    z_at: dict[Fraction, list[Vector]] = {}
    for depth in range(len(layers) if relu_at_end else len(layers) - 1):
        z_at |= {t: pre_activations(layers, relu_at_end, between(a, b, t)) for t in times if t not in z_at}
        # between two of these times every layer above is in one region, so this one's z is affine
        none = [Fraction(0)] * len(z_at[times[0]][depth])
        crossings = {
            start + (end - start) * (z0 - c) / (z0 - z1)
            for start, end in pairwise(times)
            for levels in ([none] if thresholds is None else [none, thresholds[depth]])
            for z0, z1, c in zip(z_at[start][depth], z_at[end][depth], levels, strict=True)
            if (z0 - c) * (z1 - c) < 0
        }
        times = sorted({*times, *crossings})
    return times


def patterns_along(
    layers: list[Layer], relu_at_end: bool, a: Vector, b: Vector, thresholds: list[Vector] | None = None
) -> list[tuple[Fraction, list[bool]]]:
    """Return the linear regions along the open segment: where each is entered, and its pattern.

    With thresholds, one for each unit of each layer, a unit is on above its own; the network bends at 0.
    """
    regions: list[tuple[Fraction, list[bool]]] = []
    for start, end in pairwise(breakpoints(layers, relu_at_end, a, b, thresholds)):
        middle = between(a, b, (start + end) / 2)
        seen = pre_activations(layers, relu_at_end, middle)
        levels = thresholds or [[Fraction(0)] * len(z) for z in seen]
        pattern = [
            value > c for z, own in zip(seen, levels, strict=True) for value, c in zip(z, own, strict=True)
        ]
        if not regions or regions[-1][1] != pattern:
            regions.append((start, pattern))
    return regions


def hamming_distance(first: list[bool], second: list[bool]) -> int:
    return sum(x != y for x, y in zip(first, second, strict=True))


def read_patterns(patterns: list[list[bool]]) -> tuple[int, int, int, int]:
    """Return length, reach, and length and reach of the first prefix with the largest χ."""
    length = reach = 0
    best = Fraction(0)
    peak = (0, 0)
    for before, after in pairwise(patterns):
        length += hamming_distance(before, after)
        reach = max(reach, hamming_distance(patterns[0], after))
        chi = 1 - Fraction(reach, length) if length else Fraction(0)
        if chi > best:
            best, peak = chi, (length, reach)
    return length, reach, *peak


def fold_exactly(
    layers: list[Layer], relu_at_end: bool, a: Vector, b: Vector, thresholds: list[Vector] | None = None
) -> ExactFolding:
    """Return the folding of the path from a to b, read from both ends."""
    patterns = [pattern for _, pattern in patterns_along(layers, relu_at_end, a, b, thresholds)]
    length, reach_from_a, *peak_from_a = read_patterns(patterns)
    length_back, reach_from_b, *peak_from_b = read_patterns(patterns[::-1])
    assert length == length_back
    return ExactFolding(length, reach_from_a, reach_from_b, *peak_from_a, *peak_from_b)
