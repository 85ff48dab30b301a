"""The version of the code that computes a stage: a digest of the source files that it is computed by.

It is part of every stored result, so results are computed again when one of these files has changed, be it by
a comment. They are the module of the stage's `compute`, the modules of the settings' choices (`RunStage.
sources`), and every module of this package that one of them imports, at its top or in a function; what is
imported for types only does not count. Imports are read from the files, so that planning needs no torch.

These never count, nor what they import:

- the modules of `DECLARATIONS`, which say what is asked for and shown, not what a number is;
- a package's ``__init__.py``. A name that is imported from one counts as the module where that file imports
  it from; a name that the file defines, such as a registry, counts as nothing: an entry counts by `sources`.

The modules of a plug-in (`spaceprobe.plugins`) count in the same way, with those of its own package that they
import, every ``__init__.py`` included; other installed packages do not. What depends on all plug-ins of a
group, as ranks do on the rules, is computed by all of them.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec, resolve_name
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from spaceprobe.errors import SpaceprobeError
from spaceprobe.plugins import GROUPS, READERS, plugin_modules
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import RunStage, Sections

_PARSING = Lock()
"""One thread parses at a time: several upset Python 3.11's count of the recursion depth (a SystemError)."""

DECLARATIONS = re.compile(
    r"spaceprobe\.(errors|files|machine(\..+)?|plugins|reading|registry|tables(\..+)?|(data|networks|stages\.\w+\.\w+)\.entry"
    r"|stages\.(stage|\w+\.((\w+_)?settings|tables|parts|summary)))"
)
"""Modules that are not part of the version of a stage's code."""

BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
"""The fields of a statement that hold statements, or what holds statements itself."""

PACKAGE = Path(__file__).parents[1]

_MISSING = -1, -1
"""The stamp of a file that is not there."""


def code_version(stage: RunStage, sections: Sections | None = None) -> str:
    """Return the SHA-256, in hexadecimal, of the source files by which a stage computes.

    Args:
        stage: the stage.
        sections: the settings, for the modules that they choose; None to leave these out.
    """
    return source_version(*_modules(stage, sections))


@cache
def source_version(*modules: str) -> str:
    """Return the SHA-256, in hexadecimal, of modules and of what they import, as described above."""
    return _SOURCES.version(_SOURCES.imported_by(modules))


@cache
def table_version() -> str:
    """Return the SHA-256, in hexadecimal, of the source files that make tables from what was computed."""
    functions = ("tabulate", "present", "warn", "reduce")
    made_by = (getattr(stage, name, None) for stage in STAGES for name in functions)
    modules = {function.__module__ for function in made_by if function is not None}
    return _SOURCES.version(_SOURCES.imported_by(["spaceprobe.study.tables", *modules], ignored=None))


def load_code(stage: RunStage, sections: Sections) -> bool:
    """Import what a stage computes by, and return whether that is what `code_version` has read.

    From then on, this process computes by that code, whatever becomes of the files.
    """
    return _is_loaded(*_modules(stage, sections))


@cache
def _is_loaded(*modules: str) -> bool:
    imported = _SOURCES.imported_by(modules)
    try:
        for module in imported:
            with suppress(*((Exception, SystemExit) if is_of_plugin(module) else ())):  # it is left out then
                import_module(module)
    except SyntaxError:  # half saved
        return False
    return not _SOURCES.is_edited(imported)


def is_edited() -> bool:
    """Return whether a file of the package was written since this process read it."""
    return _SOURCES.is_edited()


def is_of_plugin(module: str) -> bool:
    """Return whether a module is of the package of a plug-in."""
    return module.partition(".")[0] in _plugin_packages()


@cache
def _plugin_packages() -> frozenset[str]:
    names = {module.partition(".")[0] for group in GROUPS for module in plugin_modules(group)}
    return frozenset(names - {PACKAGE.name})


def _modules(stage: RunStage, sections: Sections | None) -> list[str]:
    chosen = [] if stage.sources is None or sections is None else stage.sources(sections)
    return [stage.compute.__module__, *chosen]


class _Source(NamedTuple):
    path: Path
    text: bytes
    stamp: tuple[int, int]


class _Import(NamedTuple):
    bound: str
    module: str
    attribute: str | None


