"""Engine 2: a path walked from linear region to linear region, through any piecewise-linear module.

A batch of paths is walked together, each at its own t. The activation pattern is state: the module runs on
rays (`spaceprobe.folding.ray`) with its ReLUs replaced by the pattern, which gives every unit's
pre-activation z and its slope dz in the region. The nearest zero ahead is the next event. There, and at the
start, the pattern is settled anew (`spaceprobe.folding.settle`); all that changed is one step of the path.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

from spaceprobe.folding.measure import History, hamming_distance
from spaceprobe.folding.prepared_module import EndValues, PreparedModule
from spaceprobe.folding.ray import Ray
from spaceprobe.folding.settle import settle

CHECK_EVERY = {"cpu": 4, "cuda": 16}
"""Chosen: steps between two looks at how many paths are left. A look makes a GPU wait."""

COMPACT_BELOW = 0.75
"""Chosen: finished paths are removed when less than this share of a batch is still walking."""

MAX_NUMBERS = {"cpu": 2**16, "cuda": 2**24}
"""Chosen: numbers in a batch's largest tensor. On a CPU a step stays in the cache; a GPU is filled."""

MAX_HISTORY = {"cpu": 2**23, "cuda": 2**26}
"""Chosen: steps times paths that a batch may remember, 20 bytes each."""


class TooManyRegions(Exception):  # noqa: N818 - not an error: the engine then walks fewer paths at once
    """A batch of paths crosses more linear regions than can be remembered."""


