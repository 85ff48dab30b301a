"""Activations: functions of one value at a time, and a softmax."""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor, nn

from spaceprobe.model_sources.onnx_graphs.operators.call import Call, Made, Operator


def plain(function: Callable[[Tensor], Tensor]) -> Operator:
    """Return the operator that is a function of torch without options."""
    return lambda call: call.made(function)


def leaky_relu(call: Call) -> Made:
    """x, or alpha·x below 0."""
    alpha = call.attribute("alpha", 0.01)
    return call.made(lambda x: F.leaky_relu(x, alpha))


def prelu(call: Call) -> Made:
    """The same with learned slopes: one, or one for each channel."""
    slope = call.needed(1, "slopes")
    is_of_channels = slope.ndim > 0 and slope.numel() == slope.shape[0]
    if slope.numel() != 1 and not is_of_channels:
        raise call.refuse(f"has slopes of shape {tuple(slope.shape)}: expected one, or one for each channel")
    expected = slope.ndim
    flat = slope.reshape(-1)

    def run(x: Tensor, weight: Tensor) -> Tensor:
        if len(weight) > 1 and x.ndim != expected + 1:
            raise ValueError(f"its slopes are not those of channels of an input of {x.ndim} dimensions")
        return F.prelu(x, weight)

    layer = nn.PReLU(len(flat), device="meta")
    layer.weight = nn.Parameter(flat)
    return Made(run, (call.name(0),), layer, (flat,), (call.name(1), ""))


def clip(call: Call) -> Made:
    """X held between two numbers."""
    low, high = call.number("min", 1), call.number("max", 2)
    if low is None and high is None:
        return call.made(lambda x: x)
    return call.made(lambda x: torch.clamp(x, low, high))


def elu(call: Call) -> Made:
    """X, or alpha·(exp(x) - 1) below 0."""
    alpha = call.attribute("alpha", 1.0)
    return call.made(lambda x: F.elu(x, alpha))


def celu(call: Call) -> Made:
    """X, or alpha·(exp(x / alpha) - 1) below 0."""
    alpha = call.attribute("alpha", 1.0)
    return call.made(lambda x: F.celu(x, alpha))


def selu(call: Call) -> Made:
    """ELU, scaled; with torch's own constants."""
    options = call.attribute("alpha", 1.6732632), call.attribute("gamma", 1.0507010)
    if abs(options[0] - 1.6732632) > 1e-5 or abs(options[1] - 1.0507010) > 1e-5:
        raise call.refuse("has constants other than those of SELU, which is not supported")
    return call.made(F.selu)


def hard_sigmoid(call: Call) -> Made:
    """alpha·x + beta, held between 0 and 1."""
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return call.made(F.hardsigmoid)
    return call.made(lambda x: torch.clamp(x * alpha + beta, 0.0, 1.0))


def softmax(call: Call) -> Made:
    """A softmax of a dimension; of all from it on before opset 13."""
    if call.opset >= 13:
        axis = call.attribute("axis", -1)
        return call.made(lambda x: torch.softmax(x, axis))
    axis = call.attribute("axis", 1)
    return call.made(lambda x: torch.softmax(x.flatten(axis), -1).reshape(x.shape))


def gelu(call: Call) -> Made:
    """x·Φ(x), or its approximation by a tanh."""
    approximate = call.attribute("approximate", "none")
    return call.made(lambda x: F.gelu(x, approximate=approximate))


def thresholded_relu(call: Call) -> Made:
    """X above alpha, elsewhere 0."""
    alpha = call.attribute("alpha", 1.0)
    return call.made(lambda x: F.threshold(x, alpha, 0.0))


def shrink(call: Call) -> Made:
    """X moved towards 0 by the same as where it is 0, or not moved at all."""
    bias, lambd = call.attribute("bias", 0.0), call.attribute("lambd", 0.5)
    if bias not in (0.0, lambd) or lambd < 0:
        raise call.refuse(f"has lambd {lambd:g} and bias {bias:g}: expected a bias of 0 or of lambd")
    shrunk = F.softshrink if bias == lambd else F.hardshrink
    return call.made(lambda x: shrunk(x, lambd))


ACTIVATIONS: dict[str, Operator] = {
    "Relu": plain(F.relu),
    "Abs": plain(torch.abs),
    "Sign": plain(torch.sign),
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Clip": clip,
    "ThresholdedRelu": thresholded_relu,
    "Shrink": shrink,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": plain(F.hardswish),
    "Sigmoid": plain(torch.sigmoid),
    "Tanh": plain(torch.tanh),
    "Softplus": plain(F.softplus),
    "Softsign": plain(F.softsign),
    "Mish": plain(F.mish),
    "Elu": elu,
    "Celu": celu,
    "Selu": selu,
    "Gelu": gelu,
    "Softmax": softmax,
}
"""Those that are curved are sampled."""