class Sources:
    """The source files of a package, all read at once."""

    def __init__(self, package: Path) -> None:
        """Read the files of the package in a folder."""
        self._files: dict[str, _Source] = {}
        self._imports: dict[str, list[_Import]] = {}
        for path in sorted(package.rglob("*.py")):
            names = path.relative_to(package.parent).with_suffix("").parts
            self._files[".".join(names).removesuffix(".__init__")] = _read(path)

    def version(self, modules: Iterable[str]) -> str:
        """Return the digest of the files of modules."""
        digests = (f"{name} {hashlib.sha256(self._file(name).text).hexdigest()}\n" for name in modules)
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def imported_by(
        self, modules: Iterable[str], ignored: re.Pattern[str] | None = DECLARATIONS
    ) -> list[str]:
        """Return modules and what they import of the package, sorted, without packages' ``__init__``."""
        reached: set[str] = set()
        waiting: list[tuple[str, str | None]] = [(name, None) for name in modules]
        seen = set(waiting)
        while waiting:
            name, attribute = waiting.pop()
            if self._has(f"{name}.{attribute}"):
                name, attribute = f"{name}.{attribute}", None
            if ignored is not None and ignored.fullmatch(name):
                continue
            imports = self._imported(name)
            if self._file(name).path.name != "__init__.py" or is_of_plugin(name):
                reached.add(name)
            elif attribute not in (None, "*"):
                imports = [item for item in imports if item.bound == attribute]
            targets = {(item.module, item.attribute) for item in imports}
            if is_of_plugin(name):  # they run before it
                targets |= {(package, None) for package in _packages_of(name)}
            if name in READERS:
                targets |= {(module, None) for module in plugin_modules(READERS[name])}
            targets -= seen
            waiting += targets
            seen |= targets
        return sorted(reached)

    def is_edited(self, modules: Iterable[str] | None = None) -> bool:
        """Return whether a file was written since it was read: any, or one of these modules."""
        names = self._files if modules is None else modules
        return any(_stamp(self._file(name).path) != self._file(name).stamp for name in names)

    def _has(self, module: str) -> bool:
        """Return whether there is a file of a module, of the package or of a plug-in."""
        if module not in self._files and is_of_plugin(module) and (path := _plugin_file(module)) is not None:
            self._files[module] = _read(path)
        return module in self._files

    def _file(self, module: str) -> _Source:
        if not self._has(module) and is_of_plugin(module):  # it has no such file, or not as Python
            self._files[module] = _Source(Path(module), b"", _MISSING)
        if module not in self._files:  # a stage of another package
            self._files[module] = _read(Path(str(sys.modules[module].__file__)))
        return self._files[module]

    def _imported(self, module: str) -> list[_Import]:
        if module not in self._imports:
            file = self._file(module)
            package = module if file.path.name == "__init__.py" else module.rpartition(".")[0]
            try:
                with _PARSING:
                    tree = ast.parse(file.text)
            except (SyntaxError, ValueError) as error:
                if is_of_plugin(module):  # it cannot be imported: the plug-in is left out
                    return []
                if not isinstance(error, SyntaxError):
                    raise
                place = f"{file.path}:{error.lineno}"
                raise SpaceprobeError(f"{place}: syntax error ({error.msg}); fix it") from error
            self._imports[module] = [item for item in _imports(tree, package) if self._has(item.module)]
        return self._imports[module]


def _packages_of(module: str) -> Iterator[str]:
    """Yield the packages that a module lies in."""
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


@cache
def _plugin_file(module: str) -> Path | None:
    """Return the source file of a module of a plug-in's package, without importing anything."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = [Path(place).joinpath(*rest) for place in spec.submodule_search_locations or ()]
    files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    if not rest and spec.origin is not None:
        files.insert(0, Path(spec.origin))
    return next((file for file in files if file.suffix == ".py" and file.is_file()), None)


def _imports(tree: ast.Module, package: str) -> Iterator[_Import]:
    """Yield what a module of a package imports otherwise than for types only."""
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            yield from (_Import(alias.asname or alias.name, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (_Import(alias.asname or alias.name, module, alias.name) for alias in node.names)


def _statements(block: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield a block's statements and those within them, without those that are for types only.

    Every start of the program goes through the whole package: expressions, which import nothing, would take
    most of that time.
    """
    waiting = [*block]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("orelse",) if isinstance(node, ast.If) and _is_for_types(node.test) else BLOCKS:
            waiting += getattr(node, name, ())


def _is_for_types(test: ast.expr) -> bool:
    match test:
        case ast.Name("TYPE_CHECKING") | ast.Attribute(ast.Name("typing"), "TYPE_CHECKING"):
            return True
    return False


def _read(path: Path) -> _Source:
    stamp = _stamp(path)  # first: what is written meanwhile shows
    return _Source(path, path.read_bytes(), stamp)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return _MISSING
    return status.st_mtime_ns, status.st_size


_SOURCES = Sources(PACKAGE)  # read here, early: what a process imports later has to be what was read
_SOURCES.imported_by([module for group in GROUPS for module in plugin_modules(group)], ignored=None)
