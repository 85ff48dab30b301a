"""The largest and the smallest of several quantities that all depend on the input."""

from typing import Any

from torch import Tensor

from spaceprobe.folding.layerwise.arithmetic import negate
from spaceprobe.folding.layerwise.operands import MIXES, Func, align, as_tuple
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.windows import LargestOf, largest_of_two, over_dimensions
from spaceprobe.folding.ray import refusal


def maximum(func: Func, input: Any, other: Any) -> Polyline:
    """The larger of two quantities that both depend on the input."""
    if not isinstance(input, Polyline) or not isinstance(other, Polyline):
        raise refusal(func, "compares with a constant of another shape")
    if input.rows.ndim != other.rows.ndim:
        raise refusal(func, MIXES)
    return largest_of_two(*align(input, other))


def minimum(func: Func, input: Any, other: Any) -> Polyline:
    """The smaller of two quantities that both depend on the input."""
    return negate(func, maximum(func, negate(func, input), negate(func, other)))


def amax(func: Func, input: Polyline, dim: Any = (), keepdim: bool = False) -> Polyline:
    """The largest entry over dimensions."""
    dims = as_tuple(dim)
    if not dims or any(one % input.rows.ndim == 0 for one in dims):
        raise refusal(func, MIXES)
    return over_dimensions(input, dims, keepdim)


def amin(func: Func, input: Polyline, dim: Any = (), keepdim: bool = False) -> Polyline:
    """The smallest entry over dimensions."""
    return negate(func, amax(func, negate(func, input), dim, keepdim))


def largest(func: Func, input: Polyline, *args: Any, **kwargs: Any) -> Any:
    """`torch.max`: of two tensors, or of a dimension."""
    other = kwargs.get("other", args[0] if args else None)
    if isinstance(other, Tensor):
        return maximum(func, input, other)
    return LargestOf(amax(func, input, *args, **kwargs))


def smallest(func: Func, input: Polyline, *args: Any, **kwargs: Any) -> Any:
    """`torch.min`: of two tensors, or of a dimension."""
    other = kwargs.get("other", args[0] if args else None)
    if isinstance(other, Tensor):
        return minimum(func, input, other)
    return LargestOf(amin(func, input, *args, **kwargs))
