"""Entries of registries that other installed packages add, by their entry points.

A package declares them in its pyproject.toml, in the groups of `GROUPS`; the name of an entry point is the
entry's name in a study, and its value the object, as in ``rings = "my_package.rings:ENTRY"``. What is wrong
with one never ends spaceprobe: it is left out, and `untold_problems` has a sentence for each. Only a name
that is taken already is an error, where a study is read (`check_names`) or its registry is first used.

Only installed packages count: metadata that lies in the working folder or below it does not, be the folder on
Python's path, unless it lies in a folder of installed packages, as that of a virtual environment there.
"""

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, EntryPoint, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from spaceprobe.errors import SpaceprobeError
from spaceprobe.user_sources import INSTALLED

logger = logging.getLogger(__name__)

GROUPS = ("datasets", "networks", "endpoints", "measures", "rank_rules", "figures")
"""The groups of entry points, ``spaceprobe.datasets`` and so on."""

READERS = {"spaceprobe.analysis.measures": "measures", "spaceprobe.lmd.rank_rules": "rank_rules"}
"""The modules whose numbers depend on all plug-ins of a group: the sources of these count with theirs."""

_PREFIX = "spaceprobe."
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", re.ASCII)


class PluginError(SpaceprobeError):
    """Two packages, or a package and spaceprobe itself, give different things the same name."""

    exit_code = 2


class Plugin(NamedTuple):
    """What an installed package adds to a registry.

    Attributes:
        group: one of `GROUPS`.
        name: of the entry.
        module: the module that defines it, as a dotted name.
        attribute: what it is called there.
        package: the installed package, as pip calls it.
        version: of the package.
        is_editable: whether the package was installed in place, so that its files may lie anywhere.
    """

    group: str
    name: str
    module: str
    attribute: str
    package: str
    version: str
    is_editable: bool = False

    def __str__(self) -> str:
        """Return how messages name it: by package and entry point."""
        target = f"{self.module}:{self.attribute}" if self.attribute else self.module
        return f"{self.package} {self.version} (entry point {self.name} = {target} of {_PREFIX}{self.group})"


_problems: list[str] = []
"""Why plug-ins are left out."""

_clashes: list[str] = []
"""Which names several things have."""

_told: set[str] = set()


def load_plugins(
    group: str,
    taken: Mapping[str, str],
    refuse: Callable[[str, Any], str | None],
    *,
    is_first_use: bool = False,
) -> Iterator[tuple[Plugin, Any]]:
    """Yield the plug-ins of a group that can be used, each with its object, by package and name.

    Args:
        group: one of `GROUPS`.
        taken: what has a name already, in words, by the name; `-` and `_` are the same letter.
        refuse: returns what is wrong with the object of a name; None where it is right.
        is_first_use: whether what is wrong is logged and a clash of names raised, since the registry is read
            only where it is used; otherwise `untold_problems` and `check_names` have it.

    Raises:
        PluginError: see above.
    """
    owners = {_folded(name): owner for name, owner in taken.items()}
    for plugin in find_plugins():
        if plugin.group != group:
            continue
        owner = owners.setdefault(_folded(plugin.name), str(plugin))
        if owner != str(plugin):
            _clashes.append(
                f"{plugin} has the name of {owner}; rename the entry point, or uninstall: pip uninstall "
                f"{plugin.package}"
            )
            if is_first_use:
                raise PluginError(_clashes[-1])
            continue
        value, problem = _load(plugin)
        problem = problem or refuse(plugin.name, value)
        if problem is None:
            yield plugin, value
            continue
        _problems.append(
            f"{plugin} is left out: {problem}; repair it, or uninstall it: pip uninstall {plugin.package}"
        )
        if is_first_use:
            logger.warning("%s", _problems[-1])
            _told.add(_problems[-1])


def untold_problems() -> list[str]:
    """Return a sentence for each plug-in that is left out or whose name is taken; each once in a process."""
    untold = [problem for problem in (*_problems, *_clashes) if problem not in _told]
    _told.update(untold)
    return untold


