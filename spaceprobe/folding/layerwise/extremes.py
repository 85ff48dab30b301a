"""The largest and the smallest of several quantities that all depend on the input."""

from typing import Any

from torch import Tensor

from spaceprobe.folding.layerwise.arithmetic import negate
from spaceprobe.folding.layerwise.operands import MIXES, Func, align, as_tuple
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.windows import LargestOf, largest_of_two, over_dimensions
from spaceprobe.folding.ray import refusal


def maximum(func: Func, first: Any, second: Any) -> Polyline:
    """The larger of two quantities that both depend on the input."""
    if not isinstance(first, Polyline) or not isinstance(second, Polyline):
        raise refusal(func, "compares with a constant of another shape")
    if first.rows.ndim != second.rows.ndim:
        raise refusal(func, MIXES)
    return largest_of_two(*align(first, second))


def minimum(func: Func, first: Any, second: Any) -> Polyline:
    """The smaller of two quantities that both depend on the input."""
    return negate(func, maximum(func, negate(func, first), negate(func, second)))


def amax(func: Func, line: Polyline, dim: Any = (), keepdim: bool = False) -> Polyline:
    """The largest entry over dimensions."""
    dims = as_tuple(dim)
    if not dims or any(one % line.rows.ndim == 0 for one in dims):
        raise refusal(func, MIXES)
    return over_dimensions(line, dims, keepdim)


def amin(func: Func, line: Polyline, dim: Any = (), keepdim: bool = False) -> Polyline:
    """The smallest entry over dimensions."""
    return negate(func, amax(func, negate(func, line), dim, keepdim))


def largest(func: Func, first: Polyline, *args: Any, **kwargs: Any) -> Any:
    """`torch.max`: of two tensors, or of a dimension."""
    other = kwargs.get("other", args[0] if args else None)
    if isinstance(other, Tensor):
        return maximum(func, first, other)
    return LargestOf(amax(func, first, *args, **kwargs))


def smallest(func: Func, first: Polyline, *args: Any, **kwargs: Any) -> Any:
    """`torch.min`: of two tensors, or of a dimension."""
    other = kwargs.get("other", args[0] if args else None)
    if isinstance(other, Tensor):
        return minimum(func, first, other)
    return LargestOf(amin(func, first, *args, **kwargs))
