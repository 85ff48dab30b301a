"""A tensor that knows how it moves along the path: value, slope and size, carried through a module.

Inside one linear region everything that a piecewise-linear network computes is affine in t. A `Ray` is
such a quantity at one t: its value, its derivative in t (the tangent, as `torch.func.jvp` would give it)
and its scale, the sum of the absolute values of what it was summed from: scale starts at the input and is
carried along as |W|·scale + |bias| (docs/definitions.md, "Settling"). The scale tells zero from rounding.

A module runs on a ray unchanged. Each function that it calls is looked up in `RULES`: functions that are
affine in their input map the three parts each in its own way, and anything else is refused by name, because
an exact walk through it would be wrong. A ReLU never gets here: the
walk handles it itself (`spaceprobe.folding.relus.Relus`).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor
from torch.overrides import resolve_name

Rule = Callable[..., Any]


class Ray(Tensor):
    """A batch of quantities that are affine in t; as a tensor it is its value.

    Attributes:
        value: at the t of each path.
        tangent: the derivative in t, of the same shape.
        scale: the sum of the absolute values of the terms, of the same shape.
    """

    value: Tensor
    tangent: Tensor
    scale: Tensor

    @staticmethod
    def of(value: Tensor, tangent: Tensor, scale: Tensor) -> "Ray":
        """Return the ray with these parts."""
        ray = value.as_subclass(Ray)
        ray.value, ray.tangent, ray.scale = value, tangent, scale
        return ray

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Apply the rule of a torch function.

        Raises:
            NotPiecewiseLinear: for a function that is not known to be piecewise linear.
        """
        rule = RULES.get(func)
        if rule is None:
            raise refusal(func)
        with torch._C.DisableTorchFunctionSubclass():
            return rule(func, *args, **(kwargs or {}))


class NotPiecewiseLinear(Exception):  # noqa: N818 - the public error is a TypeError
    """An exact walk came to a function that is not piecewise linear.

    No TypeError here: torch takes one that comes out of an operator for "these operands do not mix" and
    loses the message.
    """


def refusal(func: Callable[..., Any], why: str = "is not known to be piecewise affine") -> NotPiecewiseLinear:
    """Return the error for a function through which no exact path can be walked."""
    return NotPiecewiseLinear(
        f"{function_name(func)} {why}, so the linear regions of this network cannot be walked exactly: "
        'use method="sampled"'
    )


def function_name(func: Callable[..., Any]) -> str:
    """Return the name of a function of torch; of a getter that of the property."""
    name = str(resolve_name(func) or getattr(func, "__name__", repr(func)))
    return name.removesuffix(".__get__")


def is_getter(func: Callable[..., Any]) -> bool:
    """Return whether a function reads a property of a tensor."""
    return getattr(func, "__name__", "") == "__get__"


def substitute(argument: Any, part: Callable[[Any], Any]) -> Any:
    """Return an argument with every tensor in it, also inside lists, replaced by its part."""
    if isinstance(argument, list | tuple) and not isinstance(argument, torch.Size):
        return type(argument)(substitute(item, part) for item in argument)
    return part(argument) if isinstance(argument, Tensor) else argument


def metadata(func: Rule, *args: Any, **kwargs: Any) -> Any:
    """Shape, dtype and the like: asked of the value."""
    return func(*args, **kwargs)


def linear(func: Rule, *args: Any, **kwargs: Any) -> Any:
    """Functions that move, add up or average entries with weights of at least 0: the same for all parts.

    A constant beside the ray, such as in `torch.cat`, does not move: its tangent is 0.
    """
    value, tangent, scale = (
        func(*substitute(args, part), **{key: substitute(x, part) for key, x in kwargs.items()})
        for part in (
            lambda x: x.value if isinstance(x, Ray) else x,
            lambda x: (
                x.tangent if isinstance(x, Ray) else torch.zeros_like(x) if x.is_floating_point() else x
            ),
            lambda x: x.scale if isinstance(x, Ray) else x.abs() if x.is_floating_point() else x,
        )
    )
    if isinstance(value, Tensor):
        return Ray.of(value, tangent, scale)
    return type(value)(Ray.of(*parts) for parts in zip(value, tangent, scale, strict=True))


