"""What goes into and comes out of each linear layer of an MLP."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerPass:
    """One linear layer while inputs pass through a network.

    Attributes:
        linear: the layer.
        inputs: what it is given, one row a point.
        outputs: its pre-activations, bias included.
        finish: maps other pre-activations of this layer to the network's outputs.
    """

    linear: nn.Linear
    inputs: Float[Tensor, "points inputs"]
    outputs: Float[Tensor, "points outputs"]
    finish: Callable[[Tensor], Tensor]


@torch.no_grad()
def pass_through(network: nn.Sequential, inputs: Float[Tensor, "points features"]) -> list[LayerPass]:
    """Return each linear layer with its inputs and outputs, first to last, the readout included.

    Args:
        network: linear layers with activations between them, as `spaceprobe.networks.mlp.mlp` makes.
        inputs: of the network's own floating type, one row a point; none is allowed.
    """
    passes = []
    for position, module in enumerate(network):
        outputs = module(inputs)
        if isinstance(module, nn.Linear):
            passes.append(LayerPass(module, inputs, outputs, _without_gradients(network[position + 1 :])))
        inputs = outputs
    return passes


def _without_gradients(rest: nn.Sequential) -> Callable[[Tensor], Tensor]:
    def finish(pre_activations: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = rest(pre_activations)
        return result

    return finish


def linear_weights(network: nn.Module) -> list[Float[Tensor, "outputs inputs"]]:
    """Return the weight matrix of each linear layer, first to last; no copies, no gradients."""
    return [module.weight.detach() for module in network.modules() if isinstance(module, nn.Linear)]
