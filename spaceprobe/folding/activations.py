"""Activations that are piecewise affine, one entry at a time: where they bend or jump.

A unit has one bit for each place where its activation bends or jumps: whether its pre-activation is above it
(docs/definitions.md, "Activations"). `ACTIVATIONS` has every function of torch that is such an activation,
under all of its names, with what its arguments make of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

Constant = float | Tensor


@dataclass(frozen=True)
class Activation:
    """A piecewise-affine function of one number.

    Attributes:
        kinks: where it bends or jumps, ascending; numbers, or tensors with one for each unit.
        apply: the function itself, for tensors, which it may overwrite; not asked at a jump.
        steepest: the largest absolute slope, or one for each unit.
        is_flat_below: whether it is 0 below its only kink, as a ReLU is.
        pieces: slope and intercept below the first kink, between kinks, and above the last; None for a
            continuous function.
        at_kinks: its value at each kink, where it jumps; empty for a continuous function.
        in_place: whether the call asks for its input to be overwritten.
        function: the name of the function of torch that was called, such as ``relu``.
    """

    kinks: tuple[Constant, ...]
    apply: Callable[[Tensor], Tensor]
    steepest: Constant = 1.0
    is_flat_below: bool = False
    pieces: tuple[tuple[float, float], ...] | None = None
    at_kinks: tuple[float, ...] = ()
    in_place: bool = False
    function: str = ""


class NotAnActivation(Exception):  # noqa: N818 - not an error: another rule then takes the call
    """A call that is not an activation with these arguments, such as the maximum of two tensors."""


Reading = Callable[..., Activation]


def relu(_x: Any, inplace: bool = False) -> Activation:
    """max(x, 0)."""
    return Activation((0.0,), lambda z: z.clamp_min_(0), is_flat_below=True, in_place=inplace)


def leaky_relu(_x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Activation:
    """x, or a small multiple of it below 0."""
    return Activation(
        (0.0,),
        lambda z: F.leaky_relu_(z, negative_slope),
        steepest=max(1.0, abs(negative_slope)),
        in_place=inplace,
    )


def prelu(_x: Any, weight: Tensor) -> Activation:
    """The same with a slope for each channel."""
    steepest = float(weight.abs().max().clamp_min(1))
    return Activation((0.0,), lambda z: F.prelu(z, weight), steepest=steepest)


def rrelu(
    _x: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Activation:
    """Randomized leaky ReLU; outside training the mean slope."""
    if training:
        raise NotAnActivation
    return leaky_relu(_x, (lower + upper) / 2, inplace)


def absolute(_x: Any) -> Activation:
    """|x|."""
    return Activation((0.0,), torch.abs_)


def clamp(_x: Any, min: Any = None, max: Any = None) -> Activation:
    """X held between two constants, or on one side of one."""
    kinks = tuple(bound for bound in (min, max) if bound is not None)
    if not kinks or any(not is_constant(bound) for bound in kinks):
        raise NotAnActivation
    return Activation(kinks, lambda z: torch.clamp_(z, min, max))


def hardtanh(_x: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Activation:
    """X held between two numbers."""
    return replace(clamp(_x, min_val, max_val), in_place=inplace)


def relu6(_x: Any, inplace: bool = False) -> Activation:
    """X held between 0 and 6."""
    return hardtanh(_x, 0.0, 6.0, inplace)


def clamp_min(_x: Any, min: Any) -> Activation:
    """max(x, c)."""
    return clamp(_x, min=min)


def clamp_max(_x: Any, max: Any) -> Activation:
    """min(x, c)."""
    return clamp(_x, max=max)


def maximum(first: Any, second: Any) -> Activation:
    """max(x, c), from either side."""
    return clamp_min(first, second) if is_constant(second) else clamp_min(second, first)


def minimum(first: Any, second: Any) -> Activation:
    """min(x, c), from either side."""
    return clamp_max(first, second) if is_constant(second) else clamp_max(second, first)


def largest(first: Any, *others: Any, **kwargs: Any) -> Activation:
    """`torch.max` with a second tensor, not with a dimension."""
    return maximum(first, *tensors_alone(others, kwargs))


def smallest(first: Any, *others: Any, **kwargs: Any) -> Activation:
    """`torch.min` with a second tensor, not with a dimension."""
    return minimum(first, *tensors_alone(others, kwargs))


def tensors_alone(others: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor]:
    """Return the other tensor of a call that has just that."""
    if kwargs or len(others) != 1 or not isinstance(others[0], Tensor):
        raise NotAnActivation
    return others


def hardsigmoid(_x: Any, inplace: bool = False) -> Activation:
    """X / 6 + 1/2, held between 0 and 1."""
    return Activation((-3.0, 3.0), F.hardsigmoid, steepest=1 / 6, in_place=inplace)


def softshrink(_x: Any, lambd: float = 0.5) -> Activation:
    """X moved towards 0 by lambd."""
    return Activation((-lambd, lambd), lambda z: F.softshrink(z, lambd))


def hardshrink(_x: Any, lambd: float = 0.5) -> Activation:
    """x, or 0 within lambd of 0; it jumps."""
    return Activation(
        (-lambd, lambd),
        lambda z: F.hardshrink(z, lambd),
        pieces=((1.0, 0.0), (0.0, 0.0), (1.0, 0.0)),
        at_kinks=(0.0, 0.0),
    )


def threshold(_x: Any, threshold: float, value: float, inplace: bool = False) -> Activation:
    """X above a threshold, elsewhere a value; it jumps where the two differ."""
    return Activation(
        (threshold,),
        lambda z: F.threshold(z, threshold, value),
        pieces=((0.0, value), (1.0, 0.0)),
        at_kinks=(value,),
        in_place=inplace,
    )


def sign(_x: Any) -> Activation:
    """-1, 0 or 1."""
    return Activation((0.0,), torch.sign, pieces=((0.0, -1.0), (0.0, 1.0)), at_kinks=(0.0,))


def heaviside(_x: Any, values: Tensor) -> Activation:
    """0 below 0, 1 above, a value at 0."""
    if not is_constant(values) or values.numel() != 1:
        raise NotAnActivation
    return step(0.0, 0.0, float(values), 1.0)


def step(kink: Constant, below: float, at: float, above: float) -> Activation:
    """Return the function that jumps from one value to another."""

    def apply(z: Tensor) -> Tensor:
        levels = z.new_tensor([below, at, above])
        return levels[(torch.sign(z - kink) + 1).long()]

    return Activation((kink,), apply, pieces=((0.0, below), (0.0, above)), at_kinks=(at,))


def comparison(below: float, at: float, above: float) -> Reading:
    """Return the reading of a comparison with a constant, whose result is 0 or 1."""

    def read(first: Any, second: Any) -> Activation:
        if is_constant(second):
            return step(second, below, at, above)
        if is_constant(first):
            return step(first, above, at, below)
        raise NotAnActivation

    return read


def is_constant(x: Any) -> bool:
    """Return whether an argument is a number, or a tensor that does not depend on the input."""
    return isinstance(x, int | float) or type(x) in (Tensor, torch.nn.Parameter)


READINGS: dict[Reading, str] = {
    relu: "relu relu_",
    leaky_relu: "leaky_relu leaky_relu_",
    prelu: "prelu",
    rrelu: "rrelu rrelu_",
    absolute: "abs abs_ absolute absolute_ __abs__",
    clamp: "clamp clamp_ clip clip_",
    clamp_min: "clamp_min clamp_min_",
    clamp_max: "clamp_max clamp_max_",
    maximum: "maximum fmax",
    minimum: "minimum fmin",
    largest: "max",
    smallest: "min",
    hardtanh: "hardtanh hardtanh_",
    relu6: "relu6",
    hardsigmoid: "hardsigmoid",
    hardshrink: "hardshrink",
    softshrink: "softshrink",
    threshold: "threshold threshold_",
    sign: "sign sign_ sgn sgn_",
    heaviside: "heaviside heaviside_",
    comparison(0.0, 0.0, 1.0): "gt greater __gt__",
    comparison(0.0, 1.0, 1.0): "ge greater_equal __ge__",
    comparison(1.0, 0.0, 0.0): "lt less __lt__",
    comparison(1.0, 1.0, 0.0): "le less_equal __le__",
}


def activation_table() -> dict[Callable[..., Any], Reading]:
    """Return how a call of each function of torch that may be an activation is read."""
    from spaceprobe.folding.ray import every_name

    table: dict[Callable[..., Any], Reading] = {}
    for reading, names in READINGS.items():
        for name in names.split():
            for func in every_name(name):
                table[func] = in_place(reading) if name.endswith("_") and not name.endswith("__") else reading
    return table


def in_place(reading: Reading) -> Reading:
    """Return the reading of the function with an underscore."""

    def read(*args: Any, **kwargs: Any) -> Activation:
        return replace(reading(*args, **kwargs), in_place=True)

    return read


ACTIVATIONS = activation_table()

signature_of = cache(signature)


def read_activation(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Activation | None:
    """Return what a call of a function of torch is as an activation; None if it is none."""
    reading = ACTIVATIONS.get(func)
    if reading is None:
        return None
    if "input" in kwargs:
        args, kwargs = (kwargs["input"], *args), {k: v for k, v in kwargs.items() if k != "input"}
    if "other" in kwargs:
        args, kwargs = (*args, kwargs["other"]), {k: v for k, v in kwargs.items() if k != "other"}
    try:
        signature_of(reading).bind(*args, **kwargs)
    except TypeError:  # arguments that belong to another use of the name
        return None
    try:
        return replace(reading(*args, **kwargs), function=short_name(func))
    except NotAnActivation:
        return None


@cache
def short_name(func: Callable[..., Any]) -> str:
    """Return the name of a function of torch without its module."""
    from spaceprobe.folding.ray import function_name

    return function_name(func).rpartition(".")[2]
