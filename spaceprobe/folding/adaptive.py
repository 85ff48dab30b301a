"""Engine 4: a path read at points that gather where it bends; an interval with several flips is halved.

It starts as `spaceprobe.folding.sampled` does, at evenly spaced points. An interval between two points whose
patterns differ in more than one bit is halved until they differ in one, or it is 2^-20 of the path long and
stays *unresolved*. A unit that flips twice between two points leaves no trace: a length is a lower bound.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

from spaceprobe.folding.layerwise.knots import order_by
from spaceprobe.folding.layerwise.steps import Flips, begins, firsts, flips_at
from spaceprobe.folding.measure import History, hamming_distance
from spaceprobe.folding.prepared_module import EndValues, PreparedModule
from spaceprobe.folding.sampled import points_between, points_per_block

SHORTEST = 2.0**-20
"""Intervals of this share of a path are not halved; far above rounding, which is 2^-53 of an input."""


@dataclass(frozen=True)
class Intervals:
    """Intervals of paths whose ends have different patterns, all of them halved equally often.

    Attributes:
        path: the path of each.
        start: where it begins, in [0, 1].
        end: where it ends.
        before: the pattern at its start.
        after: the pattern at its end.
        num_halvings: how often a step of the grid was halved to make them.
    """

    path: Int64[Tensor, " intervals"]
    start: Float64[Tensor, " intervals"]
    end: Float64[Tensor, " intervals"]
    before: Bool[Tensor, "intervals padded"]
    after: Bool[Tensor, "intervals padded"]
    num_halvings: int

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.path)

    def flips(self) -> Int32[Tensor, " intervals"]:
        """Return in how many bits the ends of each differ."""
        return hamming_distance(self.before, self.after)

    def take(self, index: Tensor | slice) -> "Intervals":
        """Return some of them."""
        parts = (self.path, self.start, self.end, self.before, self.after)
        path, start, end, before, after = (part[index] for part in parts)
        return Intervals(path, start, end, before, after, self.num_halvings)

    def halves(self, network: PreparedModule, a: EndValues, b: EndValues) -> "Intervals":
        """Return both halves of each."""
        middle = (self.start + self.end) / 2
        weight = middle.view(-1, *[1] * (a.value.ndim - 1))
        patterns = network.patterns(torch.lerp(a.value[self.path], b.value[self.path], weight))
        return Intervals(
            path=self.path.repeat(2),
            start=torch.cat([self.start, middle]),
            end=torch.cat([middle, self.end]),
            before=torch.cat([self.before, patterns]),
            after=torch.cat([patterns, self.after]),
            num_halvings=self.num_halvings + 1,
        )


@dataclass(frozen=True)
class Steps:
    """Steps in any order: the path of each, where it ends, its flips, and how far both ends' patterns are."""

    path: Int64[Tensor, " steps"]
    t: Float64[Tensor, " steps"]
    flips: Int32[Tensor, " steps"]
    from_a: Int32[Tensor, " steps"]
    from_b: Int32[Tensor, " steps"]


@torch.no_grad()
def sample_adaptively(
    network: PreparedModule, a: EndValues, b: EndValues, num_points: int, flips: list[Flips] | None = None
) -> History:
    """Return what is seen of each path at `num_points` evenly spaced points, and between those that differ.

    A step is an interval between neighbouring points in which something flips. Its t is where it ends.
    ``flips`` is a list that gets the flips of these paths.
    """
    # cloned, because a module may write in place
    pattern_a, pattern_b = network.patterns(a.value.clone()), network.patterns(b.value.clone())
    capacity = points_per_block(network, a.value[0].numel())
    most_halvings = max(0, math.ceil(math.log2(1 / SHORTEST / (num_points - 1))))
    num_evaluated = torch.full((len(pattern_a),), num_points, dtype=torch.int64, device=network.device)
    steps: list[Steps] = []
    for grid in grid_intervals(network, a, b, pattern_a, num_points, capacity):
        waiting = [grid]
        while waiting:  # the shortest first, so that few wait
            intervals = waiting.pop()
            num_flips = intervals.flips()
            is_step = num_flips == 1 if intervals.num_halvings < most_halvings else num_flips > 0
            done = intervals.take(is_step)
            if flips is not None:
                flips.append(flips_at(done.path, done.end, done.before, done.after))
            steps.append(
                Steps(
                    done.path,
                    done.end,
                    num_flips[is_step],
                    hamming_distance(done.after, pattern_a[done.path]),
                    hamming_distance(done.after, pattern_b[done.path]),
                )
            )
            several = intervals.take(~is_step & (num_flips > 0))
            num_evaluated += torch.bincount(several.path, minlength=len(num_evaluated))
            waiting += [
                several.take(slice(start, start + capacity)).halves(network, a, b)
                for start in range(0, len(several), capacity)
            ]
    return history(steps, pattern_a, pattern_b, num_evaluated)


def grid_intervals(
    network: PreparedModule,
    a: EndValues,
    b: EndValues,
    pattern_a: Bool[Tensor, "paths padded"],
    num_points: int,
    capacity: int,
) -> Iterator[Intervals]:
    """Yield the steps of a grid of evenly spaced points in which something flips, a block at a time."""
    times = torch.arange(num_points, dtype=torch.float64, device=network.device) / (num_points - 1)
    before = pattern_a
    chunk = max(1, capacity // max(1, len(pattern_a)))
    for start in range(1, num_points, chunk):
        inputs = points_between(a.value, b.value, times[start : start + chunk])
        after = network.patterns(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        patterns = torch.cat([before[None], after])
        number, path = hamming_distance(patterns[:-1], after).nonzero(as_tuple=True)
        yield Intervals(
            path=path,
            start=times[start - 1 + number],
            end=times[start + number],
            before=patterns[number, path],
            after=after[number, path],
            num_halvings=0,
        )
        before = after[-1]


def history(
    parts: list[Steps],
    pattern_a: Bool[Tensor, "paths padded"],
    pattern_b: Bool[Tensor, "paths padded"],
    num_evaluated: Int64[Tensor, " paths"],
) -> History:
    """Return steps in their order along each path, in rows."""
    path, t, flips, from_a, from_b = (
        torch.cat([getattr(part, name) for part in parts]) for name in Steps.__dataclass_fields__
    )
    order = order_by(path, t)
    path = path[order]
    num_paths, device = len(pattern_a), path.device
    num_unresolved = torch.zeros(num_paths, dtype=torch.int64, device=device)
    num_unresolved.index_add_(0, path, (flips[order] > 1).long())
    row = torch.ones_like(path)
    if len(path):
        row += torch.arange(len(path), device=device) - firsts(path)[begins(path[1:] != path[:-1])]
    shape = (int(row.max()) + 1 if len(path) else 1, num_paths)
    rows = [torch.zeros(shape, dtype=values.dtype, device=device) for values in (t, flips, from_a, from_b)]
    for whole, values in zip(rows, (t, flips, from_a, from_b), strict=True):
        whole[row, path] = values[order]
    times, length, away_from_a, away_from_b = rows
    away_from_b[0] = hamming_distance(pattern_a, pattern_b)
    return History(
        t=times.cummax(0).values,
        length=length.cumsum(0, dtype=torch.int32),
        from_a=away_from_a,
        from_b=away_from_b,
        num_violations=torch.zeros(num_paths, dtype=torch.int64, device=device),
        num_unresolved=num_unresolved,
        num_evaluated=num_evaluated,
    )
