"""Sums, products with constants, linear layers and normalisations with frozen statistics."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.folding.layerwise.anchors import anchored
from spaceprobe.folding.layerwise.convolution import convolve
from spaceprobe.folding.layerwise.operands import (
    MIXES,
    Func,
    align,
    align_all,
    beside,
    constant_rows,
    first_line,
    rows_of,
    sizes_of,
)
from spaceprobe.folding.layerwise.polyline import BATCH, Polyline
from spaceprobe.folding.ray import OWN_STATISTICS, named, refusal

CONVOLUTIONS = named("conv2d")
MATRIX_PRODUCTS = named("matmul __matmul__ __rmatmul__ mm bmm mv")


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

    line = anchored(line)
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
    run = convolve if func in CONVOLUTIONS else func
    input = anchored(input)
    squared = input.visit.squared
    squares = run(input.sizes**2, squared(weight), None if bias is None else squared(bias), *args, **kwargs)
    rows = run(input.rows, weight, bias, *args, **kwargs)
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


def instance_norm(
    func: Func,
    input: Polyline,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Polyline:
    """Instance normalisation with frozen statistics, which is then that of a batch."""
    if use_input_stats:
        raise refusal(func, OWN_STATISTICS)
    return batch_norm(func, input, running_mean, running_var, weight, bias, False, momentum, eps)
