"""A module taken apart, where it is a plain sequence; as arrays, where it is an MLP."""

import numpy as np
from jaxtyping import Float64
from torch import nn

from spaceprobe.machine.torch_modules import runs_as_written

Layer = tuple[Float64[np.ndarray, "outputs inputs"], Float64[np.ndarray, " outputs"]]


def flat_sequence(module: nn.Module) -> list[nn.Module] | None:
    """Return the steps of a plain `nn.Sequential`, those of nested ones in their place, else None.

    A subclass with its own forward method is not plain, nor is one with hooks (`runs_as_written`).
    """
    if not isinstance(module, nn.Sequential) or not runs_as_written(module):
        return None
    steps: list[nn.Module] = []
    for child in module:
        steps += flat_sequence(child) or [child]
    return steps


def mlp_layers(module: nn.Module, num_dims: int) -> tuple[list[Layer], bool] | None:
    """Return the layers of an MLP in float64 and whether a ReLU ends it; None for other modules.

    An MLP is a plain sequence of linear layers with a ReLU between any two; modules that do nothing
    (identity, dropout outside training) are allowed. Images of more than one dimension, `num_dims` with
    the batch, have to be flattened first.
    """
    steps = flat_sequence(module)
    if steps is None or not all(runs_as_written(step) for step in steps):
        return None
    layers: list[Layer] = []
    is_flat, after_relu = num_dims == 2, True
    for step in steps:
        if type(step) is nn.Linear and is_flat and after_relu:
            layers.append(linear_arrays(step))
            after_relu = False
        elif type(step) is nn.ReLU and layers and not after_relu:
            after_relu = True
        elif type(step) is nn.Flatten and (step.start_dim, step.end_dim) == (1, -1):
            is_flat = True
        elif type(step) not in (nn.Identity, nn.Dropout):
            return None
    return (layers, after_relu) if len(layers) + after_relu > 1 else None


def linear_arrays(layer: nn.Linear) -> Layer:
    """Return weight and bias of a layer in float64; zeros for a bias that it does not have."""
    weight = layer.weight.detach().double().cpu().numpy()
    if layer.bias is None:
        return weight, np.zeros(len(weight))
    return weight, layer.bias.detach().double().cpu().numpy()
