"""What each function of torch does to polylines: affine ones act on rows, those that bend add knots.

Which functions are affine is declared once, with the rays (`spaceprobe.folding.ray.NAMES`); activations are
those of `spaceprobe.folding.activations`. Anything else is refused by name.
"""

from typing import Any

import torch
from torch import Tensor

from spaceprobe.folding import ray
from spaceprobe.folding.activations import read_activation
from spaceprobe.folding.layerwise import arithmetic, extremes, structure
from spaceprobe.folding.layerwise.operands import Func, Rule, first_line
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.layerwise.windows import POOLINGS
from spaceprobe.folding.ray import every_name, named, refusal


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


AFFINE: dict[Rule, Rule] = {
    ray.metadata: structure.metadata,
    ray.linear: structure.structural,
    ray.pad: structure.pad,
    ray.dropout: arithmetic.dropout,
    ray.add: arithmetic.add,
    ray.subtract: arithmetic.subtract,
    ray.subtract_from: arithmetic.subtract_from,
    ray.multiply: arithmetic.multiply,
    ray.divide: arithmetic.divide,
    ray.negate: arithmetic.negate,
    ray.weighted: arithmetic.weighted,
    ray.addmm: arithmetic.addmm,
    ray.batch_norm: arithmetic.batch_norm,
    ray.instance_norm: arithmetic.instance_norm,
}
"""What stands here for each kind of affine function that rays know."""


BENDS: dict[Rule, str] = {
    extremes.maximum: "maximum fmax",
    extremes.minimum: "minimum fmin",
    extremes.largest: "max",
    extremes.smallest: "min",
    extremes.amax: "amax",
    extremes.amin: "amin",
    arithmetic.choose: "where",
    cast: "to type_as float double half bfloat16 long int bool",
}
WHOLE_NUMBERS = named("long int bool")
PLACES = "device is_cuda is_cpu"


def rule_table() -> dict[Func, Rule]:
    """Return the rule of every function that a polyline may go through."""
    table = {func: AFFINE[rule] for func, rule in ray.RULES.items() if rule in AFFINE}
    table |= dict.fromkeys(arithmetic.MATRIX_PRODUCTS, arithmetic.multiply_matrix)
    table |= {getattr(Tensor, name).__get__: structure.where_it_is for name in PLACES.split()}
    table |= {func: rule for rule, names in BENDS.items() for func in named(names)}
    table |= {func: rule for name, rule in POOLINGS.items() for func in every_name(name)}
    for name, rule in ray.IN_PLACE.items():
        by_name = in_place(AFFINE[rule], getattr(torch, name))
        operators = [f"{name}_", f"__i{name}__"] + (["__itruediv__"] if name == "div" else [])
        table |= {func: by_name for operator in operators for func in every_name(operator)}
    return table


RULES = rule_table()
