"""What a network runs beside affine functions and activations: it has no bits, or makes paths meaningless."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spaceprobe.folding.counted import Counted
from spaceprobe.folding.place import Place
from spaceprobe.folding.ray import RULES, function_name, is_getter, named
from spaceprobe.folding.tracked import Tracked, tracking

Func = Callable[..., Any]


KNOWN = set(RULES) | named("to float double type_as where new new_empty new_zeros resize_as_ zero_ copy_")
"""Functions without units of their own: affine ones, changes of type, a choice by a comparison, memory."""

INSTANCE_NORMS = named("instance_norm")
BATCH_NORMS = named("batch_norm")
FRACTIONAL_POOLS = named(
    "fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d "
    "fractional_max_pool3d_with_indices"
)
DROPOUTS = named(
    "dropout dropout_ dropout1d dropout2d dropout3d alpha_dropout alpha_dropout_ feature_dropout "
    "feature_alpha_dropout rrelu rrelu_"
)
DRAWS = named(
    "bernoulli bernoulli_ exponential_ gumbel_softmax multinomial normal_ rand_like randint_like randn_like "
    "uniform_"
)


ROUNDING = 1e-9
"""Chosen: far above the rounding of float64, relative to the largest pre-activation."""


def functions_passed_over(body: nn.Module, inputs: Tensor, place: Place, counted: Counted) -> tuple[str, ...]:
    """Return the functions before the last unit that may choose between inputs and do not count.

    Each with the module that calls it: max-pooling, a softmax, a normalisation over features.

    Raises:
        ValueError: if one of them draws at random or mixes the inputs of a batch.
    """
    met: list[str] = []
    num_counted = 0
    refusals: list[ValueError] = []

    def visit(*_unit: object) -> None:
        nonlocal num_counted
        num_counted = len(met)
        if refusals:
            raise refusals[0]

    def pass_over(func: Func, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        reason = why_not_walkable(func, args, kwargs)
        where = f"module {place.module!r}: " if place.module else ""
        if reason is not None:
            refusals.append(
                ValueError(f"{where}{function_name(func)} {reason}, so no method can walk its paths")
            )
        if not is_known(func, kwargs):
            name = function_name(func).rpartition(".")[2]
            met.append(f"{name} in {place.module!r}" if place.module else name)

    with tracking(visit, pass_over, visit if counted.has_windows else None, counted.bits):
        body(inputs.as_subclass(Tracked))
    return tuple(dict.fromkeys(met[:num_counted]))


def check_rows_apart(body: nn.Module, inputs: Tensor, place: Place) -> None:
    """Raise ValueError if an activation's input depends on the other inputs of a batch, or is random.

    Args:
        body: of a network.
        inputs: a batch of two equal inputs; one is run again in a batch of three, beside others.
        place: where a run of the network is.
    """

    def run(inputs: Tensor) -> list[tuple[str, Tensor]]:
        seen: list[tuple[str, Tensor]] = []
        with tracking(lambda z, _: seen.append((place.module, z[0].clone()))):
            body(inputs.as_subclass(Tracked))
        return seen

    others = torch.stack([inputs[0], inputs[0].flip(-1), inputs[0] / 2])
    for (module, z), (_, beside) in zip(run(inputs.clone()), run(others), strict=False):
        if z.shape != beside.shape or not bool(z.isfinite().all()):
            continue  # refused, or no certified walk, whatever the others are
        size = float(z.abs().max()) if z.numel() else 0.0
        if not torch.allclose(z, beside, rtol=0, atol=ROUNDING * size):
            where = f"in module {module!r} " if module else ""
            raise ValueError(
                f"what the activation {where}gets for an input depends on the other inputs of its batch, on "
                "their number, or is random, so an input has no pattern of its own and no method can walk "
                "its paths"
            )


def is_known(func: Func, kwargs: dict[str, Any]) -> bool:
    """Return whether a function has no units of its own."""
    if func in INSTANCE_NORMS:
        return not kwargs.get("use_input_stats", True)
    return func in KNOWN or is_getter(func)


def why_not_walkable(func: Func, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return why an input has no pattern of its own where a function is called; None if it has."""
    if func in BATCH_NORMS and (kwargs.get("training", False) or args[1] is None):
        return "normalises by the statistics of a batch, which mixes its inputs"
    if func in FRACTIONAL_POOLS and kwargs.get("_random_samples") is None:
        return "draws its windows at random (without _random_samples)"
    if func in DROPOUTS and kwargs.get("training", kwargs.get("train", args[-1] is True)):
        return "draws at random (training=True)"
    if func in DRAWS:
        return "draws at random"
    return None
