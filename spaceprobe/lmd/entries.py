"""The entries of a weight matrix: how far they spread, and which of them stand far outside the others."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

LARGE = 6.0
"""Chosen: standard deviations from the mean. Of normal entries one in 5e8 lies outside."""

MAX_ROUNDS = 20
"""Chosen: of leaving large entries out and looking again; most matrices take one or two."""

EQUAL = 1e-12
"""Chosen: entries that spread no further than this share of their mean are equal but for rounding."""

MAX_PLAIN = 1e100
"""Chosen: the squares of larger entries come near to overflow, and of smaller ones than 1e-100 to underflow:
they are scaled first, which takes a copy."""

ENTRIES_AT_ONCE = 2**20
"""Chosen: 8 MB of float64. A constant, as blocks decide the last bits."""


@dataclass(frozen=True)
class Entries:
    """What the entries of a matrix tell, each taken for itself.

    Large are entries farther than `LARGE` standard deviations from the mean, both of the entries that are not
    large.

    Attributes:
        deviation: standard deviation of all entries.
        low: an entry below this is large.
        high: an entry above this is large.
        mean: of the entries that are not large.
        num_large: how many are.
        largest: the distance of the farthest entry from the mean, in standard deviations, both of the entries
            that are not large; infinite where these are all equal, 0 where all are.
        row: of that entry, from 0.
        column: of that entry, from 0.
    """

    deviation: float
    low: float
    high: float
    mean: float
    num_large: int
    largest: float
    row: int
    column: int

    def without_large(self, W: Float64[Tensor, "outputs inputs"]) -> Float64[Tensor, "outputs inputs"]:
        """Return the matrix with the mean in place of its large entries."""
        return torch.where((self.low > W) | (self.high < W), self.mean, W)


def entries_of(W: Float64[Tensor, "outputs inputs"]) -> Entries:
    """Return what the entries of a matrix tell, without a copy of it unless their squares overflow.

    The large ones are left out of the mean and the standard deviation, and looked for again, until no more
    are found: one entry of a small matrix cannot hide behind the deviation that it makes itself.
    """
    scale = max(abs(float(extreme)) for extreme in torch.aminmax(W))
    unit = scale if scale > MAX_PLAIN or 0 < scale < 1 / MAX_PLAIN else 1.0
    A = W if unit == 1.0 else W / unit
    low, high = -math.inf, math.inf
    mean, deviation = all_mean, all_deviation = _moments(A, low, high)
    num_large = 0
    for _ in range(MAX_ROUNDS):
        if deviation <= EQUAL * abs(mean):
            break
        low, high = mean - LARGE * deviation, mean + LARGE * deviation
        number = sum(int(_is_large(rows, low, high).sum()) for rows in _blocks(A))
        if number == num_large:
            break
        num_large = number
        mean, deviation = _moments(A, low, high)
    is_equal = all_deviation <= EQUAL * abs(all_mean)
    place = int(torch.argmax(A) if float(A.max()) - mean >= mean - float(A.min()) else torch.argmin(A))
    row, column = divmod(place, A.shape[1])
    distance = abs(float(A[row, column]) - mean)
    return Entries(
        deviation=0.0 if is_equal else all_deviation * unit,
        low=low * unit,
        high=high * unit,
        mean=mean * unit,
        num_large=num_large,
        largest=0.0 if is_equal else distance / deviation if deviation > EQUAL * abs(mean) else math.inf,
        row=row,
        column=column,
    )


def _blocks(A: Float64[Tensor, "outputs inputs"]) -> Iterator[Float64[Tensor, "rows inputs"]]:
    yield from A.split(max(1, ENTRIES_AT_ONCE // A.shape[1]))


def _is_large(rows: Float64[Tensor, "rows inputs"], low: float, high: float) -> Bool[Tensor, "rows inputs"]:
    return (rows < low) | (rows > high)


def _moments(A: Float64[Tensor, "outputs inputs"], low: float, high: float) -> tuple[float, float]:
    """Return the mean and the standard deviation of the entries from low to high."""

    def inside() -> Iterator[Float64[Tensor, "entries"]]:
        return (rows[~_is_large(rows, low, high)] for rows in _blocks(A))

    number, total = 0, 0.0
    for entries in inside():
        number, total = number + len(entries), total + float(entries.sum())
    mean = total / number
    return mean, math.sqrt(sum(float((entries - mean).square().sum()) for entries in inside()) / number)
