"""Build the network of a library's or of the user's own that a study names, and load given weights."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from spaceprobe.model_sources.construction import build, seeded
from spaceprobe.model_sources.given_weights import load_given
from spaceprobe.model_sources.inputs import ReshapedInputs, fit_inputs
from spaceprobe.model_sources.source import ModelSource, ModelSourceError

__all__ = ["build_foreign", "load_given_weights", "seeded"]

SETTING = "network.model"


def build_foreign(
    source: ModelSource, input_shape: Sequence[int], num_outputs: int, generator: torch.Generator
) -> nn.Module:
    """Return a network that takes the rows of a data set and has as many outputs as the data ask for.

    The random numbers of torch, numpy and Python are seeded with that of the run's weights meanwhile.

    Args:
        source: what names it.
        input_shape: of one input.
        num_outputs: classes, or values of a regression.
        generator: that of a run's weights, seeded with twice their seed.

    Raises:
        ModelSourceError: it cannot be built, does not take the inputs, or has other outputs.
        UserCodeError: the user's function is missing, not trusted, or failed.
    """
    seed = generator.initial_seed() // 2
    built = build(source, seed=seed, input_shape=input_shape, num_outputs=num_outputs, setting=SETTING)
    network = fit_inputs(built, source, input_shape, setting=SETTING)
    _check_outputs(network, source, math.prod(input_shape), num_outputs)
    return network


def _check_outputs(network: nn.Module, source: ModelSource, num_inputs: int, num_outputs: int) -> None:
    """Check what a network gives, so that a training does not end in an error of the loss, or in none."""
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    with torch.no_grad():
        outputs = network(torch.zeros(2, num_inputs, dtype=dtype))
    where = f"{SETTING} {source}"
    if not isinstance(outputs, torch.Tensor):
        raise ModelSourceError(f"{where}: gives {type(outputs).__name__}, expected a tensor; return one")
    shape = tuple(outputs.shape)
    if shape != (2, num_outputs):
        raise ModelSourceError(
            f"{where}: gives outputs of shape {shape} for 2 inputs, expected (2, {num_outputs}), as the "
            f"data have {num_outputs} classes or values; change the number of its outputs"
        )
    if dtype != torch.float32:
        raise ModelSourceError(f"{where}: has weights of {dtype}, expected torch.float32; return it in that")


def load_given_weights(network: nn.Module, path: Path) -> nn.Module:
    """Return a network with given weights in float64, in which every float of 16 to 64 bits is exact.

    Raises:
        SpaceprobeError: the weights cannot be read or do not fit.
    """
    inner = network.network if isinstance(network, ReshapedInputs) else network
    try:
        load_given(inner, path, "the network of network.model")
    except ModelSourceError as error:
        raise ModelSourceError(str(error).replace("--weights", "network.weights")) from error
    return network.double()
