"""Registries: what a study can name, each entry a file of its own and a line in its registry."""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, TypeVar


class Named(Protocol):
    """An entry of a registry."""

    @property
    def name(self) -> str:
        """Its name in a study."""


E = TypeVar("E", bound=Named)


def read_entries(package: str, files: Sequence[str], kind: type[E]) -> dict[str, E]:
    """Return the entries of a registry by name, in order.

    Args:
        package: the package that holds their files.
        files: the files without ``.py``; each defines an ``ENTRY``.
        kind: what an entry is.

    Raises:
        TypeError: an ``ENTRY`` is something else.
        ValueError: two entries have one name.
    """
    entries: dict[str, E] = {}
    for file in files:
        entry = import_module(f"{package}.{file}").ENTRY
        if not isinstance(entry, kind):
            raise TypeError(f"{package}.{file}: expected ENTRY to be a {kind.__name__}, got {entry!r}")
        if entry.name in entries:
            raise ValueError(f"{package}.{file}: there is an entry {entry.name!r} already")
        entries[entry.name] = entry
    return entries
