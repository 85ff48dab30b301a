"""Engine 4: all linear regions of a path at once, layer by layer, through any piecewise-linear module.

A module runs on polylines (`spaceprobe.folding.layerwise.polyline`): what goes through it are the values at
all knots of a path so far, as one batch. An activation adds the knots at which its units flip. Intervals do
not know of each other, so a path that crosses too many regions for the memory is walked in parts, which
meet at points of the path.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from spaceprobe.folding.layerwise.knots import Knots, close_items, column
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.steps import Flips, history
from spaceprobe.folding.layerwise.visit import Probe, TooManyRows, Visit, run
from spaceprobe.folding.measure import History
from spaceprobe.folding.prepared_module import EndValues, PreparedModule

MAX_NUMBERS = {"cpu": 2**20, "cuda": 2**25}
"""Chosen: numbers in the largest tensor that are aimed at. On a CPU it stays in the cache."""

MAX_ROOM = 8
"""Chosen: how many times more than that are allowed before a path is walked in parts."""

FLIPS_PER_UNIT = 0.25
"""Chosen: how many flips are expected of a unit, to guess how many paths fit."""

LOOK_AT = 0.6180339887498949
"""Where on each part of a path the network's own pattern is compared: the golden ratio, next to no knot."""


@dataclass(frozen=True)
class Parts:
    """Parts of paths, in order.

    Attributes:
        path: of which path.
        begin: where it begins.
        end: where it ends.
    """

    path: Int64[Tensor, " parts"]
    begin: Float64[Tensor, " parts"]
    end: Float64[Tensor, " parts"]

    @classmethod
    def of_paths(cls, num_paths: int, count: int, device: torch.device) -> "Parts":
        """Return every path in equal parts."""
        cut = torch.arange(count + 1, dtype=torch.float64, device=device) / count
        path = torch.arange(num_paths, device=device).repeat_interleave(count)
        return cls(path, cut[:-1].repeat(num_paths), cut[1:].repeat(num_paths))

    def take(self, index: slice | Tensor) -> "Parts":
        """Return some of them."""
        return Parts(self.path[index], self.begin[index], self.end[index])

    def halves(self) -> "Parts":
        """Return each part cut in the middle."""
        middle = (self.begin + self.end) / 2
        return Parts(
            self.path.repeat_interleave(2),
            torch.stack([self.begin, middle], dim=1).flatten(),
            torch.stack([middle, self.end], dim=1).flatten(),
        )


def most_numbers(network: PreparedModule) -> int:
    """Return how many numbers the largest tensor should have: more where there are more weights to read."""
    num_weights = sum(weight.numel() for weight in network.body.parameters())
    return max(MAX_NUMBERS[network.device.type], num_weights)


def expected_numbers(network: PreparedModule, num_features: int) -> int:
    """Return how many numbers a path's largest tensor is expected to have; from shapes alone."""
    num_rows = 2 + FLIPS_PER_UNIT * sum(network.num_units)
    return int(num_rows * max(*network.num_units, num_features))


