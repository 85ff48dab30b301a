"""Flips along a batch of straight paths, each with its t and its unit."""

import torch

from spaceprobe.folding.layerwise.crew import Crew
from spaceprobe.folding.layerwise.segments import flips_of
from spaceprobe.folding.layerwise.steps import Flips
from spaceprobe.folding.layerwise.walk import paths_per_batch, see_paths
from spaceprobe.folding.prepared_module import EndValues


@torch.no_grad()
def line_flips(crew: Crew, a: EndValues, b: EndValues, tolerance: float) -> Flips:
    """Return the flips along the straight paths from a to b, in any order.

    Args:
        crew: a piecewise-linear network on each of some threads.
        a: starts.
        b: ends, as many; a path of length 0 has no flips.
        tolerance: see `spaceprobe.folding.walk_paths`.

    Raises:
        TypeError: see `walk_layers`.
    """
    device = crew.networks.exact.device
    moves = (a.value != b.value).flatten(1).any(1).nonzero().squeeze(1)
    none = torch.zeros(0, dtype=torch.int64, device=device)
    found = [Flips(none, none.double(), none.double(), none, none, none)]
    size = paths_per_batch(crew.networks.exact, a.value[0].numel()) if len(moves) else 1
    for paths in moves.split(size) if len(moves) else ():
        for seen in see_paths(crew, a.take(paths), b.take(paths), tolerance):
            flips = flips_of(seen)
            found.append(
                Flips(paths[flips.path], flips.t, flips.slack, flips.unit, flips.before, flips.after)
            )
    return Flips.join(found)