def pad(func: Rule, x: Ray, pad: Any, mode: str = "constant", value: int | float | None = None) -> Ray:
    """Padding; a constant other than 0 does not move."""
    if value is None or mode != "constant":
        return Ray.of(*(func(part, pad, mode, value) for part in (x.value, x.tangent, x.scale)))
    return Ray.of(func(x.value, pad, mode, value), func(x.tangent, pad), func(x.scale, pad, mode, abs(value)))


def dropout(func: Rule, x: Ray, *_args: Any, training: bool = True, **_others: Any) -> Ray:
    """Dropout outside training does nothing."""
    if training:
        raise refusal(func, "draws at random while training")
    return x


def add(_func: Rule, first: Any, second: Any, *, alpha: int | float = 1) -> Ray:
    """A sum of two rays, or of a ray and a constant."""
    return combine(first, second, alpha)


def subtract(_func: Rule, first: Any, second: Any, *, alpha: int | float = 1) -> Ray:
    """A difference of two rays, or of a ray and a constant."""
    return combine(first, second, -alpha)


def subtract_from(_func: Rule, first: Any, second: Any) -> Ray:
    """`Tensor.__rsub__`: the second minus the first."""
    return combine(second, first, -1)


def combine(first: Any, second: Any, factor: int | float) -> Ray:
    """Return first + factor·second."""
    values, tangents, scales = zip(parts_of(first), parts_of(second), strict=True)
    return Ray.of(
        values[0] + factor * values[1],
        # zeros of a constant are added as well: it may give the sum a larger shape
        tangents[0] + factor * tangents[1],
        scales[0] + abs(factor) * scales[1],
    )


def parts_of(x: Any) -> tuple[Any, Any, Any]:
    """Return value, tangent and scale of a ray, or of a constant tensor or number."""
    if isinstance(x, Ray):
        return x.value, x.tangent, x.scale
    return x, x * 0, abs(x)


def multiply(func: Rule, first: Any, second: Any) -> Ray:
    """A product with a constant, also as a matrix and from either side."""
    if isinstance(first, Ray) and isinstance(second, Ray):
        raise refusal(func, "multiplies two quantities that both depend on the input")
    if isinstance(first, Ray):
        return Ray.of(func(first.value, second), func(first.tangent, second), func(first.scale, abs(second)))
    return Ray.of(func(first, second.value), func(first, second.tangent), func(abs(first), second.scale))


def divide(func: Rule, first: Any, second: Any, *, rounding_mode: str | None = None) -> Ray:
    """A quotient by a constant."""
    if isinstance(second, Ray):
        raise refusal(func, "divides by a quantity that depends on the input")
    if rounding_mode is not None:
        raise refusal(func, "rounds")
    return multiply(func, first, second)


def negate(_func: Rule, x: Ray) -> Ray:
    """The negative."""
    return Ray.of(-x.value, -x.tangent, x.scale)


def weighted(
    func: Rule,
    input: Any,
    weight: Any,
    bias: Tensor | None = None,
    *args: Any,
    **kwargs: Any,
) -> Ray:
    """Linear layers and convolutions: only the value gets the bias."""
    if isinstance(weight, Ray) or isinstance(bias, Ray):
        raise refusal(func, "has weights that depend on the input")
    bound = None if bias is None else bias.abs()
    return Ray.of(
        func(input.value, weight, bias, *args, **kwargs),
        func(input.tangent, weight, None, *args, **kwargs),
        func(input.scale, weight.abs(), bound, *args, **kwargs),
    )


def addmm(
    _func: Rule, bias: Any, first: Any, second: Any, *, beta: int | float = 1, alpha: int | float = 1
) -> Ray:
    """A matrix product and a sum in one."""
    product = multiply(torch.matmul, first, second)
    scaled = multiply(torch.mul, product, alpha)
    return combine(scaled, bias, beta)


OWN_STATISTICS = "divides by a statistic of its input"


