"""Registries: what a study can name, each entry a file of its own and a line in its registry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TypeVar


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of a registry, which says what its file is called: no entry does so itself.

    Attributes:
        name: its name in a study: that of its file, with dashes.
        module: its file as a dotted name: part of the version of the code that computes.
    """

    name: str = ""
    module: str = ""


E = TypeVar("E", bound=Entry)


def read_entries(package: str, files: Sequence[str], kind: type[E]) -> dict[str, E]:
    """Return the entries of a registry by name, in order.

    Args:
        package: the package that holds their files.
        files: the files without ``.py``; each defines an ``ENTRY``.
        kind: what an entry is.

    Raises:
        TypeError: an ``ENTRY`` is something else.
    """
    entries: dict[str, E] = {}
    for file in files:
        module, name = f"{package}.{file}", file.replace("_", "-")
        entry = import_module(module).ENTRY
        if not isinstance(entry, kind):
            raise TypeError(f"{module}: expected ENTRY to be a {kind.__name__}, got {entry!r}")
        entries[name] = replace(entry, name=name, module=module)
    return entries
