"""Sums, products, maxima of values, and means of dimensions."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from spaceprobe.model_sources.onnx_graphs.operators.call import Call, Made, Operator

Binary = Callable[[Tensor, Tensor], Tensor]


def binary(function: Binary) -> Operator:
    """Return the operator that is a function of two values, entry by entry."""
    return lambda call: call.made(function, 0, 1)


def divide(first: Tensor, second: Tensor) -> Tensor:
    """Return a quotient; of whole numbers cut towards 0."""
    is_whole = not first.is_floating_point() and not second.is_floating_point()
    return torch.div(first, second, rounding_mode="trunc") if is_whole else first / second


def folded(function: Binary) -> Operator:
    """Return the operator of several values that a function of two joins."""

    def operator(call: Call) -> Made:
        places = [place for place in range(len(call.node.inputs)) if call.has(place)]
        return call.made(lambda *values: reduce(function, values), *places)

    return operator


def extreme(function: Binary, is_largest: bool) -> Operator:
    """Return the operator of the largest or smallest of several values, entry by entry."""

    def operator(call: Call) -> Made:
        places = [place for place in range(len(call.node.inputs)) if call.has(place)]
        numbers = {place: found for place in places if (found := call.constant(place)) is not None}
        of_one = [place for place in numbers if numbers[place].numel() == 1 and numbers[place].ndim == 0]
        if len(places) == 2 and len(of_one) == 1 and len(numbers) == 1:
            bound = numbers[of_one[0]].item()
            other = next(place for place in places if place not in of_one)
            # a number, not a tensor, so that it is seen as an activation that bends there
            low, high = (bound, None) if is_largest else (None, bound)
            return call.made(lambda x: torch.clamp(x, low, high), other)
        return call.made(lambda *values: reduce(function, values), *places)

    return operator


def reduced(function: Callable[..., Tensor]) -> Operator:
    """Return the operator of a mean or sum over dimensions other than the batch."""

    def operator(call: Call) -> Made:
        axes = call.whole_numbers("axes", 1)
        keeps = bool(call.attribute("keepdims", 1))
        if not axes:
            if call.attribute("noop_with_empty_axes", 0):
                return call.made(lambda x: x)
            raise call.refuse(
                "is over all dimensions, so over the batch as well: expected some of the others"
            )
        return call.made(lambda x: function(x, dim=axes, keepdim=keeps))

    return operator


ARITHMETIC: dict[str, Operator] = {
    "Add": binary(torch.add),
    "Sub": binary(torch.sub),
    "Mul": binary(torch.mul),
    "Div": binary(divide),
    "Mod": binary(torch.remainder),
    "Neg": lambda call: call.made(torch.neg),
    "Sqrt": lambda call: call.made(torch.sqrt),
    "Sum": folded(torch.add),
    "Max": extreme(torch.maximum, is_largest=True),
    "Min": extreme(torch.minimum, is_largest=False),
    "ReduceMean": reduced(torch.mean),
    "ReduceSum": reduced(torch.sum),
    "ReduceMax": reduced(torch.amax),
}