def batch_norm(
    _func: Rule,
    input: Ray,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Ray:
    """Batch normalisation with frozen statistics: (x - mean)·weight / std + bias."""
    if training or running_mean is None or running_var is None:
        raise refusal(_func, "mixes the images of a batch while training")
    zeros = torch.zeros_like(running_mean)
    sizes = [None if x is None else x.abs() for x in (weight, bias)]

    def run(x: Tensor, mean: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        return F.batch_norm(x, mean, running_var, weight, bias, False, momentum, eps)

    return Ray.of(
        run(input.value, running_mean, weight, bias),
        run(input.tangent, zeros, weight, None),
        run(input.scale, -running_mean.abs(), *sizes),
    )


def instance_norm(
    _func: Rule,
    input: Ray,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Ray:
    """Instance normalisation with frozen statistics, which is then that of a batch."""
    if use_input_stats:
        raise refusal(_func, OWN_STATISTICS)
    return batch_norm(F.batch_norm, input, running_mean, running_var, weight, bias, False, momentum, eps)


def overwrite(target: Tensor, source: Tensor) -> Tensor:
    """Write a result into a tensor or ray, and so into everything that shares its memory."""
    if isinstance(target, Ray) and isinstance(source, Ray):
        target.value.copy_(source.value)
        target.tangent.copy_(source.tangent)
        target.scale.copy_(source.scale)
        return target
    return target.copy_(source)


def in_place(rule: Rule, out_of_place: Rule) -> Rule:
    """Return the rule of the function with an underscore."""

    def rule_in_place(func: Rule, target: Any, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(target, Ray):
            raise refusal(func, "writes a quantity that depends on the input into a constant")
        return overwrite(target, rule(out_of_place, target, *args, **kwargs))

    return rule_in_place


# A function of torch goes by several names: torch.relu, F.relu, Tensor.relu. Every one that there is
# gets the rule.
NAMES: dict[Rule, str] = {
    metadata: "size dim ndimension numel nelement is_floating_point is_complex is_contiguous stride __len__",
    linear: (
        "reshape view view_as reshape_as flatten unflatten ravel permute transpose swapaxes swapdims "
        "movedim moveaxis t squeeze unsqueeze contiguous clone detach expand expand_as "
        "broadcast_to repeat repeat_interleave tile narrow select index_select __getitem__ unbind "
        "chunk split tensor_split roll flip sum mean cat concat concatenate stack hstack vstack "
        "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
        "adaptive_avg_pool3d pixel_shuffle pixel_unshuffle unfold diagonal"
    ),
    pad: "pad",
    dropout: "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout",
    add: "add __add__ __radd__",
    subtract: "sub subtract __sub__",
    subtract_from: "__rsub__ rsub",
    multiply: "mul multiply __mul__ __rmul__ matmul __matmul__ mm bmm mv",
    divide: "div divide true_divide __truediv__",
    negate: "neg negative __neg__",
    weighted: "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    addmm: "addmm baddbmm",
    batch_norm: "batch_norm",
    instance_norm: "instance_norm",
}
PROPERTIES = (
    "shape dtype device ndim layout is_cuda is_sparse is_quantized requires_grad is_meta is_nested is_leaf "
    "is_cpu itemsize nbytes grad_fn"
)
TRANSPOSES = "T mT"
IN_PLACE: dict[str, Rule] = {
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "div": divide,
}


def every_name(name: str) -> list[Rule]:
    """Return the functions of torch with a name."""
    homes = (torch, Tensor, F)
    return [getattr(home, name) for home in homes if callable(getattr(home, name, None))]


def named(names: str) -> set[Rule]:
    """Return the functions of torch with some names."""
    return {func for name in names.split() for func in every_name(name)}


def rule_table() -> dict[Rule, Rule]:
    """Return the rule of every function that a ray may go through."""
    table = {
        func: rule for rule, names in NAMES.items() for name in names.split() for func in every_name(name)
    }
    table |= {getattr(Tensor, name).__get__: metadata for name in PROPERTIES.split()}
    table |= {getattr(Tensor, name).__get__: linear for name in TRANSPOSES.split()}
    # torch.batch_norm and torch.instance_norm take their arguments in another order than those of F.
    table.pop(torch.batch_norm)
    table.pop(torch.instance_norm)
    for name, rule in IN_PLACE.items():
        by_name = in_place(rule, getattr(torch, name))
        operators = [f"{name}_", f"__i{name}__"] + (["__itruediv__"] if name == "div" else [])
        table |= {func: by_name for operator in operators for func in every_name(operator)}
    return table


RULES = rule_table()
