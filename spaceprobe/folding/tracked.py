"""The activations of any module at points: a tensor that tells of each activation it comes to.

It goes through every function of torch as any tensor does, and what comes out is tracked as well.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import torch
from torch import Tensor

from spaceprobe.folding.activations import Activation, read_activation, read_smooth
from spaceprobe.folding.ray import RULES

Visit = Callable[[Tensor, Activation], None]
PassOver = Callable[[Callable[..., Any]], None]


KNOWN = set(RULES) | {Tensor.to, Tensor.float, Tensor.double, Tensor.type_as, Tensor.where, torch.where}
"""Functions that have no units of their own: affine ones, changes of type, a choice by a comparison."""


class _Current(local):
    visit: Visit | None = None
    pass_over: PassOver | None = None


_current = _Current()


class Tracked(Tensor):
    """A tensor that depends on the input of a network."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Tracked":
        """Return itself: what a module kept of a run, no other run needs."""
        return self

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Tell of an activation, then run the function as it is."""
        kwargs = kwargs or {}
        activation = read_activation(func, args, kwargs) or read_smooth(func, args, kwargs)
        if activation is not None and _current.visit is not None:
            z = next(x for x in (*args, *kwargs.values()) if isinstance(x, Tracked))
            visit, _current.visit = _current.visit, None
            try:
                visit(z.as_subclass(Tensor), activation)
            finally:
                _current.visit = visit
        elif _current.pass_over is not None and func not in KNOWN:
            _current.pass_over(func)
        untyped: Any = super()  # torch declares no types here
        return untyped.__torch_function__(func, types, args, kwargs)


@contextmanager
def tracking(visit: Visit, pass_over: PassOver | None = None) -> Iterator[None]:
    """Tell of the activations that tracked tensors come to, with the pre-activation of each.

    Args:
        visit: called with pre-activation and activation, before the function runs.
        pass_over: called with each function that is neither an activation nor known to be affine.
    """
    before = _current.visit, _current.pass_over
    _current.visit, _current.pass_over = visit, pass_over
    try:
        yield
    finally:
        _current.visit, _current.pass_over = before
