"""Every event on the way along a polyline: which unit flips where."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding import layerwise
from spaceprobe.folding.counted import Counted, Threshold
from spaceprobe.folding.counted import Units as Counts
from spaceprobe.folding.counts import PathTrace
from spaceprobe.folding.guards import check_device, check_images
from spaceprobe.folding.layerwise.corners import polyline_flips
from spaceprobe.folding.layerwise.steps import Flips
from spaceprobe.folding.measure import space_folding
from spaceprobe.folding.options import DEFAULT_TOLERANCE, Bits, check_options
from spaceprobe.folding.points import Points, read_points
from spaceprobe.folding.prepared_module import EndValues, PreparedModule, count_bits, prepare
from spaceprobe.folding.sampled import points_between, points_per_block
from spaceprobe.folding.units import Units, name_units

TraceMethod = Literal["exact", "layerwise", "sampled"]
"""How the events of a polyline are found; see `trace_events`."""


@dataclass(frozen=True)
class PathEvents:
    """Every flip along a polyline, in order; arrays have shape ``(num_events,)``.

    Flips of one step have the same t, distance, length and chi: those just after it.

    Attributes:
        t: number of the segment plus where in it the step is: from 0 to the number of segments.
        bit: which bit of the pattern flips, or which symbol.
        symbol: what it is after it: 1 for on, 0 for off; of a window the number of the winner.
        distance: Hamming distance from the pattern at the first point.
        length: flips so far.
        chi: χ of the path so far, in [0, 1).
        units: of the network.
        num_segments: of the polyline.
        num_violations: linear regions that failed the region check (see `PathFolding`).
        not_counted: functions that are neither affine nor counted, each with its module.
    """

    t: Float64[np.ndarray, " events"]
    bit: Int64[np.ndarray, " events"]
    symbol: Int64[np.ndarray, " events"]
    distance: Int64[np.ndarray, " events"]
    length: Int64[np.ndarray, " events"]
    chi: Float64[np.ndarray, " events"]
    units: Units
    num_segments: int
    num_violations: int
    not_counted: tuple[str, ...]

    @property
    def steps(self) -> PathTrace:
        """The path step by step: its start, and each place where units flip."""
        is_first = np.diff(self.length, prepend=0) > 0
        columns = (self.t, self.distance, self.length, self.chi)
        return PathTrace(*(np.insert(column[is_first], 0, 0) for column in columns))


def trace_events(
    network: nn.Module,
    points: Points,
    *,
    method: TraceMethod = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    bits: Bits = "sign",
    units: Counts = "activations",
    threshold: Threshold = 0.0,
) -> PathEvents:
    """Return every flip along the polyline through points.

    Args:
        network: see `walk_paths`.
        points: at least 2, of shape ``(num_points, *input shape)``; a segment of length 0 has no events.
        method: ``exact``, also called ``layerwise``, sees every linear region that the open segments cross,
            and at a corner the change from one open segment to the next. ``sampled`` sees what differs from
            each point to the next, at the later of the two.
        num_points: evenly spaced on each segment, both ends included, at least 2; for ``sampled``.
        device: see `walk_paths`.
        tolerance: see `walk_paths`.
        bits: see `walk_paths`.
        units: see `walk_paths`; of a window an event says who wins from there on.
        threshold: see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`; or the method is another one.
        TypeError: see `walk_paths`.
    """
    if method not in get_args(TraceMethod):
        raise ValueError(
            f"method is {method!r}: events are told by one of {', '.join(get_args(TraceMethod))}"
        )
    check_options(method, num_points, tolerance, bits)
    counted = Counted(units, threshold, bits)
    corners = read_points("points", points)
    check_images("points", corners)
    if len(corners) < 2:
        raise ValueError(f"points has {len(corners)} point: a path has at least its 2 ends")
    is_exact = method != "sampled"
    count = layerwise.count_bits if is_exact else count_bits
    prepared = prepare(network, corners, check_device(device), count, counted)
    ends = prepared.ends(corners)
    if is_exact:
        flips, step, num_violations = polyline_flips(prepared, ends, tolerance)
    else:
        flips, step = sampled_flips(prepared, ends, num_points)
        num_violations = 0
    before, after, bit = (column.cpu().numpy() for column in (flips.before, flips.after, flips.unit))
    first, last = ends_of_groups(step.cpu().numpy())
    distance, length = distance_from_start(bit, before, after)[last], last + 1
    return PathEvents(
        t=(flips.path + flips.t).cpu().numpy()[first],
        bit=bit,
        symbol=after,
        distance=distance,
        length=length,
        chi=space_folding(length, np.maximum.accumulate(distance)),
        units=name_units(prepared, ends.value),
        num_segments=len(corners) - 1,
        num_violations=num_violations,
        not_counted=prepared.passed_over,
    )


@torch.no_grad()
def sampled_flips(
    network: PreparedModule, points: EndValues, num_points: int
) -> tuple[Flips, Int64[Tensor, " flips"]]:
    """Return the units that differ from each point of a polyline to the next, and the step of each one.

    Args:
        network: any module with activations.
        points: the corners, at least one.
        num_points: on each segment, both ends included.
    """
    times = torch.arange(num_points, dtype=torch.float64, device=network.device) / (num_points - 1)
    before = network.patterns(points.value[:1].clone())
    chunk = points_per_block(network, points.value[0].numel())
    parts, steps = [], []
    for segment in range(len(points.value) - 1):
        a, b = points.value[segment : segment + 1], points.value[segment + 1 : segment + 2]
        for start in range(1, num_points, chunk):
            block = times[start : start + chunk]
            patterns = torch.cat([before, network.patterns(points_between(a, b, block).flatten(0, 1))])
            place, unit = (patterns[1:] != patterns[:-1]).nonzero(as_tuple=True)
            t = block[place]
            was, now = (rows[place, unit].long() for rows in (patterns[:-1], patterns[1:]))
            parts.append(Flips(torch.full_like(unit, segment), t, torch.zeros_like(t), unit, was, now))
            steps.append(segment * num_points + start + place)
            before = patterns[-1:]
    return Flips.join(parts), torch.cat(steps)


def ends_of_groups(
    group: Int64[np.ndarray, " items"],
) -> tuple[Int64[np.ndarray, " items"], Int64[np.ndarray, " items"]]:
    """Return the first and the last item of each item's group, where the items of a group are neighbours.

    >>> ends_of_groups(np.array([3, 3, 5]))
    (array([0, 0, 2]), array([1, 1, 2]))
    """
    is_new = np.diff(group, prepend=-1) != 0
    first = np.flatnonzero(is_new)
    number = np.cumsum(is_new) - 1
    return first[number], np.append(first[1:], len(group))[number] - 1


def distance_from_start(
    bit: Int64[np.ndarray, " flips"],
    before: Int64[np.ndarray, " flips"],
    after: Int64[np.ndarray, " flips"],
) -> Int64[np.ndarray, " flips"]:
    """Return after each flip in how many bits a pattern differs from the first one.

    Args:
        bit: which one flips; each flips from what it was before its first flip.
        before: what it is before the flip.
        after: what it is after it.

    >>> distance_from_start(np.array([7, 4, 7]), np.array([0, 1, 1]), np.array([1, 0, 0]))
    array([1, 2, 1])
    """
    _, first, number = np.unique(bit, return_index=True, return_inverse=True)
    start = before[first][number]
    return np.cumsum((after != start).astype(np.int64) - (before != start))
