"""Where in a network a run is, so that errors and notes can name the module."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn


@dataclass
class Place:
    """Where in a network a run is.

    Attributes:
        inside: the names of the modules that it is in, the innermost last; without the network itself.
    """

    inside: list[str] = field(default_factory=list)

    @property
    def module(self) -> str:
        """The module whose forward method runs; empty for the network's own."""
        return self.inside[-1] if self.inside else ""

    def refuse(self, error: Exception) -> TypeError:
        """Return the error of a run that came to something it cannot go through."""
        return TypeError(f"module {self.module!r}: {error}" if self.module else str(error))


def follow(module: nn.Module) -> Place:
    """Return the place of a run in a module, by hooks on the modules in it; see `begin_at` as well."""
    place = Place()
    for name, child in module.named_modules():
        if name:
            child.register_forward_pre_hook(partial(enter, place, name))
            child.register_forward_hook(partial(leave, place))
    return place


def begin_at(body: nn.Module, place: Place) -> None:
    """Have every run of a body begin outside of its modules: the one before may have been left inside one."""
    body.register_forward_pre_hook(partial(begin, place))


# Hooks are no closures: a copy of a module, for another thread, gets a place of its own.


def begin(place: Place, *_call: Any) -> None:
    """Note that a run begins."""
    place.inside.clear()


def enter(place: Place, name: str, *_call: Any) -> None:
    """Note that a module is entered."""
    place.inside.append(name)


def leave(place: Place, *_call: Any) -> None:
    """Note that the innermost module has ended."""
    place.inside.pop()
