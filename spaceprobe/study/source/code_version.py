"""The version of the code that computes a stage: a digest of all source that a function depends on.

It is part of the key of every stored result, so that results are done again when the code that computes
them changed, and only then. It is read from the files, statically: planning stays without torch.

What counts, at the grain of a top-level definition: the function, and every definition of this package that
one that counts reads by name, in any module and through any import. A function in a function counts with
the outer one, a method with its class. A statement that is neither definition, import nor plain assignment
(an expression, a loop, ``X[...] =``, ``X +=``, an ``if``) counts wherever something of its module does, or
of the modules below it where it stands in a package's ``__init__``. Of other packages only the line of the
import counts. When in doubt, too much counts: a local name that a top-level one has too stands for both.

What does not count: comments, docstrings, formatting; what stands under ``if TYPE_CHECKING:``; annotations
of variables, and of functions without a decorator, which nothing reads while the program runs. Those of a
class's fields count, since dataclasses and named tuples are made from them. What they and others say as a
string is text, and is not followed. The fields of a section of the study file do not count: their values
are in the key.

What cannot be seen: code found by a text at run time (``import_module``, ``globals()``), what a closure
holds, other packages. Star imports within the package are refused.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.source.source_text import (
    STATEMENTS,
    Chain,
    Definition,
    Imports,
    Module,
    Place,
    Reader,
    chain_of,
    is_ours,
)

WHOLE = "*"
"""Stands for all names of a module, which was used otherwise than as ``module.name``."""

DECLARATIONS = frozenset({"spaceprobe.stages.stage", "spaceprobe.errors"})
"""Modules that never count, nor what they read. They say how stages, parts and errors are handed around, not
what a number is: a new attribute of `Stage` must not redo the results of years."""

SETTINGS = ("spaceprobe.stages.stage", "Settings")
"""The base class of the sections of a study file."""

_ROOT = Path(__file__).parents[2]


@cache
def code_version(function: Callable[..., object]) -> str:
    """Return the SHA-256, as 64 hexadecimal digits, of all source that the function depends on.

    It is that of the files when they are first read; later changes are seen by the next process.

    Raises:
        ValueError: it is no function that a file defines by name, such as a lambda or a partial; or a file
            on its way has a star import from this package, or a name that its module does not define.
    """
    return _sources().version(*_checked(function))


@cache
def load_code(function: Callable[..., object]) -> bool:
    """Import every module of this package that the function depends on.

    From then on this process computes with what `code_version` says, whatever becomes of the files.

    Returns:
        Whether that is so: False where one of the files was written since its version was read, so that
        nobody knows what was imported.

    Raises:
        ValueError: as for `code_version`.
    """
    modules = sorted({module for module, _ in _sources().reach(*_checked(function)) if is_ours(module)})
    try:
        for module in modules:
            import_module(module)
    except SyntaxError:  # half saved: it was written since
        return False
    return not _sources().is_outdated(modules)


def is_edited() -> bool:
    """Return whether a file was written since `code_version` read it."""
    return _sources().is_outdated()


@cache
def _sources() -> "Sources":
    return Sources(_ROOT)


def _checked(function: Callable[..., object]) -> tuple[str, str, Path | None]:
    """Return a function's module, the top-level name that it is part of, and the file if not of ours."""
    plain = inspect.unwrap(function)
    way_out = "the code that computes a stage has to be a function with a name, written in a file"
    if not inspect.isfunction(plain):
        raise ValueError(f"{function!r} is no plain function, so its code has no version: {way_out}")
    if "<lambda>" in plain.__qualname__:
        raise ValueError(f"{plain.__qualname__} in {plain.__module__} is a lambda: {way_out}")
    name = plain.__qualname__.partition(".")[0]
    if is_ours(plain.__module__):
        return plain.__module__, name, None
    file = inspect.getsourcefile(plain)
    if file is None or not Path(file).is_file():
        raise ValueError(f"{name} in {plain.__module__} has no source file ({file}): {way_out}")
    return plain.__module__, name, Path(file)


