"""What each function of torch does to polylines: affine ones act on rows, those that bend add knots.

Which functions are affine is declared once, with the rays (`spaceprobe.folding.ray.NAMES`); activations are
those of `spaceprobe.folding.activations`. Anything else is refused by name.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.folding import ray
from spaceprobe.folding.activations import read_activation
from spaceprobe.folding.layerwise.knots import Refinement, union
from spaceprobe.folding.layerwise.polyline import BATCH, Polyline
from spaceprobe.folding.layerwise.windows import POOLINGS, LargestOf, largest_of_two, over_dimensions
from spaceprobe.folding.ray import NotPiecewiseLinear, every_name, refusal, substitute

Rule = Callable[..., Any]
Func = Callable[..., Any]

MIXES = "mixes the inputs of a batch, or changes their number"


def apply(func: Func, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a function of torch makes of its arguments, some of which are polylines.

    Raises:
        NotPiecewiseLinear: for a function that is not known to be piecewise linear.
    """
    activation = read_activation(func, args, kwargs)
    if activation is not None:
        line = first_line((args, kwargs))
        output = line.visit.bend(line, activation)
        if not activation.in_place:
            return output
        line.overwrite(output)
        return line
    rule = RULES.get(func)
    if rule is None:
        raise refusal(func)
    return rule(func, *args, **kwargs)


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


def virtual(line: Polyline) -> Tensor:
    """Return a tensor without data of the shape that the network sees."""
    return torch.empty((BATCH, *line.rows.shape[1:]), dtype=line.rows.dtype, device="meta")


def metadata(func: Func, line: Polyline, *args: Any, **kwargs: Any) -> Any:
    """Shape, dtype and the like: those of a batch."""
    return func(virtual(line), *args, **kwargs)


def where_it_is(func: Func, line: Polyline, *args: Any, **kwargs: Any) -> Any:
    """Its device, and the like."""
    return func(line.rows, *args, **kwargs)


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


def structural(func: Func, *args: Any, **kwargs: Any) -> Any:
    """Functions that move, add up or average the entries of each input: the same for rows and for scales."""
    args, kwargs = align_all((args, kwargs))
    line = first_line((args, kwargs))
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
            return size(constant_rows(x, line.rows.ndim, num_rows))

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


def magnitude(x: Any) -> Any:
    """Return the size of a constant; one that only says where, such as an index, stays."""
    if isinstance(x, Tensor) and not x.is_floating_point():
        return x
    return abs(x)


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


def as_tuple(dims: Any) -> tuple[int, ...]:
    """Return one dimension, or several, as a tuple."""
    return tuple(dims) if isinstance(dims, list | tuple) else (dims,)


def pad(func: Func, line: Polyline, pad: Any, mode: str = "constant", value: float | None = None) -> Polyline:
    """Padding of any dimension but the first."""
    if len(pad) // 2 >= line.rows.ndim:
        raise refusal(func, MIXES)
    sizes = func(line.sizes, pad, mode, None if value is None else abs(value))
    return Polyline.of(func(line.rows, pad, mode, value), sizes, line.knots, line.visit)


def dropout(func: Func, line: Polyline, *_args: Any, training: bool = True, **_others: Any) -> Polyline:
    """Dropout outside training does nothing."""
    if training:
        raise refusal(func, "draws at random while training")
    return line


def add(_func: Func, first: Any, second: Any, *, alpha: float = 1) -> Polyline:
    """A sum."""
    return combine(first, second, alpha)


def subtract(_func: Func, first: Any, second: Any, *, alpha: float = 1) -> Polyline:
    """A difference."""
    return combine(first, second, -alpha)


def subtract_from(_func: Func, first: Any, second: Any) -> Polyline:
    """`Tensor.__rsub__`: the second minus the first."""
    return combine(second, first, -1)


def combine(first: Any, second: Any, factor: float) -> Polyline:
    """Return first + factor·second."""
    first, second = align_all((first, second))
    line = first_line((first, second))
    first, second = beside(torch.add, first, second)
    rows = rows_of(first) + factor * rows_of(second)
    sizes = sizes_of(first) + abs(factor) * sizes_of(second)
    return Polyline.of(rows, sizes, line.knots, line.visit)


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
    num_dims = first_line((first, second)).rows.ndim
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
        operands.append(x)
    return operands[0], operands[1]