def check_names() -> None:
    """Check that every name in the registries that were read means one thing.

    Raises:
        PluginError: naming both, where one has two meanings.
    """
    if _clashes:
        raise PluginError(_clashes[0])


def plugin_modules(group: str) -> tuple[str, ...]:
    """Return the modules that define the plug-ins of a group, in order; nothing is imported."""
    return tuple(dict.fromkeys(plugin.module for plugin in find_plugins() if plugin.group == group))


@cache
def find_plugins() -> tuple[Plugin, ...]:
    """Return all plug-ins that are installed, by package and name; nothing of theirs is imported.

    Installed packages are looked through once for a process. A first one on Python's path hides others of its
    name, as it does where it is imported.
    """
    is_here = {place: is_of_working_folder(Path(place or ".")) for place in sys.path}
    installed = [place for place, here in is_here.items() if not here]
    found = set()
    for distribution in _with_plugins(installed):
        package = distribution.metadata["Name"]
        first = next(iter(distributions(name=package, path=installed)), distribution)
        if first.read_text("entry_points.txt") == distribution.read_text("entry_points.txt"):
            found |= {*_plugins_of(distribution, package)}
    packages = {plugin.package for plugin in found}
    _problems.extend(
        f"{name} is left out: nothing is taken from the working folder, where it lies; install it with pip"
        for name in sorted(
            {each.metadata["Name"] for each in _with_plugins([p for p in is_here if is_here[p]])}
        )
        if name not in packages
    )
    return tuple(sorted(found, key=lambda plugin: (plugin.package, plugin.group, plugin.name)))


def _with_plugins(places: list[str]) -> Iterator[Distribution]:
    """Yield what is installed in some folders and has an entry point of ours."""
    for distribution in distributions(path=places):
        text = distribution.read_text("entry_points.txt")
        if text is not None and f"[{_PREFIX}" in text:
            yield distribution


def _plugins_of(distribution: Distribution, package: str) -> Iterator[Plugin]:
    for point in distribution.entry_points:
        group = point.group.removeprefix(_PREFIX)
        if point.group.startswith(_PREFIX) and group in GROUPS:
            module, _, attribute = point.value.partition("[")[0].partition(":")
            where = module.strip(), attribute.strip()
            yield Plugin(group, point.name, *where, package, distribution.version, _is_editable(distribution))


def _is_editable(distribution: Distribution) -> bool:
    try:
        facts = json.loads(distribution.read_text("direct_url.json") or "{}")
        return bool(facts.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def is_of_working_folder(path: Path) -> bool:
    """Return whether a path lies in the working folder, and not among installed packages there."""
    try:
        folder = Path.cwd()
        every = (path.absolute(), path.resolve())
        below = any(each.is_relative_to(place) for each in every for place in (folder, folder.resolve()))
    except OSError:  # the working folder is gone, or a loop of links
        return False
    return below and not {*path.absolute().parts} & INSTALLED


def _folded(name: str) -> str:
    return name.replace("-", "_")


def _load(plugin: Plugin) -> tuple[Any, str | None]:
    """Return the object of a plug-in, and why there is none; what it prints goes to stderr."""
    if not _NAME.fullmatch(plugin.name):
        return None, "expected a name of lower-case letters, digits and single dashes, such as two-rings"
    if not plugin.attribute:
        return None, "expected package.module:NAME"
    try:
        with redirect_stdout(sys.stderr or io.StringIO()):
            top = plugin.module.partition(".")[0]
            spec = find_spec(top)
            if not plugin.is_editable and _is_hidden(spec):
                return None, f"the working folder has a {top} of its own, which would be imported instead"
            point = EntryPoint(plugin.name, f"{plugin.module}:{plugin.attribute}", _PREFIX + plugin.group)
            return point.load(), None
    except (Exception, SystemExit) as error:
        logger.info("%s cannot be imported", plugin, exc_info=True)
        reason = str(error).partition("\n")[0]
        return None, f"it cannot be imported ({type(error).__name__}: {reason})"


def _is_hidden(spec: ModuleSpec | None) -> bool:
    """Return whether a module would be imported from the working folder."""
    found = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    return any(place is not None and is_of_working_folder(Path(place)) for place in found)
