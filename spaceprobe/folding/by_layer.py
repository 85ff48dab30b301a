"""Where paths fold: flips, reach and boundaries of each layer by itself (docs/definitions.md, "By layer")."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding import layerwise
from spaceprobe.folding.block_walker import blocks
from spaceprobe.folding.counted import Counted, Threshold, Units
from spaceprobe.folding.guards import check_images, check_same_shape
from spaceprobe.folding.layerwise.lines import line_flips
from spaceprobe.folding.layerwise.steps import Flips, net_flips, symbols_at_ends
from spaceprobe.folding.measure import space_folding
from spaceprobe.folding.options import DEFAULT_TOLERANCE, Bits, check_options, check_walk
from spaceprobe.folding.points import Points, read_points
from spaceprobe.folding.prepared_module import EndValues, PreparedModule, count_bits, prepare
from spaceprobe.folding.relus import unit_columns
from spaceprobe.folding.sampled import points_between, points_per_block

LayerMethod = Literal["exact", "layerwise", "sampled"]
"""How flips are found; see `fold_by_layer`."""

MAX_STEPS = 2**20
"""Chosen: steps of sampled paths that are held at a time."""

NEAR_END = 0.1
"""Chosen: what share of a path is near its start, and near its end."""


@dataclass(frozen=True)
class LayerFolding:
    """Flips, reach and boundaries of paths by layer.

    Axes: paths; layers, 0 for all together, then one for each function whose units count. A boundary of a
    layer is a t at which at least one of its units flips, however many do.

    Attributes:
        length: flips of the layer's units.
        reach: the largest Hamming distance of the layer's pattern from that at the start.
        num_boundaries: boundaries on the path.
        num_near_start: those at t < 0.1.
        num_near_end: those at t > 0.9.
        first_t: where the first one is; NaN where there is none.
        num_bits: of the layer's pattern, without the axis of paths.
        distance: L2 distance of the ends in input space; of shape ``(paths,)``.
        num_violations: linear regions that failed the region check (see `PathFolding`); as many.
    """

    length: Int64[np.ndarray, "paths layers"]
    reach: Int64[np.ndarray, "paths layers"]
    num_boundaries: Int64[np.ndarray, "paths layers"]
    num_near_start: Int64[np.ndarray, "paths layers"]
    num_near_end: Int64[np.ndarray, "paths layers"]
    first_t: Float64[np.ndarray, "paths layers"]
    num_bits: Int64[np.ndarray, " layers"]
    distance: Float64[np.ndarray, " paths"]
    num_violations: Int64[np.ndarray, " paths"]

    @property
    def chi(self) -> Float64[np.ndarray, "paths layers"]:
        """χ = 1 - reach / length of the layer's own pattern, in [0, 1); 0 for length 0."""
        return space_folding(self.length, self.reach)

    @property
    def first_boundary(self) -> Float64[np.ndarray, "paths layers"]:
        """L2 distance in input space from the start to the first boundary; NaN where there is none."""
        first: np.ndarray = self.first_t * self.distance[:, None]
        return first

    @property
    def density(self) -> Float64[np.ndarray, "paths layers"]:
        """Boundaries per unit of L2 distance on the whole path; NaN for a path of length 0."""
        return self._density(self.num_boundaries, 1.0)

    @property
    def density_near_start(self) -> Float64[np.ndarray, "paths layers"]:
        """The same at t < 0.1."""
        return self._density(self.num_near_start, NEAR_END)

    @property
    def density_in_middle(self) -> Float64[np.ndarray, "paths layers"]:
        """The same between."""
        middle = self.num_boundaries - self.num_near_start - self.num_near_end
        return self._density(middle, 1 - 2 * NEAR_END)

    @property
    def density_near_end(self) -> Float64[np.ndarray, "paths layers"]:
        """The same at t > 0.9."""
        return self._density(self.num_near_end, NEAR_END)

    def _density(self, number: np.ndarray, share: float) -> np.ndarray:
        span = share * self.distance[:, None]
        return np.where(span > 0, number / np.where(span > 0, span, 1), np.nan)


