"""Engine 4: all linear regions of a path at once, layer by layer, through any piecewise-linear module.

A module runs on polylines (`spaceprobe.folding.layerwise.polyline`): what goes through it are the values at
all knots of a path so far, as one batch. An activation adds the knots at which its units flip. Intervals do
not know of each other, so a path that crosses too many regions for the memory is walked in parts, which
meet at points of the path.
"""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import chain

import torch
from torch import Tensor

from spaceprobe.folding.layerwise.crew import Crew, Networks, whole_float32
from spaceprobe.folding.layerwise.knots import Knots, close_items, column
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.probe import Probe
from spaceprobe.folding.layerwise.segments import Parts, Seen, flips_of, history_of
from spaceprobe.folding.layerwise.steps import Flips
from spaceprobe.folding.layerwise.visit import TooManyRows, Visit, run
from spaceprobe.folding.measure import History, join_histories
from spaceprobe.folding.prepared_module import EndValues, PreparedModule

MAX_NUMBERS = {"cpu": 2**21, "cuda": 2**25}
"""Chosen: numbers in the largest tensor that are aimed at; a small GPU aims at fewer. On a CPU it takes 16
MiB: what is larger than 32 MiB the C library gives back to the system, and asks for again, page by page."""

NUM_TENSORS = 12
"""Chosen: for how many tensors of the largest size a GPU has to have memory; some six are in use at once."""

RUNS_PER_BATCH = 16
"""Chosen: runs that are distributed over threads at a time."""

MAX_ROOM = 8
"""Chosen: how many times more than that are allowed before a path is walked in parts."""

FLIPS_PER_UNIT = 0.25
"""Chosen: how many flips are expected of a unit, to guess how many paths fit."""

FLOAT32_TOLERANCE = 1e-5
"""Chosen: the tolerance of the walk in float32, which leaves closer calls to one in float64."""

LOOK_AT = 0.6180339887498949
"""Where on each part of a path the network's own pattern is compared: the golden ratio, next to no knot."""


class Care(Enum):
    """How closely parts of paths are looked at."""

    ROUGH = auto()
    """In float32; what is close to a tie is left open."""
    USUAL = auto()
    """With one scale for all of a path."""
    FULL = auto()
    """With a scale for each knot."""


