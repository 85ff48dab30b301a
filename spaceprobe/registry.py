"""Registries: what a study can name, each entry a file and a line in its registry, or a plug-in."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, TypeVar

from spaceprobe.plugins import load_plugins


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of a registry, which says what its file is called: no entry does so itself.

    Attributes:
        name: its name in a study: that of its file, with dashes, or of the entry point of a plug-in.
        module: its file as a dotted name: part of the version of the code that computes.
    """

    name: str = ""
    module: str = ""


E = TypeVar("E", bound=Entry)


def read_entries(
    package: str,
    files: Sequence[str],
    kind: type[E],
    plugins: str | None = None,
    refuse: "Callable[[E, Mapping[str, E]], str | None]" = lambda entry, others: None,  # noqa: ARG005
    *,
    is_first_use: bool = False,
) -> dict[str, E]:
    """Return the entries of a registry by name, in order, those of plug-ins last.

    Args:
        package: the package that holds their files.
        files: the files without ``.py``; each defines an ``ENTRY``.
        kind: what an entry is.
        plugins: the group of entry points by which installed packages add to it, one of
            `spaceprobe.plugins.GROUPS`; None for none.
        refuse: returns what is wrong with the entry of a plug-in, given those of the files too; None where it
            is right.
        is_first_use: as of `spaceprobe.plugins.load_plugins`.

    Raises:
        TypeError: an ``ENTRY`` is something else.
        PluginError: see `spaceprobe.plugins.load_plugins`.
    """
    entries: dict[str, E] = {}
    for file in files:
        module, name = f"{package}.{file}", file.replace("_", "-")
        entry = import_module(module).ENTRY
        if not isinstance(entry, kind):
            raise TypeError(f"{module}: expected ENTRY to be a {kind.__name__}, got {entry!r}")
        entries[name] = replace(entry, name=name, module=module)
    if plugins is None:
        return entries

    def check(name: str, value: Any) -> str | None:
        if not isinstance(value, kind):
            return f"expected a {kind.__name__}, got {type(value).__name__}"
        return refuse(replace(value, name=name), own)

    own = {**entries}
    taken = {name: f"spaceprobe's own {name} ({entry.module})" for name, entry in entries.items()}
    for plugin, entry in load_plugins(plugins, taken, check, is_first_use=is_first_use):
        entries[plugin.name] = replace(entry, name=plugin.name, module=plugin.module)
    return entries


def refuse_settings(settings: Sequence[str], known: Collection[str]) -> str | None:
    """Return what is wrong with the settings that a plug-in says concern it: None if others know them all.

    A setting that concerns everything would otherwise be an error beside every other entry.
    """
    unknown = sorted({*settings} - {*known})
    if not unknown:
        return None
    return f"settings {', '.join(unknown)}: expected some of {', '.join(sorted(known))}"