def paths_per_batch(network: PreparedModule, num_features: int) -> int:
    """Return how many paths are walked at a time; from shapes alone, so that results repeat."""
    return max(1, most_numbers(network) // expected_numbers(network, num_features))


@torch.no_grad()
def walk_layers(network: PreparedModule, a: EndValues, b: EndValues, tolerance: float) -> History:
    """Return every linear region that the open segments from a to b cross.

    Args:
        network: piecewise linear.
        a: starts.
        b: ends, as many.
        tolerance: a unit is at its kink where |z - kink| ≤ tolerance·scale.

    Raises:
        TypeError: for a module that is not known to be piecewise linear.
    """
    num_paths = len(a.value)
    seen, flips = see_paths(network, a, b, tolerance)
    num_violations = torch.zeros(num_paths, dtype=torch.int64, device=network.device)
    for part in seen:
        num_violations.index_add_(0, part.parts.path, part.is_wrong.long())
    return history(flips, num_paths, num_violations)


def see_paths(
    network: PreparedModule, a: EndValues, b: EndValues, tolerance: float
) -> tuple[list["Seen"], Flips]:
    """Return what is seen on the paths from a to b, part by part, and all flips on them.

    Args:
        network: see `walk_layers`.
        a: see `walk_layers`.
        b: see `walk_layers`.
        tolerance: see `walk_layers`.

    Raises:
        TypeError: see `walk_layers`.
    """
    num_paths = len(a.value)
    expected = expected_numbers(network, a.value[0].numel())
    count = max(1, expected // most_numbers(network)) if num_paths == 1 else 1
    parts = Parts.of_paths(num_paths, count, network.device)
    size = 1 if count > 1 else num_paths
    walk = Walk(network, a, b, tolerance)
    seen = [
        part
        for first in range(0, len(parts.path), size)
        for part in walk.parts(parts.take(slice(first, first + size)))
    ]
    seams = [flips_between(first, second) for first, second in pairwise(seen)]
    return seen, Flips.join([*(part.flips for part in seen), *seams])


@dataclass(frozen=True)
class Seen:
    """What was seen on parts of paths.

    Attributes:
        parts: which.
        flips: inside them, at the t of the whole path.
        start: the states just after the start of each part.
        end: the states just before its end.
        is_wrong: whether the region check failed.
        is_doubtful: whether something was close to a tie.
    """

    parts: Parts
    flips: Flips
    start: Shaped[Tensor, "parts units"]
    end: Shaped[Tensor, "parts units"]
    is_wrong: Bool[Tensor, " parts"]
    is_doubtful: Bool[Tensor, " parts"]

    def take(self, is_kept: Bool[Tensor, " parts"]) -> "Seen":
        """Return what was seen on some of the parts, each of a path of its own."""
        is_path_kept = torch.zeros(int(self.parts.path.max()) + 1, dtype=torch.bool, device=is_kept.device)
        is_path_kept[self.parts.path] = is_kept
        return Seen(
            parts=self.parts.take(is_kept),
            flips=self.flips.take(is_path_kept[self.flips.path]),
            start=self.start[is_kept],
            end=self.end[is_kept],
            is_wrong=self.is_wrong[is_kept],
            is_doubtful=self.is_doubtful[is_kept],
        )


@dataclass(frozen=True)
class Walk:
    """A network and the ends of a batch of paths.

    Attributes:
        network: piecewise linear.
        a: starts.
        b: ends, as many.
        tolerance: see `walk_layers`.
        squares: of the network's weights, filled as they are met.
    """

    network: PreparedModule
    a: EndValues
    b: EndValues
    tolerance: float
    squares: dict[Tensor, Tensor] = field(default_factory=dict)

    def parts(self, parts: Parts, is_careful: bool = False) -> list[Seen]:
        """Return what is seen on parts of paths, in order; where they are too long, in smaller parts.

        Parts on which something is close to a tie are walked again, carefully.
        """
        try:
            seen = self.together(parts, is_careful)
        except TooManyRows:
            if len(parts.path) == 1:
                parts = parts.halves()
            half = len(parts.path) // 2
            some = (parts.take(slice(None, half)), parts.take(slice(half, None)))
            return [seen for part in some for seen in self.parts(part, is_careful)]
        if is_careful or not bool(seen.is_doubtful.any()):
            return [seen]
        again = self.parts(parts.take(seen.is_doubtful), is_careful=True)
        return again if bool(seen.is_doubtful.all()) else [seen.take(~seen.is_doubtful), *again]

    def together(self, parts: Parts, is_careful: bool) -> Seen:
        """Return what is seen on parts of paths in one run of the network.

        Raises:
            TooManyRows: if that needs more memory than is allowed.
        """
        network, path, num_parts = self.network, parts.path, len(parts.path)
        start, end = self.a.value[path], self.b.value[path]

        def point(share: float) -> Tensor:
            t = torch.lerp(parts.begin, parts.end, share)
            return torch.lerp(start, end, column(t, start))

        sizes = (self.a.scale + self.b.scale)[path]
        rows = torch.stack([point(0.0), point(1.0)], dim=1).flatten(0, 1)
        visit = Visit(
            self.tolerance,
            len(network.num_units),
            is_careful,
            max_numbers=MAX_ROOM * most_numbers(network),
            squares=self.squares,
            counted=network.counted,
        )
        knots = Knots.of_ends(num_parts, rows.device)
        run(network, Polyline.of(rows, sizes.repeat_interleave(2, 0) if is_careful else sizes, knots, visit))
        probe = Probe(self.tolerance, len(network.num_units), squares=self.squares, counted=network.counted)
        run(network, Polyline.of(point(LOOK_AT), sizes, Knots.of_points(num_parts, rows.device), probe))
        flips = Flips.join(visit.flips)
        is_doubtful = torch.zeros(num_parts, dtype=torch.bool, device=rows.device)
        for doubts in (*visit.doubts, close_items(flips.path, flips.t, flips.slack)):
            is_doubtful[doubts] = True
        length = parts.end - parts.begin
        return Seen(
            parts=parts,
            flips=replace(
                flips,
                path=path[flips.path],
                t=parts.begin[flips.path] + flips.t * length[flips.path],
                slack=flips.slack * length[flips.path],
            ),
            start=torch.cat(visit.starts, dim=1),
            end=torch.cat(visit.ends, dim=1),
            is_wrong=visit.disagrees(probe, LOOK_AT),
            is_doubtful=is_doubtful,
        )


def flips_between(first: Seen, second: Seen) -> Flips:
    """Return the flips at the point where one part of a path ends and the next begins."""
    path, t = second.parts.path[:1], second.parts.begin[:1]
    if int(first.parts.path[-1]) != int(path):
        return first.flips.take(slice(0, 0))
    before, after = first.end[-1], second.start[0]
    unit = (before != after).nonzero().squeeze(1)
    return Flips(
        path=path.expand(len(unit)),
        t=t.expand(len(unit)),
        slack=t.new_zeros(len(unit)),
        unit=unit,
        before=before[unit].long(),
        after=after[unit].long(),
    )
