"""Whether points are one input of a network or a batch of them."""

from functools import partial

import torch
from torch import Tensor, nn

from spaceprobe.folding.guards import check_images, check_network
from spaceprobe.folding.layers import mlp_layers
from spaceprobe.machine.torch_modules import copy_of

CONVOLUTION_SIDES = {nn.Conv1d: 3, nn.Conv2d: 4, nn.Conv3d: 5}
"""Of a batch; with one side fewer torch takes it for a single input."""


class UnbatchedInput(Exception):  # noqa: N818 - not an error: the points are one input
    """A convolution was given a single input."""


def is_single(network: nn.Module, points: Tensor, name: str) -> bool:
    """Return whether points are one input, not a batch: the network is run on them to see.

    Where both are possible the first dimension is the batch.

    Args:
        network: any module; it is copied, and run in evaluation mode on two points at most.
        points: of shape ``(num_points, *input shape)`` or of the input's shape.
        name: what they are called, for the error.

    Raises:
        ValueError: the network takes them as neither; see `check_network` as well.
    """
    if points.ndim == 0:
        raise ValueError(f"{name} is a single number: expected an input of the network, or a batch of them")
    check_images(name, points[None])
    check_network(network)
    if points.ndim == 1:
        return True
    mlp = mlp_layers(network, points.ndim)
    if mlp is not None and mlp[0][0][0].shape[1] == points.shape[1:].numel():
        return False
    network = copy_of(network).eval()
    for module in network.modules():
        for kind, num_sides in CONVOLUTION_SIDES.items():
            if isinstance(module, kind):
                module.register_forward_pre_hook(partial(_refuse_single, num_sides))
    why_no_batch = refusal(network, points)
    if why_no_batch is None:
        return False
    why_not_single = refusal(network, points[None])
    if why_not_single is None:
        return True
    raise ValueError(
        f"{name} has shape {tuple(points.shape)}, which the network takes neither as a batch of inputs of "
        f"shape {tuple(points.shape[1:])} ({why_no_batch}) nor as one input ({why_not_single})"
    )


def refusal(network: nn.Module, batch: Tensor) -> str | None:
    """Return why a network does not take a batch; None if it does."""
    batch = batch[:2] if len(batch) else batch.new_zeros((1, *batch.shape[1:]))
    state = [*network.parameters(), *network.buffers()]
    like = next(
        (tensor for tensor in state if tensor.is_floating_point()), torch.zeros((), dtype=torch.float64)
    )
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            outputs = network(batch.to(like, copy=True))
    except UnbatchedInput:
        return "its convolutions expect a dimension more"
    except Exception as error:  # a network may raise anything on a shape that it does not take
        return str(error).partition("\n")[0]
    if isinstance(outputs, Tensor) and (outputs.ndim == 0 or len(outputs) != len(batch)):
        return f"{len(batch)} inputs have an output of shape {tuple(outputs.shape)}"
    return None


def _refuse_single(num_sides: int, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Refuse what a convolution takes for a single input."""
    if inputs[0].ndim < num_sides:
        raise UnbatchedInput