def paths_per_batch(network: PreparedModule, num_features: int) -> int:
    """Return how many paths are walked at a time; from shapes alone, so that results repeat."""
    return max(1, MAX_NUMBERS[network.device.type] // max(*network.num_units, num_features))


@dataclass(frozen=True)
class Front:
    """Where the paths of a batch are that are still walking; one row each.

    Attributes:
        index: their number in the batch.
        t: where they are, in [0, 1].
        start: at the entry of the network's body.
        tangent: end minus start.
        scale: of start and end together, a bound for every term of z and of dz on the whole path.
        state: of the region that begins at t, as in `Settled`.
        pattern: the same as bits.
        pattern_a: of the first region.
        pattern_b: of the last region, as settled from the end.
        length: flips so far.
        share: how much of the way that is left to the next event; 1 once there is none.
        is_wrong: whether the region check failed at t.
        num_violations: intervals behind t that failed the region check.
    """

    index: Int64[Tensor, " paths"]
    t: Float64[Tensor, " paths"]
    start: Float64[Tensor, "paths *features"]
    tangent: Float64[Tensor, "paths *features"]
    scale: Float64[Tensor, "paths *features"]
    state: Float64[Tensor, "paths padded"]
    pattern: Bool[Tensor, "paths padded"]
    pattern_a: Bool[Tensor, "paths padded"]
    pattern_b: Bool[Tensor, "paths padded"]
    length: Int32[Tensor, " paths"]
    share: Float64[Tensor, " paths"]
    is_wrong: Bool[Tensor, " paths"]
    num_violations: Int64[Tensor, " paths"]

    def take(self, is_kept: Bool[Tensor, " all"]) -> "Front":
        """Return the front of some of the paths."""
        rows = is_kept.nonzero().squeeze(1)  # once: each look at a mask makes a GPU wait
        return Front(*(getattr(self, field.name)[rows] for field in fields(self)))


@torch.no_grad()
def walk_regions(network: PreparedModule, a: EndValues, b: EndValues, tolerance: float) -> History:
    """Return every linear region that the open segments from a to b cross.

    Args:
        network: piecewise linear.
        a: starts.
        b: ends, as many.
        tolerance: a unit is at its boundary where |z| ≤ tolerance·scale.

    Raises:
        TooManyRegions: if the batch's history would outgrow its bound.
        TypeError: for a module that is not known to be piecewise linear.
    """
    front = first_front(network, a, b, tolerance)
    num_paths = len(front.index)
    trail = Trail(num_paths, network.device)
    trail.add(front)
    num_violations = torch.zeros(num_paths, dtype=torch.int64, device=network.device)
    step = 0
    while True:
        if step % CHECK_EVERY[network.device.type] == 0:
            num_violations[front.index] = final_violations(front)
            is_walking = front.share < 1
            num_walking = int(is_walking.sum())
            if num_walking == 0:
                return trail.history(num_violations)
            if num_walking < COMPACT_BELOW * len(is_walking):
                front = front.take(is_walking)
        front = next_event(network, front, tolerance)
        trail.add(front)
        step += 1


def first_front(network: PreparedModule, a: EndValues, b: EndValues, tolerance: float) -> Front:
    """Return the paths at t = 0, both ends settled from inside the segment."""
    tangent, scale = b.value - a.value, a.scale + b.scale
    # cloned, because a module may write in place
    start = settle(network, Ray.of(a.value.clone(), tangent.clone(), scale.clone()), None, tolerance)
    end = settle(network, Ray.of(b.value.clone(), -tangent, scale.clone()), None, tolerance)
    zeros = torch.zeros(len(tangent), dtype=torch.int64, device=network.device)
    pattern_a = start.state > 0
    return Front(
        index=torch.arange(len(tangent), device=network.device),
        t=zeros.double(),
        start=a.value,
        tangent=tangent,
        scale=scale,
        state=start.state,
        pattern=pattern_a,
        pattern_a=pattern_a,
        pattern_b=end.state > 0,
        length=zeros.int(),
        share=start.share,
        is_wrong=start.is_wrong,
        num_violations=zeros,
    )


def next_event(network: PreparedModule, front: Front, tolerance: float) -> Front:
    """Return the paths at their next event.

    A path that has none settles once more where it is, which changes nothing.
    """
    moves = front.share < 1
    t = torch.where(moves, front.t + front.share * (1 - front.t), front.t)
    value = torch.addcmul(front.start, per_path(t, front.start), front.tangent)
    # cloned, because a module may write in place
    ray = Ray.of(value, front.tangent.clone(), front.scale.clone())
    settled = settle(network, ray, front.state, tolerance, 1 - t)
    pattern = settled.state > 0
    return replace(
        front,
        t=t,
        state=settled.state,
        pattern=pattern,
        length=front.length + hamming_distance(pattern, front.pattern),
        share=settled.share,
        is_wrong=settled.is_wrong,
        num_violations=front.num_violations + (moves & (front.is_wrong | settled.is_wrong)),
    )


def per_path(t: Float64[Tensor, " paths"], like: Tensor) -> Tensor:
    """Return one number a path in a shape that multiplies a batch."""
    return t.view(-1, *[1] * (like.ndim - 1))


def final_violations(front: Front) -> Int64[Tensor, " paths"]:
    """Return the violations of paths that end here, their last interval included.

    The last region's pattern has to be the one that the end's own forward pass settled. Then the values
    at t = 1 agree too: they come from the same masks.
    """
    misses_end = (front.pattern != front.pattern_b).any(1)
    return front.num_violations + (front.is_wrong | misses_end)


class Trail:
    """The history of a batch while it is walked; paths that were moved out leave zeros."""

    def __init__(self, num_paths: int, device: torch.device) -> None:
        self.num_paths = num_paths
        self.max_rows = MAX_HISTORY[device.type] // num_paths
        self.times: list[Tensor] = []
        self.counts: list[Tensor] = []

    def add(self, front: Front) -> None:
        """Add a row.

        Raises:
            TooManyRegions: if there are too many.
        """
        if len(self.times) >= self.max_rows:
            raise TooManyRegions
        counts = torch.stack(
            [
                front.length,
                hamming_distance(front.pattern, front.pattern_a),
                hamming_distance(front.pattern, front.pattern_b),
            ]
        )
        self.counts.append(self.spread(counts, front.index))
        self.times.append(self.spread(front.t, front.index))

    def spread(self, values: Tensor, index: Int64[Tensor, " paths"]) -> Tensor:
        """Return values at the places of their paths in the whole batch."""
        whole = values.new_zeros((*values.shape[:-1], self.num_paths))
        whole[..., index] = values
        return whole

    def history(self, num_violations: Int64[Tensor, " all"]) -> History:
        """Return what was seen."""
        length, from_a, from_b = torch.stack(self.counts, dim=1)
        return History(torch.stack(self.times), length, from_a, from_b, num_violations)
