"""Flips along a path of several straight segments, those at its corners included."""

import torch
from jaxtyping import Int64
from torch import Tensor

from spaceprobe.folding.layerwise.crew import Crew
from spaceprobe.folding.layerwise.segments import flips_of
from spaceprobe.folding.layerwise.steps import Flips, net_flips
from spaceprobe.folding.layerwise.walk import paths_per_batch, see_paths
from spaceprobe.folding.prepared_module import EndValues, PreparedModule


@torch.no_grad()
def polyline_flips(
    network: PreparedModule, points: EndValues, tolerance: float
) -> tuple[Flips, Int64[Tensor, " flips"], int]:
    """Return the flips along the polyline through points.

    Each segment is walked as a path of its own. At a corner the states just before its end and just after the
    start of the next are compared: a unit that differs flips there, once, at t = 0 of the next. A segment of
    length 0 is left out.

    Args:
        network: piecewise linear.
        points: at least one.
        tolerance: see `spaceprobe.folding.walk_paths`.

    Returns:
        The flips in their order, with the segment as the path; the number of each one's step; and how many
        linear regions failed the region check.

    Raises:
        TypeError: see `walk_layers`.
    """
    moves = (points.value[1:] != points.value[:-1]).flatten(1).any(1).nonzero().squeeze(1)
    crew = Crew(network)
    size = paths_per_batch(network, points.value[0].numel())
    parts, num_violations, end = [], 0, None
    for first in range(0, len(moves), size):
        segments = moves[first : first + size]
        groups = see_paths(crew, points.take(segments), points.take(segments + 1), tolerance)
        seen = [part for group in groups for part in group]
        num_violations += sum(int(part.is_wrong.sum()) for part in seen)
        starts = seen[0].start.new_empty((len(segments), seen[0].start.shape[1]))
        ends = torch.empty_like(starts)
        for part in seen:
            is_first, is_last = part.parts.begin == 0, part.parts.end == 1
            starts[part.parts.path[is_first]] = part.start[is_first]
            ends[part.parts.path[is_last]] = part.end[is_last]
        before = torch.cat([starts[:1] if end is None else end, ends[:-1]])
        corner, unit = (before != starts).nonzero(as_tuple=True)
        zeros = torch.zeros(len(corner), dtype=torch.float64, device=network.device)
        at_corners = Flips(
            corner, zeros, zeros, unit, before[corner, unit].long(), starts[corner, unit].long()
        )
        both = Flips.join([flips_of(seen), at_corners])
        parts.append(Flips(segments[both.path], both.t, both.slack, both.unit, both.before, both.after))
        end = ends[-1:]
    none = moves.new_zeros(0)
    flips = Flips.join([*parts, Flips(none, none.double(), none.double(), none, none, none)])
    return (*(net_flips(flips) if len(flips.path) else (flips, none)), num_violations)
