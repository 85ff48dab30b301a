"""Functions that move, add up or average the entries of each input, and those that ask for a shape."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spaceprobe.folding.layerwise.averages import average_pool
from spaceprobe.folding.layerwise.operands import (
    MIXES,
    Func,
    align_all,
    as_tuple,
    constant_rows,
    first_line,
    in_dtype,
    magnitude,
)
from spaceprobe.folding.layerwise.polyline import BATCH, Polyline
from spaceprobe.folding.ray import named, refusal, substitute

EXPANDS = named("expand expand_as broadcast_to")
FASTER: dict[Func, Func] = dict.fromkeys(named("avg_pool2d"), average_pool)
"""What is run in place of functions that torch runs slowly on many rows."""

RESHAPES = named("view reshape view_as reshape_as ravel") | EXPANDS


def virtual(line: Polyline) -> Tensor:
    """Return a tensor without data of the shape that the network sees."""
    return torch.empty((BATCH, *line.rows.shape[1:]), dtype=line.rows.dtype, device="meta")


def metadata(func: Func, line: Polyline, *args: Any, **kwargs: Any) -> Any:
    """Shape, dtype and the like: those of a batch."""
    return func(virtual(line), *args, **kwargs)


def where_it_is(func: Func, line: Polyline, *args: Any, **kwargs: Any) -> Any:
    """Its device, and the like."""
    return func(line.rows, *args, **kwargs)


def structural(func: Func, *args: Any, **kwargs: Any) -> Any:
    """Functions that move, add up or average the entries of each input: the same for rows and for scales."""
    args, kwargs = align_all((args, kwargs))
    line = first_line((args, kwargs))
    func = FASTER.get(func, func)
    check_dimensions(func, line, args[1:], kwargs)
    expected = call(func, args, kwargs, as_virtual)
    if isinstance(expected, Tensor):
        return structural_output(func, args, kwargs, line, expected, None)
    outputs = (
        structural_output(func, args, kwargs, line, one, number) for number, one in enumerate(expected)
    )
    return type(expected)(outputs)


def structural_output(
    func: Func,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    line: Polyline,
    expected: Tensor,
    number: int | None,
) -> Polyline:
    """Return the output of a structural function, or the one of a number; a view where torch makes one.

    Raises:
        NotPiecewiseLinear: if the rows of the output are not those of the inputs.
    """
    if expected.shape[:1] != (BATCH,):
        raise refusal(func, MIXES)

    def run(part: Callable[[Polyline], Tensor], num_rows: int, size: Callable[[Tensor], Tensor]) -> Tensor:
        if func in RESHAPES:
            shape = (num_rows, *expected.shape[1:])
            whole = part(line)
            return whole.expand(shape) if func in EXPANDS else whole.reshape(shape)

        def convert(x: Tensor) -> Tensor:
            if isinstance(x, Polyline):
                return part(x)
            return size(in_dtype(constant_rows(x, line.rows.ndim, num_rows), line.rows.dtype))

        output = call(func, args, kwargs, convert)
        chosen: Tensor = output if number is None else output[number]
        return chosen

    value = run(lambda x: x.rows, len(line.rows), lambda x: x)
    if value.shape != (len(line.rows), *expected.shape[1:]):
        raise refusal(func, MIXES)
    if value.untyped_storage().data_ptr() == line.rows.untyped_storage().data_ptr():

        def replay(whole: Tensor) -> Tensor:
            return run(lambda _: whole, len(whole), lambda x: x)

        return Polyline.on(line.memory, (*line.replay, replay), line.visit)
    return Polyline.of(value, run(lambda x: x.sizes, len(line.sizes), magnitude), line.knots, line.visit)


def call(func: Func, args: Any, kwargs: dict[str, Any], part: Callable[[Tensor], Tensor]) -> Any:
    """Run a function with each tensor among its arguments replaced."""
    return func(*substitute(args, part), **{key: substitute(x, part) for key, x in kwargs.items()})


def as_virtual(x: Tensor) -> Tensor:
    """Return what stands for a tensor where only shapes are asked."""
    if isinstance(x, Polyline):
        return virtual(x)
    return x.to("meta") if x.is_floating_point() else x


def check_dimensions(func: Func, line: Polyline, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse what would move rows without changing their number.

    Raises:
        NotPiecewiseLinear: for an index of, a flip along or a roll of the first dimension.
    """
    num_dims = line.rows.ndim
    if func is Tensor.__getitem__:
        index = args[0] if isinstance(args[0], tuple) else (args[0],)
        num_taken = sum(1 for item in index if item is not None and item is not Ellipsis)
        keeps = index and (
            (isinstance(index[0], slice) and index[0] == slice(None))
            or (index[0] is Ellipsis and num_taken < num_dims)
        )
        if not keeps:
            raise refusal(func, MIXES)
    if func in MOVERS and any(dim % num_dims == 0 for dim in MOVERS[func](*args, **kwargs)):
        raise refusal(func, MIXES)


def flipped(*dims: Any, **kwargs: Any) -> tuple[int, ...]:
    """Return the dimensions that a flip is along."""
    return as_tuple(kwargs.get("dims", dims[0] if dims and not isinstance(dims[0], int) else dims))


def rolled(_shifts: Any = None, dims: Any = None, **_shift: Any) -> tuple[int, ...]:
    """Return the dimensions that a roll is along; without any it is along all."""
    return (0,) if dims is None else as_tuple(dims)


def selected(dim: int, index: Any = None) -> tuple[int, ...]:  # noqa: ARG001 - torch's own signature
    """Return the dimension that an index is of."""
    return (dim,)


def pad(func: Func, line: Polyline, pad: Any, mode: str = "constant", value: float | None = None) -> Polyline:
    """Padding of any dimension but the first."""
    if len(pad) // 2 >= line.rows.ndim:
        raise refusal(func, MIXES)
    sizes = func(line.sizes, pad, mode, None if value is None else abs(value))
    return Polyline.of(func(line.rows, pad, mode, value), sizes, line.knots, line.visit)


MOVERS: dict[Func, Callable[..., tuple[int, ...]]] = (
    dict.fromkeys(named("flip"), flipped)
    | dict.fromkeys(named("roll"), rolled)
    | dict.fromkeys(named("index_select"), selected)
)
