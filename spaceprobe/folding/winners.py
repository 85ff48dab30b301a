"""Windows at points: the functions that choose among entries of each input, and which entry they choose.

A window is one output of max-pooling, of a maximum or minimum of two tensors, or of one over dimensions. Of
several equal entries the first wins.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.folding.ray import every_name

Func = Callable[..., Any]

MIXES = "a maximum over the first dimension mixes the inputs of a batch, so its switches cannot be counted"


def of_pool(pool: Func, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return the place of the largest entry of each window of images, in its channel."""
    winner: Tensor = pool(x, *args, **kwargs | {"return_indices": True})[1]
    return winner


def of_two(is_largest: bool, first: Tensor, second: Tensor) -> Tensor:
    """Return 1 where the second of two tensors wins, else 0."""
    return second > first if is_largest else second < first


def of_dimensions(is_largest: bool, x: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Return which entry over some dimensions wins.

    Raises:
        ValueError: if the batch is one of them.
    """
    dims = [one % x.ndim for one in (dim if isinstance(dim, list | tuple) else [dim])]
    if not dims or 0 in dims:
        raise ValueError(MIXES)
    entries = x.movedim(sorted(dims), list(range(-len(dims), 0))).flatten(-len(dims))
    winner = entries.argmax(-1) if is_largest else entries.argmin(-1)
    return (
        winner.view([1 if place in dims else size for place, size in enumerate(x.shape)])
        if keepdim
        else winner
    )


def of_either(is_largest: bool, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return the winners of `torch.max` or `torch.min`: of two tensors, or of a dimension."""
    if args and isinstance(args[0], Tensor):
        return of_two(is_largest, x, args[0])
    return of_dimensions(is_largest, x, *args, **kwargs)


POOLS = "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"

NAMES: Mapping[str, Func] = {name: partial(of_pool, getattr(F, name)) for name in POOLS.split()} | {
    "maximum": partial(of_two, True),
    "fmax": partial(of_two, True),
    "minimum": partial(of_two, False),
    "fmin": partial(of_two, False),
    "max": partial(of_either, True),
    "min": partial(of_either, False),
    "amax": partial(of_dimensions, True),
    "amin": partial(of_dimensions, False),
}

WINDOWS: dict[Func, Func] = {func: winners for name, winners in NAMES.items() for func in every_name(name)}
"""What returns the winners, for each function of torch that chooses; of a comparison with a constant it is an
activation."""


def winners(func: Func, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the winner of each window of a call of one of `WINDOWS`, of the shape of its output.

    Raises:
        ValueError: if it mixes the inputs of a batch.
    """
    if "input" in kwargs:
        args, kwargs = (kwargs["input"], *args), {k: v for k, v in kwargs.items() if k != "input"}
    if "other" in kwargs:
        args, kwargs = (*args, kwargs["other"]), {k: v for k, v in kwargs.items() if k != "other"}
    chosen: Tensor = WINDOWS[func](*args, **kwargs)
    return chosen