def multiply(func: Func, first: Any, second: Any) -> Polyline:
    """A product with a constant, entry by entry, or of two quantities of which one is constant in steps."""
    if isinstance(first, Polyline) and isinstance(second, Polyline):
        return multiply_steps(func, first, second)
    first, second = beside(func, first, second)
    line = first_line((first, second))
    rows, sizes = func(rows_of(first), rows_of(second)), func(sizes_of(first), sizes_of(second))
    return Polyline.of(rows, sizes, line.knots, line.visit)


def multiply_steps(func: Func, first: Polyline, second: Polyline) -> Polyline:
    """A product of which one factor is constant on every interval, such as a comparison's result."""
    first, second = align(first, second)
    if first.rows.ndim != second.rows.ndim:
        raise refusal(func, MIXES)
    knots = first.knots
    starts = knots.is_joined.nonzero().squeeze(1)
    if not any(torch.equal(line.rows[starts], line.rows[starts + 1]) for line in (first, second)):
        raise refusal(func, "multiplies two quantities that both depend on the input")
    return Polyline.of(first.rows * second.rows, first.sizes * second.sizes, knots, first.visit)


def choose(func: Func, condition: Any, first: Any, second: Any) -> Polyline:
    """`torch.where`: the first where a condition holds, else the second."""
    if not isinstance(condition, Polyline):
        raise refusal(func, "chooses by a condition that does not depend on the input")
    chosen = multiply(torch.mul, condition, first)
    other = multiply(torch.mul, combine(1, condition, -1), second)
    return combine(chosen, other, 1)


def multiply_matrix(func: Func, first: Any, second: Any) -> Polyline:
    """A matrix product with a constant, from either side."""
    if isinstance(first, Polyline) and isinstance(second, Polyline):
        raise refusal(func, "multiplies two quantities that both depend on the input")
    line = first_line((first, second))
    constant = second if isinstance(first, Polyline) else first
    num_dims = line.rows.ndim
    if constant.ndim == num_dims and num_dims > 2 and constant.shape[0] == BATCH:
        constant = constant_rows(constant, num_dims, 1)
    is_batch_apart = num_dims > 2 or (num_dims == 2 and isinstance(first, Polyline))
    if not is_batch_apart or (constant.ndim > 2 and (constant.ndim > num_dims or constant.shape[0] != 1)):
        raise refusal(func, MIXES)

    def product(x: Tensor, matrix: Tensor) -> Tensor:
        return torch.matmul(x, matrix) if isinstance(first, Polyline) else torch.matmul(matrix, x)

    sizes = product(line.sizes**2, constant**2).sqrt()
    return Polyline.of(product(line.rows, constant), sizes, line.knots, line.visit)


def divide(func: Func, first: Any, second: Any, *, rounding_mode: str | None = None) -> Polyline:
    """A quotient by a constant."""
    if isinstance(second, Polyline):
        raise refusal(func, "divides by a quantity that depends on the input")
    if rounding_mode is not None:
        raise refusal(func, "rounds")
    return multiply(func, first, second)


def negate(_func: Func, line: Polyline) -> Polyline:
    """The negative."""
    return Polyline.of(-line.rows, line.sizes, line.knots, line.visit)


