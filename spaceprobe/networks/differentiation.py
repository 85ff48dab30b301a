"""The gradient of a loss by a network's parameters: by autograd, or for ReLU MLPs by the calls it would make.

Recording a small network's graph and walking it back takes longer than its arithmetic.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, mse_loss

from spaceprobe.machine.torch_modules import runs_as_written

_REDUCTIONS = {"mean": 1, "sum": 2}
"""As torch's operators number them."""

_NO_CLASS = -100
"""Torch's mark for a point to ignore; no target has it."""

Targets = Int64[Tensor, "points"] | Float[Tensor, "points values"]
"""Classes, or values to regress on."""


class Differentiated(NamedTuple):
    """A network on some points.

    Attributes:
        outputs: the network's, one row a point, without a graph.
        loss: of the points, a single value.
        gradients: of the loss by each parameter, in their order; None for one that the loss does not depend
            on.
    """

    outputs: Float[Tensor, "points outputs"]
    loss: Float[Tensor, ""]
    gradients: Sequence[Tensor | None]


Differentiate = Callable[[Tensor, Targets, Literal["mean", "sum"]], Differentiated]
"""Takes inputs, targets and how the losses of points become one value."""


def loss(outputs: Tensor, targets: Targets, reduction: Literal["mean", "sum"]) -> Float[Tensor, ""]:
    """Return the cross-entropy in nats of classes, or the squared error of values, averaged over a point's.

    Args:
        outputs: logits, or values; one row a point.
        targets: classes, or values.
        reduction: over the points.
    """
    if not targets.dtype.is_floating_point:
        return cross_entropy(outputs, targets, reduction=reduction)
    if reduction == "mean":
        return mse_loss(outputs, targets)
    return mse_loss(outputs, targets, reduction="sum") / targets.shape[1]


def differentiator(network: nn.Module) -> Differentiate:
    """Return what differentiates the loss of a network by its parameters, to the bits of autograd.

    Args:
        network: as it will be when the result is called, its parameters' values aside.
    """
    by_autograd = _by_autograd(network)
    layers = _relu_mlp(network)
    if layers is None:
        return by_autograd

    def differentiate(inputs: Tensor, targets: Targets, reduction: Literal["mean", "sum"]) -> Differentiated:
        if targets.dtype.is_floating_point:
            return by_autograd(inputs, targets, reduction)
        return _of_relu_mlp(layers, inputs, targets, reduction)

    return differentiate


def _by_autograd(network: nn.Module) -> Differentiate:
    parameters = list(network.parameters())

    def differentiate(inputs: Tensor, targets: Targets, reduction: Literal["mean", "sum"]) -> Differentiated:
        outputs = network(inputs)
        value = loss(outputs, targets, reduction)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        return Differentiated(outputs.detach(), value.detach(), gradients)

    return differentiate


def _relu_mlp(network: nn.Module) -> list[tuple[Tensor, Tensor]] | None:
    """Return weight and bias of the linear layers of a network that has a ReLU between each two, no more."""
    if type(network) is not nn.Sequential or len(network) % 2 == 0:
        return None
    modules = [*network]
    layers = [module for module in modules[::2] if type(module) is nn.Linear and module.bias is not None]
    relus = [module for module in modules[1::2] if type(module) is nn.ReLU]
    is_whole = len(layers) + len(relus) == len(modules)
    is_plain = all(runs_as_written(module) and not module._backward_hooks for module in network.modules())
    if not (is_whole and is_plain and len({*map(id, modules)}) == len(modules)):
        return None
    return [(layer.weight, layer.bias) for layer in layers]


@torch.no_grad()
def _of_relu_mlp(
    layers: Sequence[tuple[Tensor, Tensor]],
    inputs: Tensor,
    targets: Int64[Tensor, "points"],
    reduction: Literal["mean", "sum"],
) -> Differentiated:
    """Return what autograd would, by the operators that it calls for these layers and the cross-entropy."""
    into = [inputs]
    for weight, bias in layers[:-1]:
        into.append(linear(into[-1], weight, bias).relu_())
    outputs = linear(into[-1], *layers[-1])
    logarithms = torch.log_softmax(outputs, 1)
    options = (None, _REDUCTIONS[reduction], _NO_CLASS)
    value, total_weight = torch.ops.aten.nll_loss_forward(logarithms, targets, *options)
    pull = torch.ops.aten.nll_loss_backward(
        torch.ones_like(value), logarithms, targets, *options, total_weight
    )
    pull = torch.ops.aten._log_softmax_backward_data(pull, logarithms, 1, outputs.dtype)
    gradients: list[Tensor] = []
    for number in reversed(range(len(layers))):
        gradients += [pull.sum(0), pull.t().mm(into[number])]
        if number:
            pull = torch.ops.aten.threshold_backward(pull.mm(layers[number][0]), into[number], 0)
    return Differentiated(outputs, value, gradients[::-1])
