"""Folding of polylines, such as loops: length and reach over all of their segments."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from spaceprobe.folding.counts import CountedFolding, PathFolding
from spaceprobe.folding.events import (
    PathEvents,
    TraceMethod,
    distance_from_start,
    ends_of_groups,
    trace_events,
)
from spaceprobe.folding.measure import space_folding
from spaceprobe.folding.path_counter import TwoWayCounter


def fold_polylines(
    network: nn.Module,
    corners: Tensor,
    *,
    method: TraceMethod = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    progress: Callable[[int], None] | None = None,
) -> CountedFolding:
    """Return the folding of polylines as counts, from their first corner to the last, and back.

    Reach is the largest distance from the pattern at the start over the whole polyline.

    Args:
        network: see `trace_events`.
        corners: of shape ``(num_paths, num_corners, *input shape)``, at least 2 corners each; a polyline
            whose last corner is its first is a loop.
        method: see `trace_events`.
        num_points: see `trace_events`.
        device: see `trace_events`.
        progress: called, now and then, with how many more directed paths are done.

    Raises:
        ValueError: see `trace_events`.
        TypeError: see `trace_events`.
    """
    counter = TwoWayCounter.of_matched()
    for points in corners:
        events = trace_events(network, points, method=method, num_points=num_points, device=device)
        counter.add(fold_events(events))
        if progress is not None:
            progress(2)
    return counter.result(len(corners))


def fold_events(events: PathEvents) -> PathFolding:
    """Return the folding of one polyline, read from both ends, from the flips of its bits."""
    there = events.distance, events.length
    # The other way, every flip is undone, the last one first.
    _, last = ends_of_groups(events.length[::-1])
    is_on = events.symbol[::-1]
    distance = distance_from_start(events.bit[::-1], is_on, 1 - is_on)
    reach, *peak = _read(*there)
    reach_back, *peak_back = _read(distance[last], last + 1)
    numbers = (len(events.bit), reach, reach_back, *peak, *peak_back, events.num_violations)
    return PathFolding(*(np.array([number], dtype=np.int64) for number in numbers))


def _read(
    distance: Int64[np.ndarray, " events"], length: Int64[np.ndarray, " events"]
) -> tuple[int, int, int]:
    """Return the reach of a path, and length and reach of its first prefix with the largest χ."""
    reach = np.maximum.accumulate(distance)
    chi = space_folding(length, reach)
    if not chi.any():
        return int(reach.max(initial=0)), 0, 0
    peak = int(chi.argmax())
    return int(reach[-1]), int(length[peak]), int(reach[peak])
