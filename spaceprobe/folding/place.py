"""Where in a network a run is, so that errors and notes can name the module."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn


@dataclass
class Place:
    """Where in a network a run is."""

    module: str = ""

    def refuse(self, error: Exception) -> TypeError:
        """Return the error of a run that came to something it cannot go through."""
        return TypeError(f"module {self.module!r}: {error}" if self.module else str(error))


def follow(module: nn.Module) -> Place:
    """Return the place of a run in a module, by hooks that note which of its modules was called last."""
    place = Place()
    for name, child in module.named_modules():
        if name:
            child.register_forward_pre_hook(partial(note_place, place, name))
            child.register_forward_hook(partial(note_place, place, name.rpartition(".")[0]))
    return place


def note_place(place: Place, name: str, *_call: Any) -> None:
    """Note that a module is entered, or that its end leads back to the one around it."""
    place.module = name