@dataclass(frozen=True)
class _Steps:
    """The steps of several paths, in order: at which t, and for each layer what flips and how far it then is.

    Attributes:
        path: the number of the path.
        t: where the step ends.
        flips: of each layer, all together first.
        distance: from the layer's pattern at the start.
    """

    path: Int64[np.ndarray, " steps"]
    t: Float64[np.ndarray, " steps"]
    flips: Int64[np.ndarray, "steps layers"]
    distance: Int64[np.ndarray, "steps layers"]


@torch.no_grad()
def fold_by_layer(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    method: LayerMethod = "exact",
    num_points: int = 100,
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
) -> LayerFolding:
    """Return flips, reach and boundaries of the straight paths from a to b, layer by layer; on the CPU.

    Lengths of layers add up to that of `walk_paths`.

    Args:
        network: see `walk_paths`.
        a: starts, of shape ``(num_paths, *input shape)``.
        b: ends, of the same shape.
        method: ``exact``, also called ``layerwise``, sees every flip; ``sampled`` what differs from each of
            evenly spaced points to the next, at the later of the two.
        num_points: for ``sampled``, both ends included, at least 2.
        tolerance: see `walk_paths`.
        threads: of the exact walk; see `walk_paths`.
        bits: see `walk_paths`.
        units: see `walk_paths`.
        threshold: see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`.
        TypeError: see `walk_paths`.
    """
    if method not in get_args(LayerMethod):
        raise ValueError(
            f"method is {method!r}: layers are measured by one of {', '.join(get_args(LayerMethod))}"
        )
    check_options(method, num_points, tolerance, bits)
    check_walk(threads, "float64")
    a, b = read_points("a", a), read_points("b", b)
    check_images("a", a)
    check_images("b", b)
    check_same_shape(("a", "b"), a.shape, b.shape)
    example = a[:1] if len(a) else a.new_zeros((1, *a.shape[1:]))
    counted = Counted(units, threshold, bits)
    count = count_bits if method == "sampled" else layerwise.count_bits
    prepared = prepare(network, example, torch.device("cpu"), count, counted)
    starts, ends = prepared.ends(a), prepared.ends(b)
    crew = layerwise.Crew(prepared, threads)
    distance = torch.linalg.vector_norm((b.double() - a.double()).flatten(1), dim=1).numpy()
    size = layerwise.paths_per_batch(prepared, starts.value.shape[1:].numel())
    measured, violations = [], np.zeros(len(a), dtype=np.int64)
    for block in blocks(len(a), max(1, MAX_STEPS // num_points) if method == "sampled" else size):
        own = starts.take(block), ends.take(block)
        if method == "sampled":
            steps = _sampled_steps(prepared, *own, num_points)
        else:
            flips, violations[block] = line_flips(crew, *own, tolerance)
            steps = _exact_steps(flips, prepared.num_units)
        measured.append(_measure(steps, len(prepared.num_units), len(own[0].value)))
    length, reach, num_boundaries, num_near_start, num_near_end, first_t = (
        np.concatenate(columns) for columns in zip(*measured, strict=True)
    )
    return LayerFolding(
        length=length,
        reach=reach,
        num_boundaries=num_boundaries,
        num_near_start=num_near_start,
        num_near_end=num_near_end,
        first_t=first_t,
        num_bits=np.array([sum(prepared.num_units), *prepared.num_units]),
        distance=distance,
        num_violations=violations,
    )


def _measure(steps: _Steps, num_layers: int, num_paths: int) -> tuple[np.ndarray, ...]:
    """Return what steps make of each path, in the order of the fields of `LayerFolding`."""
    shape = (num_paths, num_layers + 1)
    is_boundary = steps.flips > 0
    counts = {name: np.zeros(shape, dtype=np.int64) for name in ("length", "all", "start", "end", "reach")}
    np.add.at(counts["length"], steps.path, steps.flips)
    np.add.at(counts["all"], steps.path, is_boundary)
    np.add.at(counts["start"], steps.path, is_boundary & (steps.t < NEAR_END)[:, None])
    np.add.at(counts["end"], steps.path, is_boundary & (steps.t > 1 - NEAR_END)[:, None])
    np.maximum.at(counts["reach"], steps.path, steps.distance)
    first_t = np.full(shape, np.inf)
    np.minimum.at(first_t, steps.path, np.where(is_boundary, steps.t[:, None], np.inf))
    names = ("length", "reach", "all", "start", "end")
    return (*(counts[name] for name in names), np.where(np.isinf(first_t), np.nan, first_t))


def _exact_steps(flips: Flips, num_units: tuple[int, ...]) -> _Steps:
    """Return the steps of flips in any order."""
    num_layers = len(num_units)
    if len(flips.path):
        flips, number = net_flips(flips)
    if len(flips.path) == 0:
        none = np.zeros((0, num_layers + 1), dtype=np.int64)
        return _Steps(none[:, 0], none[:, 0].astype(float), none, none)
    start, _ = symbols_at_ends(flips)
    change = (flips.after != start).long() - (flips.before != start).long()
    first_units = torch.tensor([*accumulate(num_units)])
    layer = torch.bucketize(flips.unit, first_units, right=True).numpy() + 1
    _, first, step = np.unique(number.numpy(), return_index=True, return_inverse=True)
    path, t = flips.path.numpy()[first], flips.t.numpy()[first]
    totals = np.zeros((2, len(first), num_layers + 1), dtype=np.int64)
    for total, amount in zip(totals, (np.ones_like(layer), change.numpy()), strict=True):
        np.add.at(total, (step, layer), amount)
        total[:, 0] = total[:, 1:].sum(1)
    flipped, changed = totals
    distance = changed.cumsum(0)
    # each path begins anew, at distance 0
    begins = np.flatnonzero(np.diff(path, prepend=-1))
    before = (distance - changed)[begins]
    distance -= before[np.searchsorted(begins, np.arange(len(path)), side="right") - 1]
    return _Steps(path, t, flipped, distance)


def _sampled_steps(network: PreparedModule, a: EndValues, b: EndValues, num_points: int) -> _Steps:
    """Return a step for each point of each path but the first, path by path."""
    times = torch.arange(num_points, dtype=torch.float64) / (num_points - 1)
    columns = unit_columns(network.num_units)
    size = points_per_block(network, a.value.shape[1:].numel())
    flips, distances = [], []
    for number in range(len(a.value)):
        start, end = a.value[number : number + 1], b.value[number : number + 1]
        pattern = before = network.patterns(start.clone())
        for block in times[1:].split(size):
            seen = network.patterns(points_between(start, end, block).flatten(0, 1))
            flips.append(_distances(seen, torch.cat([before, seen[:-1]]), columns))
            distances.append(_distances(seen, pattern, columns))
            before = seen[-1:]
    none = np.zeros((0, len(columns) + 1), dtype=np.int64)
    return _Steps(
        path=np.repeat(np.arange(len(a.value)), num_points - 1),
        t=np.tile(times[1:].numpy(), len(a.value)),
        flips=np.concatenate([none, *flips]),
        distance=np.concatenate([none, *distances]),
    )


def _distances(first: Tensor, second: Tensor, columns: list[slice]) -> Int64[np.ndarray, "rows layers"]:
    """Return the Hamming distance of patterns in each layer, all together first."""
    differs = first != second
    by_layer = torch.stack([differs[:, units].sum(1) for units in columns], dim=1).numpy()
    total = by_layer.sum(1, keepdims=True)
    return np.concatenate([total, by_layer], axis=1)