def most_numbers(network: PreparedModule) -> int:
    """Return how many numbers the largest tensor should have: more where there are more weights to read."""
    num_weights = sum(weight.numel() for weight in network.body.parameters())
    aimed_at = max(MAX_NUMBERS[network.device.type], num_weights)
    if network.device.type == "cpu":
        return aimed_at
    # Of all its memory, not of what is free now: so two GPUs of a kind walk the same batches.
    return max(1, min(aimed_at, device_bytes(network.device) // (NUM_TENSORS * MAX_ROOM * 8)))


def device_bytes(device: torch.device) -> int:
    """Return the memory of a GPU."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def expected_numbers(network: PreparedModule, num_features: int) -> int:
    """Return how many numbers a path's largest tensor is expected to have; from shapes alone."""
    num_rows = 2 + FLIPS_PER_UNIT * sum(network.num_units)
    return int(num_rows * max(*network.num_units, num_features))


def paths_per_batch(network: PreparedModule, num_features: int) -> int:
    """Return how many paths are walked in a batch of runs; from shapes alone, so that results repeat."""
    return max(1, RUNS_PER_BATCH * most_numbers(network) // expected_numbers(network, num_features))


@torch.no_grad()
def walk_layers(
    crew: Crew, a: EndValues, b: EndValues, tolerance: float, flips: list[Flips] | None = None
) -> History:
    """Return every linear region that the open segments from a to b cross.

    What is walked in one run follows from shapes alone, and runs do not know of each other, so the result is
    the same on any number of threads.

    Args:
        crew: a piecewise-linear network on each of some threads.
        a: starts.
        b: ends, as many.
        tolerance: a unit is at its kink where |z - kink| ≤ tolerance·scale.
        flips: a list that gets the flips of these paths.

    Raises:
        TypeError: for a module that is not known to be piecewise linear.
    """
    seen = see_paths(crew, a, b, tolerance)
    if flips is not None:
        flips += [flips_of(batch) for batch in seen]
    return join_histories(crew.map(lambda _, batch: history_of(batch), seen))


def see_paths(crew: Crew, a: EndValues, b: EndValues, tolerance: float) -> list[list[Seen]]:
    """Return what is seen on the paths from a to b: lists of consecutive paths, each with all of their parts.

    Args:
        crew: see `walk_layers`.
        a: see `walk_layers`.
        b: see `walk_layers`.
        tolerance: see `walk_layers`.

    Raises:
        TypeError: see `walk_layers`.
    """
    networks, num_paths = crew.networks, len(a.value)
    network = networks.exact
    largest = most_numbers(network)
    expected = expected_numbers(network, a.value[0].numel())
    num_cuts = max(1, expected // largest)
    parts = Parts.of_paths(num_paths, num_cuts, network.device)
    walk = Walk(networks, a, b, tolerance)
    num_probed = max(1, largest // max(*network.num_units, a.value[0].numel()))
    probed = crew.map(lambda own, some: walk.of(own).probe(some), parts.split(num_probed))
    runs = zip(*(x.split(max(1, largest // expected)) for x in (parts, torch.cat(probed))), strict=True)
    with nullcontext() if networks.rough is None else whole_float32():
        seen = crew.map(lambda own, run: walk.of(own).first(*run), list(runs))
    if num_cuts > 1:  # a run is a part of a path
        seen = [list(chain(*seen[at : at + num_cuts])) for at in range(0, len(seen), num_cuts)]
    return seen


@dataclass(frozen=True)
class Walk:
    """A network and the ends of a batch of paths.

    Attributes:
        networks: piecewise linear, in one precision or two.
        a: starts.
        b: ends, as many.
        tolerance: see `walk_layers`.
        squares: of the network's weights, filled as they are met.
    """

    networks: Networks
    a: EndValues
    b: EndValues
    tolerance: float
    squares: dict[Tensor, Tensor] = field(default_factory=dict)

    def of(self, networks: Networks) -> "Walk":
        """Return this walk in another copy of the network."""
        return replace(self, networks=networks)

    def first(self, parts: Parts, probed: Tensor) -> list[Seen]:
        """Return what is seen on parts of paths; in float32 where there is a network in it and it is sure."""
        if self.networks.rough is None:
            return self.parts(parts, probed)
        try:
            seen = self.together(parts, probed, Care.ROUGH)
        except TooManyRows:
            return self.parts(parts, probed)
        is_unsure = seen.is_doubtful | seen.is_wrong
        if not bool(is_unsure.any()):
            return [seen]
        again = self.parts(parts.take(is_unsure), probed[is_unsure])
        return again if bool(is_unsure.all()) else [seen.take(~is_unsure), *again]

    def parts(self, parts: Parts, probed: Tensor, care: Care = Care.USUAL) -> list[Seen]:
        """Return what is seen on parts of paths, in order; where they are too long, in smaller parts.

        Parts on which something is close to a tie are walked again, carefully.

        Args:
            parts: which.
            probed: see `probe`.
            care: `Care.FULL` for such a second walk.
        """
        try:
            seen = self.together(parts, probed, care)
        except TooManyRows:
            if len(parts.path) == 1:
                parts = parts.halves()
                probed = self.probe(parts)
            half = len(parts.path) // 2
            return [
                seen
                for some in (slice(None, half), slice(half, None))
                for seen in self.parts(parts.take(some), probed[some], care)
            ]
        if care is Care.FULL or not bool(seen.is_doubtful.any()):
            return [seen]
        again = self.parts(parts.take(seen.is_doubtful), probed[seen.is_doubtful], Care.FULL)
        return again if bool(seen.is_doubtful.all()) else [seen.take(~seen.is_doubtful), *again]

    def points(self, parts: Parts, share: float) -> Tensor:
        """Return a point of each part, where the network's body begins."""
        t = torch.lerp(parts.begin, parts.end, share)
        start = self.a.value[parts.path]
        return torch.lerp(start, self.b.value[parts.path], column(t, start))

    def sizes(self, parts: Parts) -> Tensor:
        """Return the scale of each part's points."""
        return (self.a.scale + self.b.scale)[parts.path]

    def probe(self, parts: Parts) -> Tensor:
        """Return z of the last activation at a point of each part, as the network itself computes it.

        Where many units are too close to tell (`Probe.is_lost`) it is NaN, which fails every check.
        """
        network = self.networks.exact
        probe = Probe(self.tolerance, len(network.num_units), squares=self.squares, counted=network.counted)
        points = self.points(parts, LOOK_AT)
        knots = Knots.of_points(len(points), points.device)
        run(network, Polyline.of(points, self.sizes(parts), knots, probe))
        z = probe.last[0].clone()
        if probe.is_lost is not None:
            z[probe.is_lost] = torch.nan
        return z

    def together(self, parts: Parts, probed: Tensor, care: Care) -> Seen:
        """Return what is seen on parts of paths in one run of the network.

        Raises:
            TooManyRows: if that needs more memory than is allowed.
        """
        is_rough, is_careful = care is Care.ROUGH, care is Care.FULL
        network = self.networks.rough if is_rough and self.networks.rough else self.networks.exact
        path, num_parts = parts.path, len(parts.path)
        rows = torch.stack([self.points(parts, 0.0), self.points(parts, 1.0)], dim=1).flatten(0, 1)
        sizes = self.sizes(parts)
        if is_rough:
            rows, sizes = rows.float(), sizes.float()
        visit = Visit(
            max(self.tolerance, FLOAT32_TOLERANCE) if is_rough else self.tolerance,
            len(network.num_units),
            is_careful,
            is_rough,
            max_numbers=MAX_ROOM * most_numbers(network),
            squares=self.squares,
            counted=network.counted,
        )
        knots = Knots.of_ends(num_parts, rows.device)
        run(network, Polyline.of(rows, sizes.repeat_interleave(2, 0) if is_careful else sizes, knots, visit))
        flips = Flips.join(visit.flips)
        is_doubtful = torch.zeros(num_parts, dtype=torch.bool, device=rows.device)
        for doubts in (*visit.doubts, close_items(flips.path, flips.t, flips.slack, is_rough)):
            is_doubtful[doubts] = True
        if is_rough:  # what happens this close to an end may be a step with what happens beyond it
            is_doubtful[flips.path[(flips.t <= flips.slack) | (flips.t >= 1 - flips.slack)]] = True
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
            is_wrong=visit.disagrees(probed, LOOK_AT),
            is_doubtful=is_doubtful,
        )
