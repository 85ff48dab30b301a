"""The exact walk on one page, for one path: event by event, nothing remembered but the states.

The oracle of the kernel walk where rational arithmetic is too slow: real images, wide and deep layers.
At every event the whole network is run from x(t); see docs/definitions.md, "Settling".
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spaceprobe.folding.counts import PathFolding

Layer = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class PlainPath:
    """Times of the steps of a path, and the patterns before, between and after them."""

    times: list[float]
    patterns: list[np.ndarray]


def run(
    hidden: list[Layer], x: np.ndarray, dx: np.ndarray, on: list[np.ndarray], tolerance: float, settle: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return z, dz and what counts as zero of all units; settles the states ``on`` if asked to.

    The size of a sum is that of its terms; dz is compared with the size of its own.
    """
    found = []
    for layer, (weight, bias) in enumerate(hidden):
        z, dz = weight @ x + bias, weight @ dx
        zero = tolerance * (np.abs(weight) @ np.abs(x) + np.abs(bias))
        at_boundary = np.abs(z) <= zero
        if settle:
            z[at_boundary] = 0
            still = np.abs(dz) <= tolerance * (np.abs(weight) @ np.abs(dx))
            on[layer] = np.where(at_boundary, (dz > 0) & ~still, on[layer])
        found.append((z, dz, zero))
        x, dx = z * on[layer], dz * on[layer]
    z, dz, zero = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return z, dz, zero


def plain_walk(
    layers: list[Layer], relu_at_end: bool, a: np.ndarray, b: np.ndarray, tolerance: float = 1e-12
) -> PlainPath:
    """Walks from a to b; asserts that every state agrees with its z at both ends of each interval."""
    hidden = list(layers if relu_at_end else layers[:-1])
    on, x = [], a
    for weight, bias in hidden:
        on.append(weight @ x + bias > 0)
        x = np.maximum(weight @ x + bias, 0)
    t, times, patterns = 0.0, [], []
    while True:
        z, dz, zero = run(hidden, (1 - t) * a + t * b, b - a, on, tolerance, settle=True)
        pattern = np.concatenate(on)
        assert (np.where(pattern, z, -z) >= -zero).all()
        if not patterns or (pattern != patterns[-1]).any():
            times += [t] if patterns else []
            patterns.append(pattern)
        height, fall = np.where(pattern, z, -z), np.where(pattern, -dz, dz)
        crosses = (height > 0) & (fall * (1 - t) - height > zero)
        if not crosses.any():
            break
        t += (height[crosses] / fall[crosses]).min()
        z, _, zero = run(hidden, (1 - t) * a + t * b, b - a, on, tolerance, settle=False)
        assert (np.where(pattern, z, -z) >= -zero).all()
    z, _, zero = run(hidden, b, b - a, on, tolerance, settle=False)
    assert (np.where(pattern, z, -z) >= -zero).all()
    return PlainPath(times, patterns)


def read(patterns: list[np.ndarray]) -> tuple[int, int, int, int]:
    """Return length, reach, and length and reach of the first prefix with the largest χ."""
    length = reach = peak_length = peak_reach = 0
    for before, after in pairwise(patterns):
        length += int((before != after).sum())
        reach = max(reach, int((patterns[0] != after).sum()))
        if reach * max(peak_length, 1) < (peak_reach if peak_length else 1) * length:
            peak_length, peak_reach = length, reach
    return length, reach, peak_length, peak_reach


def plain_folding(layers: list[Layer], relu_at_end: bool, a: np.ndarray, b: np.ndarray) -> PathFolding:
    """The folding of the paths from each row of a to that of b."""
    rows = []
    for start, end in zip(a, b, strict=True):
        patterns = plain_walk(layers, relu_at_end, start, end).patterns
        length, reach_a, *peak_a = read(patterns)
        _, reach_b, *peak_b = read(patterns[::-1])
        rows.append([length, reach_a, reach_b, *peak_a, *peak_b, 0])
    return PathFolding(*np.array(rows, np.int64).reshape(-1, 8).T)