class Sources:
    """The source of the package below one folder: each file parsed once, each definition digested once."""

    def __init__(self, root: Path) -> None:
        """Take the package's folder."""
        self._root = root
        self._modules: dict[str, Module] = {}
        self._stamps: dict[str, tuple[Path, tuple[int, int]]] = {}

    def version(self, module: str, name: str, file: Path | None = None) -> str:
        """Return the digest of all that a top-level name depends on; see `code_version`."""
        places = self.reach(module, name, file)
        digest = hashlib.sha256()
        for place in sorted(places):
            digest.update("\0".join((*place, self._definition(place).digest, "")).encode())
        return digest.hexdigest()

    def is_outdated(self, modules: Iterable[str] | None = None) -> bool:
        """Return whether a file was written since it was read: any, or that of one of some modules."""
        names = self._stamps if modules is None else [name for name in modules if name in self._stamps]
        return any(_stamp(file) != stamp for file, stamp in (self._stamps[name] for name in names))

    def reach(self, module: str, name: str, file: Path | None = None) -> frozenset[Place]:
        """Return the places that a top-level name depends on, itself included.

        Args:
            module: its module.
            name: the name.
            file: the module's file, where it is not of this package.

        Raises:
            ValueError: see `code_version`.
        """
        if file is not None and (module not in self._modules or self._modules[module].path != file):
            self._modules[module] = self._parsed(module, file)
        home = self._module(module)
        if name not in home.statements:
            raise ValueError(f"{home.path} defines no {name} at its top level, so its code has no version")
        if (module, name) not in home.reached:
            home.reached[module, name] = self._reach((module, name))
        return home.reached[module, name]

    def _reach(self, start: Place) -> frozenset[Place]:
        places: set[Place] = set()
        waiting = [*self._trace(start, (), start[0])]
        while waiting:
            place = waiting.pop()
            if place not in places and place[0] not in DECLARATIONS:
                places.add(place)
                waiting.extend(self._definition(place).reads)
        return frozenset(places)

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            file = self._file(name)
            if file is None:
                raise ValueError(f"there is no module {name} below {self._root}")
            self._modules[name] = self._parsed(name, file)
        return self._modules[name]

    def _parsed(self, name: str, file: Path) -> Module:
        self._stamps[name] = file, _stamp(file)
        try:
            return Module(name, file)
        except SyntaxError as error:
            raise SpaceprobeError(f"{file}:{error.lineno}: is no Python ({error.msg}); mend it") from error

    def _file(self, module: str) -> Path | None:
        """Return the file of a module of the package; None where there is none."""
        base = self._root.joinpath(*module.split(".")[1:])
        files = (base / "__init__.py", base.with_suffix(".py"))
        return next((file for file in files if is_ours(module) and file.is_file()), None)

    def _definition(self, place: Place) -> Definition:
        module = self._module(place[0])
        if place[1] not in module.definitions:
            module.definitions[place[1]] = self._read(module, place[1])
        return module.definitions[place[1]]

    def _read(self, module: Module, name: str) -> Definition:
        reads = set(self._run_with(module))
        if name == WHOLE:
            for each in module.statements:
                reads.update(self._trace((module.name, each), (), module.name))
            return Definition("", frozenset(reads))
        reader = Reader(module.package, lambda node: self._is_settings(module, node))
        reader.write(module.statements[name])
        for chain in reader.chains:
            reads.update(self._look_up(module, reader.imports, chain))
        return Definition(hashlib.sha256("".join(reader.text).encode()).hexdigest(), frozenset(reads))

    def _run_with(self, module: Module) -> Iterator[Place]:
        """Yield the statements that run when a module is imported: its own and its packages'."""
        words = module.name.split(".")
        packages = (".".join(words[:length]) for length in range(1, len(words)))
        for name in (*filter(self._file, packages), module.name):
            if name not in DECLARATIONS and STATEMENTS in self._module(name).statements:
                yield name, STATEMENTS

    def _look_up(self, module: Module, local_imports: Imports, chain: Chain) -> Iterator[Place]:
        """Yield what a chain read in a module stands for, step by step through imports."""
        first, *rest = chain
        for target in local_imports.get(first, ()):
            yield from self._trace_import(target, tuple(rest), module.name)
        if first in module.statements:
            yield from self._trace((module.name, first), tuple(rest), module.name)

    def _trace(
        self, place: Place, rest: Chain, reader: str, seen: frozenset[Place] = frozenset()
    ) -> Iterator[Place]:
        yield place
        for target in self._module(place[0]).imports.get(place[1], ()):
            yield from self._trace_import(target, rest, reader, seen | {place})

    def _trace_import(
        self, target: tuple[str, str | None], rest: Chain, reader: str, seen: frozenset[Place] = frozenset()
    ) -> Iterator[Place]:
        home, name = target
        if name is None and not rest:
            yield home, WHOLE
            return
        if name is None:
            name, rest = rest[0], rest[1:]
        if home in DECLARATIONS:
            yield home, name
        elif name in self._module(home).statements and (home, name) not in seen:
            yield from self._trace((home, name), rest, reader, seen)
        elif self._file(f"{home}.{name}"):
            yield from self._trace_import((f"{home}.{name}", None), rest, reader, seen)
        elif not (name.startswith("__") and name.endswith("__")):  # what every module has, such as __name__
            raise ValueError(
                f"{reader} reads {home}.{name}, which {self._module(home).path} does not define at its top "
                "level, so the version of the code is not known: import it from the file that defines it, or "
                "rename the variable that has the name of a module there"
            )

    def _is_settings(self, module: Module, node: ast.ClassDef, seen: frozenset[Place] = frozenset()) -> bool:
        """Return whether a class derives from `Settings`, through any classes of the package."""
        bases = {
            place
            for base in node.bases
            for place in self._look_up(module, {}, chain_of(base) or ("",))
            if place not in seen
        }
        return SETTINGS in bases or any(
            self._is_settings(self._module(home), found, seen | bases)
            for home, name in bases
            if home not in DECLARATIONS
            for found in self._module(home).statements.get(name, ())
            if isinstance(found, ast.ClassDef)
        )


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return -1, -1  # gone: it reads as changed
    return status.st_mtime_ns, status.st_size
