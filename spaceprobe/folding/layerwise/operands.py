"""The operands of a function, some of which are polylines: at common knots, beside each other, as rows."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spaceprobe.folding.layerwise.knots import Refinement, union
from spaceprobe.folding.layerwise.polyline import BATCH, Polyline
from spaceprobe.folding.ray import NotPiecewiseLinear, refusal, substitute

Rule = Callable[..., Any]
Func = Callable[..., Any]

MIXES = "mixes the inputs of a batch, or changes their number"


def lines_in(arguments: Any) -> list[Polyline]:
    """Return the polylines among arguments, in order, also inside lists."""
    if isinstance(arguments, Polyline):
        return [arguments]
    if isinstance(arguments, dict):
        arguments = list(arguments.values())
    if isinstance(arguments, list | tuple):
        return [line for item in arguments for line in lines_in(item)]
    return []


def first_line(arguments: Any) -> Polyline:
    """Return the first polyline among arguments."""
    return lines_in(arguments)[0]


def align(first: Polyline, second: Polyline) -> tuple[Polyline, Polyline]:
    """Return two polylines at common knots."""
    if first.knots is second.knots:
        return first, second
    first_way, second_way = union(first.knots, second.knots)
    return refined(first, first_way), refined(second, second_way)


def refined(line: Polyline, way: Refinement) -> Polyline:
    """Return a polyline at finer knots."""
    return Polyline.of(way.rows(line.rows), line.visit.refine_sizes(line.sizes, way), way.knots, line.visit)


def align_all(arguments: Any) -> Any:
    """Return arguments with all polylines in them at common knots."""
    lines = lines_in(arguments)
    if all(line.knots is lines[0].knots for line in lines):
        return arguments
    whole = lines[0]
    for line in lines[1:]:
        whole, _ = align(whole, line)
    return substitute(arguments, lambda x: align(x, whole)[0] if isinstance(x, Polyline) else x)


def constant_rows(constant: Tensor, num_dims: int, num_rows: int) -> Tensor:
    """Return a constant as it stands beside rows: one that was made for the whole batch has one row.

    Raises:
        NotPiecewiseLinear: if it differs from input to input.
    """
    if constant.ndim < num_dims or constant.ndim == 0 or constant.shape[0] != BATCH:
        return constant
    if constant.stride(0) != 0 and bool((constant != constant[:1]).any()):
        raise NotPiecewiseLinear("a constant of the network differs from input to input of a batch")
    return constant[:1].expand(num_rows, *constant.shape[1:])


def in_dtype(constant: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a constant as it stands beside rows of a dtype; whole numbers stay."""
    return constant.to(dtype) if constant.is_floating_point() else constant


def magnitude(x: Any) -> Any:
    """Return the size of a constant; one that only says where, such as an index, stays."""
    if isinstance(x, Tensor) and not x.is_floating_point():
        return x
    return abs(x)


def rows_of(x: Any) -> Any:
    """Return the rows of a polyline, or a constant as it is."""
    return x.rows if isinstance(x, Polyline) else x


def sizes_of(x: Any) -> Any:
    """Return the scale of a polyline, or the size of a constant."""
    return x.sizes if isinstance(x, Polyline) else magnitude(x)


def beside(func: Func, first: Any, second: Any) -> tuple[Any, Any]:
    """Return two operands as they stand beside each other, entry by entry.

    Raises:
        NotPiecewiseLinear: if broadcasting would give the first dimension another meaning.
    """
    line = first_line((first, second))
    num_dims, dtype = line.rows.ndim, line.rows.dtype
    operands = []
    for x in (first, second):
        if isinstance(x, Polyline) and x.rows.ndim != num_dims:
            raise refusal(func, MIXES)
        if isinstance(x, Tensor) and not isinstance(x, Polyline):
            if x.ndim > num_dims:
                raise refusal(func, MIXES)
            if x.ndim == num_dims and x.shape[0] == BATCH:
                x = constant_rows(x, num_dims, 1)
            if x.ndim == num_dims and x.shape[0] != 1:
                raise refusal(func, MIXES)
            x = in_dtype(x, dtype)
        operands.append(x)
    return operands[0], operands[1]


def as_tuple(dims: Any) -> tuple[int, ...]:
    """Return one dimension, or several, as a tuple."""
    return tuple(dims) if isinstance(dims, list | tuple) else (dims,)
