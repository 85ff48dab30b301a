"""Ranks of layers from the dimension of what enters them, before anything is trained."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spaceprobe.errors import SpaceprobeError
from spaceprobe.lmd.dimension import estimate_dimension
from spaceprobe.networks.layers import pass_through

SAMPLE = 1000
"""Chosen: with the first so many training points the standard error of a dimension is some 3 %."""

ESTIMATOR = "twonn"
"""Chosen: it looks no farther than two neighbours, where a curved manifold is still flat."""


@torch.no_grad()
def ranks_by_dimension(
    network: nn.Module, inputs: Float[Tensor, "points features"], factor: float = 1.0
) -> list[int]:
    """Return a rank for each weight matrix: the dimension of what enters its layer, times a factor.

    Rounded to the nearest whole number, at least 1 and at most the smaller side of the matrix. A layer whose
    inputs are all equal has dimension 0, so rank 1.

    Args:
        network: untrained, in evaluation mode.
        inputs: training points, of which the first `SAMPLE` are used.
        factor: what dimensions are multiplied by, above 0.

    Raises:
        SpaceprobeError: a dimension cannot be estimated, as with fewer than 20 distinct points.
    """
    ranks = []
    for number, layer in enumerate(pass_through(network, inputs[:SAMPLE])):
        estimate = estimate_dimension(layer.inputs.double().numpy(), ESTIMATOR)
        if estimate.dimension is None:
            raise SpaceprobeError(
                f"network.ranks: what enters weight matrix {number} has no dimension ({estimate.reason}); "
                "write a number for each weight matrix, or full"
            )
        ranks.append(min(max(1, round(factor * estimate.dimension)), *layer.matrix.weight.shape))
    return ranks
