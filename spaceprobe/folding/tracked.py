"""The activations of any module at points: a tensor that tells of each activation it comes to.

It goes through every function of torch as any tensor does, and what comes out is tracked as well.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import torch
from torch import Tensor

from spaceprobe.folding.activations import Activation, read_activation, short_name
from spaceprobe.folding.options import Bits
from spaceprobe.folding.smooth import gate, read_smooth
from spaceprobe.folding.winners import WINDOWS, winners

Visit = Callable[[Tensor, Activation], None]
Choose = Callable[[Tensor, str, tuple[int, ...]], None]
PassOver = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], None]


class _Current(local):
    visit: Visit | None = None
    pass_over: PassOver | None = None
    bits: Bits = "sign"
    choose: Choose | None = None


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
        activation = read_activation(func, args, kwargs) or read_smooth(func, args, kwargs, _current.bits)
        if activation is not None and _current.visit is not None:
            z = next(x for x in (*args, *kwargs.values()) if isinstance(x, Tracked))
            visit, _current.visit = _current.visit, None
            try:
                visit(gate(func, z.as_subclass(Tensor), args, kwargs), activation)
            finally:
                _current.visit = visit
        elif _current.choose is not None and activation is None and func in WINDOWS:
            with torch._C.DisableTorchFunctionSubclass():
                winner = winners(func, args, kwargs)
            flat = winner.as_subclass(Tensor).reshape(len(winner), -1)
            _current.choose(flat, short_name(func), tuple(winner.shape[1:]))
        elif _current.pass_over is not None:
            _current.pass_over(func, args, kwargs)
        untyped: Any = super()  # torch declares no types here
        return untyped.__torch_function__(func, types, args, kwargs)


@contextmanager
def tracking(
    visit: Visit,
    pass_over: PassOver | None = None,
    choose: Choose | None = None,
    bits: Bits = "sign",
) -> Iterator[None]:
    """Tell of the activations that tracked tensors come to, with the pre-activation of each.

    Args:
        visit: called with pre-activation and activation, before the function runs.
        pass_over: called with each other function, and its arguments.
        choose: called with the winner of each window of a function that chooses among entries, of shape
            ``(points, windows)``, the function's name, and the shape of its output without the points; None
            to pass it over.
        bits: of smooth activations.
    """
    before = _current.visit, _current.pass_over, _current.choose, _current.bits
    _current.visit, _current.pass_over, _current.choose, _current.bits = visit, pass_over, choose, bits
    try:
        yield
    finally:
        _current.visit, _current.pass_over, _current.choose, _current.bits = before