def weighted(
    func: Func, input: Any, weight: Any, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Polyline:
    """Linear layers and convolutions; errors of many terms add up like independent ones."""
    if not isinstance(input, Polyline) or isinstance(weight, Polyline) or isinstance(bias, Polyline):
        raise refusal(func, "has weights that depend on the input")
    is_batch_apart = input.rows.ndim > 1 if func is F.linear else input.rows.ndim == weight.ndim
    if not is_batch_apart:
        raise refusal(func, MIXES)
    squares = func(input.sizes**2, weight**2, None if bias is None else bias**2, *args, **kwargs)
    rows = func(input.rows, weight, bias, *args, **kwargs)
    return Polyline.of(rows, squares.sqrt(), input.knots, input.visit)


def addmm(_func: Func, bias: Any, first: Any, second: Any, *, beta: float = 1, alpha: float = 1) -> Polyline:
    """A matrix product and a sum in one."""
    scaled = multiply(torch.mul, multiply_matrix(torch.matmul, first, second), alpha)
    return combine(scaled, bias, beta)


def batch_norm(
    func: Func,
    input: Polyline,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Polyline:
    """Batch normalisation with frozen statistics."""
    if training or running_mean is None or running_var is None:
        raise refusal(func, "mixes the images of a batch while training")
    rows = F.batch_norm(input.rows, running_mean, running_var, weight, bias, False, momentum, eps)
    weight, bias = (None if x is None else x.abs() for x in (weight, bias))
    sizes = F.batch_norm(input.sizes, -running_mean.abs(), running_var, weight, bias, False, momentum, eps)
    return Polyline.of(rows, sizes, input.knots, input.visit)


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


def cast(func: Func, line: Polyline, *args: Any, **kwargs: Any) -> Polyline:
    """A change of dtype or device; everything stays in float64."""
    wanted = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.dtype)]
    if func in WHOLE_NUMBERS or any(not dtype.is_floating_point for dtype in wanted):
        raise refusal(func, "rounds to whole numbers")
    return line


def in_place(rule: Rule, out_of_place: Func) -> Rule:
    """Return the rule of the function with an underscore."""

    def rule_in_place(func: Func, target: Any, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(target, Polyline):
            raise refusal(func, "writes a quantity that depends on the input into a constant")
        target.overwrite(rule(out_of_place, target, *args, **kwargs))
        return target

    return rule_in_place


def named(names: str) -> set[Func]:
    """Return the functions with some names."""
    return {func for name in names.split() for func in every_name(name)}


MATRIX_PRODUCTS = named("matmul __matmul__ __rmatmul__ mm bmm mv")
EXPANDS = named("expand expand_as broadcast_to")
RESHAPES = named("view reshape view_as reshape_as ravel") | EXPANDS
MOVERS: dict[Func, Callable[..., tuple[int, ...]]] = (
    dict.fromkeys(named("flip"), flipped)
    | dict.fromkeys(named("roll"), rolled)
    | dict.fromkeys(named("index_select"), selected)
)
AFFINE: dict[Rule, Rule] = {
    ray.metadata: metadata,
    ray.linear: structural,
    ray.pad: pad,
    ray.dropout: dropout,
    ray.add: add,
    ray.subtract: subtract,
    ray.subtract_from: subtract_from,
    ray.multiply: multiply,
    ray.divide: divide,
    ray.negate: negate,
    ray.weighted: weighted,
    ray.addmm: addmm,
    ray.batch_norm: batch_norm,
}
"""What stands here for each kind of affine function that rays know."""

BENDS: dict[Rule, str] = {
    maximum: "maximum fmax",
    minimum: "minimum fmin",
    largest: "max",
    smallest: "min",
    amax: "amax",
    amin: "amin",
    choose: "where",
    cast: "to type_as float double half bfloat16 long int bool",
}
WHOLE_NUMBERS = named("long int bool")
PLACES = "device is_cuda"


def rule_table() -> dict[Func, Rule]:
    """Return the rule of every function that a polyline may go through."""
    table = {func: AFFINE[rule] for func, rule in ray.RULES.items() if rule in AFFINE}
    table |= dict.fromkeys(MATRIX_PRODUCTS, multiply_matrix)
    table |= {getattr(Tensor, name).__get__: where_it_is for name in PLACES.split()}
    table |= {func: rule for rule, names in BENDS.items() for func in named(names)}
    table |= {func: rule for name, rule in POOLINGS.items() for func in every_name(name)}
    for name, rule in ray.IN_PLACE.items():
        by_name = in_place(AFFINE[rule], getattr(torch, name))
        operators = [f"{name}_", f"__i{name}__"] + (["__itruediv__"] if name == "div" else [])
        table |= {func: by_name for operator in operators for func in every_name(operator)}
    return table


RULES = rule_table()
