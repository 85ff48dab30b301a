"""Flips along a batch of straight paths, each with its t and its unit."""

import torch
from jaxtyping import Int64
from torch import Tensor

from spaceprobe.folding.layerwise.crew import Crew
from spaceprobe.folding.layerwise.segments import flips_of
from spaceprobe.folding.layerwise.steps import Flips
from spaceprobe.folding.layerwise.walk import paths_per_batch, see_paths
from spaceprobe.folding.prepared_module import EndValues


@torch.no_grad()
def line_flips(
    crew: Crew, a: EndValues, b: EndValues, tolerance: float
) -> tuple[Flips, Int64[Tensor, " paths"]]:
    """Return the flips along the straight paths from a to b, in any order, and failures of the region check.

    Args:
        crew: a piecewise-linear network on each of some threads.
        a: starts.
        b: ends, as many; a path of length 0 has no flips.
        tolerance: see `spaceprobe.folding.walk_paths`.

    Returns:
        The flips, and for each path how many of its linear regions failed the check.

    Raises:
        TypeError: see `walk_layers`.
    """
    device = crew.networks.exact.device
    moves = (a.value != b.value).flatten(1).any(1).nonzero().squeeze(1)
    none = torch.zeros(0, dtype=torch.int64, device=device)
    found = [Flips(none, none.double(), none.double(), none, none, none)]
    num_violations = torch.zeros(len(a.value), dtype=torch.int64, device=device)
    size = paths_per_batch(crew.networks.exact, a.value[0].numel()) if len(moves) else 1
    for paths in moves.split(size) if len(moves) else ():
        for seen in see_paths(crew, a.take(paths), b.take(paths), tolerance):
            for part in seen:
                num_violations.index_add_(0, paths[part.parts.path], part.is_wrong.long())
            flips = flips_of(seen)
            found.append(
                Flips(paths[flips.path], flips.t, flips.slack, flips.unit, flips.before, flips.after)
            )
    return Flips.join(found), num_violations
