"""How much the loss grows under noise on the weights, and by what margin points are classified."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from spaceprobe.networks.differentiation import Targets, loss
from spaceprobe.networks.layers import is_sequence
from spaceprobe.networks.objective import EVALUATION_BATCH, FEATURE_MAP_BATCH


@dataclass(frozen=True)
class Sharpness:
    """The growth of the mean loss under noise on the weights.

    Attributes:
        mean: over the draws of the noise.
        largest: of them.
    """

    mean: float
    largest: float


@torch.no_grad()
def outputs_of(
    network: nn.Module, inputs: Float[Tensor, "points features"]
) -> Float[Tensor, "points outputs"]:
    """Return the outputs of a network, in batches of a fixed size."""
    size = EVALUATION_BATCH if is_sequence(network) else FEATURE_MAP_BATCH
    return torch.cat([network(some) for some in inputs.split(size)])


def sharpness(
    network: nn.Module,
    inputs: Float[Tensor, "points features"],
    targets: Targets,
    *,
    noise: float,
    num_draws: int,
    seed: int,
) -> Sharpness:
    """Return how much the mean loss grows when every weight w becomes w · (1 + noise · ε).

    The ε are standard normal, one for each weight and bias, and the same in networks of one shape. Since the
    noise is relative to each weight, multiplying a unit's row and bias by c > 0 and dividing the next layer's
    column by c does not change it. So it is in the magnitude-aware measures of Jiang et al. ("Fantastic
    generalization measures and where to find them", ICLR 2020), which look for the largest noise that a
    network bears; here the noise is fixed.

    The network is left as it was, bit for bit.

    Args:
        network: in evaluation mode.
        inputs: of the network's floating type.
        targets: of the points.
        noise: standard deviation of the relative change, at least 0.
        num_draws: of all ε, at least 1.
        seed: of these draws.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = [*network.parameters()]
    own = [parameter.detach().clone() for parameter in parameters]
    before = float(loss(outputs_of(network, inputs), targets, "mean"))
    growth = []
    try:
        for _ in range(num_draws):
            for parameter, values in zip(parameters, own, strict=True):
                drawn = torch.randn(values.shape, generator=generator, dtype=torch.float64)
                parameter.data.copy_(values * (1 + noise * drawn).to(values))
            growth.append(float(loss(outputs_of(network, inputs), targets, "mean")) - before)
    finally:
        for parameter, values in zip(parameters, own, strict=True):
            parameter.data.copy_(values)
    return Sharpness(sum(growth) / len(growth), max(growth))


def output_margins(
    outputs: Float[Tensor, "points classes"], targets: Int64[Tensor, "points"]
) -> Float[Tensor, "points"]:
    """Return each point's logit of its class minus the largest other: negative where it is misclassified.

    Args:
        outputs: logits of two classes or more.
        targets: the classes.
    """
    right = outputs.gather(1, targets[:, None])
    others = outputs.scatter(1, targets[:, None], -torch.inf)
    return right[:, 0] - others.amax(dim=1)
