"""The linear regions of a network on straight paths between test points, classes or not."""

from typing import TYPE_CHECKING, Any

from spaceprobe.networks.walkable import JUMPING, PIECEWISE_LINEAR
from spaceprobe.stages.stage import Sections
from spaceprobe.stages.train.settings import network_of

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Split

ENDS_SEED = 0
"""Chosen: of the test points between which paths lead, the same for all networks and epochs."""


def region_counts(
    sections: Sections, network: "nn.Module", points: "Split", num_paths: int
) -> dict[str, Any] | None:
    """Return the linear regions that paths between test points cross, together; None where there are none.

    Paths are those of `path_images`, between pairs of points that are drawn, no point twice.

    Args:
        sections: of the run.
        network: in float64.
        points: the test points.
        num_paths: how many paths; where the points are fewer than twice as many, as many as they make pairs.

    Returns:
        ``num_paths``; ``length``, the L2 length of all of them in input space; ``num_regions``, what they
        cross, each path counted by itself; ``region_density``, the latter over the former. None of a network
        that is not continuous and piecewise linear, and of paths without length.
    """
    import torch

    from spaceprobe.folding.path_images import path_images

    if not has_regions(sections):
        return None
    order = torch.randperm(len(points.inputs), generator=torch.Generator().manual_seed(ENDS_SEED))
    pairs = order[: 2 * min(num_paths, len(order) // 2)].view(-1, 2)
    starts, ends = (points.inputs[numbers].double() for numbers in pairs.T)
    seen = path_images(network, starts, ends)
    length, num_regions = float(seen.distance.sum()), int(seen.num_regions.sum())
    if length == 0:
        return None
    counts = {"num_paths": len(pairs), "length": length, "num_regions": num_regions}
    return {**counts, "region_density": num_regions / length}


def has_regions(sections: Sections) -> bool:
    """Return whether a run's network is continuous and known to be piecewise linear."""
    network = network_of(sections)
    activation = network.entry.activation(network)
    is_exact = "exact" in network.entry.engines(network)
    return is_exact and activation in PIECEWISE_LINEAR and activation not in JUMPING
