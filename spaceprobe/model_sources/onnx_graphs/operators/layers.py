"""Operators with weights, which become layers of torch: linear ones, convolutions, normalisations."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.model_sources.onnx_graphs.operators.call import Call, Made, Operator
from spaceprobe.model_sources.onnx_graphs.operators.windows import read_windows

CONVOLUTIONS: dict[int, tuple[Callable[..., nn.Module], Callable[..., Tensor]]] = {
    1: (nn.Conv1d, F.conv1d),
    2: (nn.Conv2d, F.conv2d),
    3: (nn.Conv3d, F.conv3d),
}
"""Layer and function, by the number of dimensions of an image."""


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """A batch normalisation of inputs of any number of dimensions, as ONNX has it."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Take everything that has channels."""


def linear(x: str, weight: Tensor, bias: Tensor | None, sources: tuple[str, str]) -> Made:
    """Return a linear layer.

    Args:
        x: name of its input.
        weight: of shape (outputs, inputs).
        bias: of shape (outputs); None for none.
        sources: names of the constants that they came from.
    """
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias is not None, device="meta")
    weights = (weight.contiguous(),) if bias is None else (weight.contiguous(), bias.contiguous())
    fill(layer, weights, ("weight", "bias"))
    return Made(F.linear, (x,), layer, weights, sources)


def fill(layer: nn.Module, weights: tuple[Tensor, ...], names: tuple[str, ...]) -> None:
    """Put weights into a layer that was made without any."""
    for name, weight in zip(names, weights, strict=False):
        if name in layer._buffers:
            layer.register_buffer(name, weight)
        else:
            layer.register_parameter(name, nn.Parameter(weight))


def gemm(call: Call) -> Made:
    """alpha·A·B + beta·C; a linear layer where B and C are constant."""
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    is_first_turned = bool(call.attribute("transA", 0))
    is_second_turned = bool(call.attribute("transB", 0))
    second, third = call.constant(1), call.constant(2)
    is_layer = second is not None and second.ndim == 2 and not is_first_turned
    is_layer = is_layer and call.constant(0) is None and (third is not None or not call.has(2))
    if is_layer and second is not None and second.is_floating_point():
        weight = second if is_second_turned else second.T
        bias = None
        if third is not None:
            if third.numel() not in (1, len(weight)) or third.shape[-1:] not in ((), (1,), (len(weight),)):
                raise call.refuse(
                    f"has a bias of shape {tuple(third.shape)}: expected one number for each of its "
                    f"{len(weight)} outputs"
                )
            bias = third.reshape(-1).expand(len(weight)) * beta
        weight = weight if alpha == 1 else weight * alpha
        return linear(call.name(0), weight, bias, (call.name(1), call.name(2)))

    def run(first: Tensor, second: Tensor, *third: Tensor) -> Tensor:
        product = (first.T if is_first_turned else first) @ (second.T if is_second_turned else second)
        product = product if alpha == 1 else product * alpha
        return product + third[0] * beta if third else product

    return call.made(run, *range(3 if call.has(2) else 2))


def multiply_matrix(call: Call) -> Made:
    """A product of matrices; a linear layer where the second is constant."""
    second = call.constant(1)
    if second is not None and second.ndim == 2 and call.constant(0) is None and second.is_floating_point():
        return linear(call.name(0), second.T, None, (call.name(1), ""))
    return call.made(torch.matmul, 0, 1)


def convolution(call: Call) -> list[tuple[Made, str]]:
    """A convolution, with zeros around it."""
    weight = call.needed(1, "weights")
    bias = call.needed(2, "biases") if call.has(2) else None
    num_dims = weight.ndim - 2
    if num_dims not in CONVOLUTIONS or 0 in weight.shape or not weight.is_floating_point():
        raise call.refuse(f"has weights of shape {tuple(weight.shape)}: expected 3 to 5 sizes, from 1")
    groups = call.attribute("group", 1)
    if groups < 1 or len(weight) % groups:
        raise call.refuse(
            f"has {groups} groups for {len(weight)} outputs: expected a number that divides them"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise call.refuse(f"has biases of shape {tuple(bias.shape)}: expected ({len(weight)},)")
    kernel = call.whole_numbers("kernel_shape") or [*weight.shape[2:]]
    if kernel != [*weight.shape[2:]]:
        raise call.refuse(f"says a kernel of {kernel}, and its weights have {[*weight.shape[2:]]}")
    windows = read_windows(call, kernel)
    make, function = CONVOLUTIONS[num_dims]
    options: dict[str, Any] = {
        **{"stride": tuple(windows.strides), "padding": tuple(windows.even or [0] * num_dims)},
        **{"dilation": tuple(windows.dilations), "groups": groups},
    }
    layer = make(
        weight.shape[1] * groups, len(weight), tuple(kernel), bias=bias is not None, device="meta", **options
    )
    weights = (weight,) if bias is None else (weight, bias)
    fill(layer, weights, ("weight", "bias"))

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return function(x, weight, bias, **options)

    x, before = call.name(0), []
    if windows.even is None:
        x = f"{call.node.outputs[0]} padded"
        before = [(call.made(lambda value: F.pad(value, windows.around(value.shape[2:]))), x)]
    made = Made(run, (x,), layer, weights, (call.name(1), call.name(2)))
    return [*before, (made, call.node.outputs[0])]


def batch_norm(call: Call) -> Made:
    """Batch normalisation with frozen statistics."""
    if call.attribute("training_mode", 0) or not call.attribute("spatial", 1):
        raise call.refuse("normalises by the statistics of a batch: export the network in evaluation mode")
    weights = tuple(call.needed(place, "statistics") for place in range(1, 5))
    if len({tensor.shape for tensor in weights}) != 1 or weights[0].ndim != 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in weights)
        raise call.refuse(
            f"has scale, bias, mean and variance of shapes {shapes}: expected one number a channel"
        )
    if not bool((weights[3] >= 0).all()):
        raise call.refuse("has a variance below 0")
    epsilon = call.attribute("epsilon", 1e-5)
    layer = BatchNorm(len(weights[0]), eps=epsilon, device="meta")
    layer.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.long))
    fill(layer, weights, ("weight", "bias", "running_mean", "running_var"))

    def run(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, weight, bias, eps=epsilon)

    return Made(run, (call.name(0),), layer, weights, (call.name(1), call.name(2)))


def layer_norm(call: Call) -> Made:
    """Normalisation over the last dimensions of each input, which is curved."""
    weight, bias = call.needed(1, "scales"), call.needed(2, "biases") if call.has(2) else None
    axis, epsilon = call.attribute("axis", -1), call.attribute("epsilon", 1e-5)
    if bias is not None and bias.shape != weight.shape:
        raise call.refuse("has biases of another shape than its scales")
    layer = nn.LayerNorm([*weight.shape], epsilon, bias=bias is not None, device="meta")
    weights = (weight,) if bias is None else (weight, bias)
    fill(layer, weights, ("weight", "bias"))

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if (axis if axis < 0 else axis - x.ndim) != -weight.ndim:
            raise ValueError(
                f"normalises from dimension {axis} on, and has scales of {weight.ndim} dimensions"
            )
        return F.layer_norm(x, weight.shape, weight, bias, epsilon)

    return Made(run, (call.name(0),), layer, weights, (call.name(1), call.name(2)))


LAYERS: dict[str, Operator] = {
    "Gemm": gemm,
    "MatMul": multiply_matrix,
    "Conv": convolution,
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
}
