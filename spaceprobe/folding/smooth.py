"""Smooth activations, which are sampled: the bits of their units.

There are two kinds (`spaceprobe.folding.options.Bits`): the sign of the pre-activation, or the piece on which
the activation rises or falls throughout that it lies in, an equivalence class of arXiv 2503.08502. A function
that only rises is a single piece, and has no bits of the second kind.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from spaceprobe.folding.activations import Activation, short_name
from spaceprobe.folding.options import Bits
from spaceprobe.folding.ray import every_name

TURNS = {
    "gelu": -0.7517915246935645,
    "gelu by tanh": -0.7524614220710162,
    "silu": -1.278464542761074,
    "mish": -1.1924312145154952,
    "hardswish": -1.5,
}
"""Where a function that falls before it rises is least; a test compares each with torch's own."""

RISING = (
    "elu elu_ celu celu_ selu selu_ softplus sigmoid sigmoid_ tanh tanh_ logsigmoid softsign tanhshrink glu"
)


def smooth_functions() -> dict[Callable[..., Any], str | None]:
    """Return the functions of torch that are smooth, or quadratic in places, with their name in `TURNS`."""
    functions: dict[Callable[..., Any], str | None] = {}
    for name in RISING.split():
        functions |= dict.fromkeys(every_name(name))
    for name in TURNS:
        functions |= dict.fromkeys(every_name(name), name)
    return functions


SMOOTH = smooth_functions()
GATED = {*every_name("glu")}


def read_smooth(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], bits: Bits
) -> Activation | None:
    """Return the bits of a call of a smooth activation; None if it is none, or has none of this kind."""
    if func not in SMOOTH:
        return None
    kinks: tuple[float, ...] = (0.0,)
    if bits == "monotone":
        name = SMOOTH[func]
        if name is None:
            return None
        kinks = (TURNS["gelu by tanh" if kwargs.get("approximate") == "tanh" else name],)
    return Activation(kinks, lambda z: func(z, *args[1:], **kwargs), function=short_name(func))


def gate(func: Callable[..., Any], z: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return what an activation is applied to: its input, or of a GLU the half that its sigmoid gets."""
    if func not in GATED:
        return z
    dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
    return z.chunk(2, dim)[1]
