"""A user's own code in the working folder: who may run it, what it depends on, and how it is imported.

It runs only where its module was named with ``--trust`` on the command line. What is computed with it depends
on its sources: all files of its package, and those of the working folder that they import.
"""

import ast
import hashlib
import importlib
import importlib.util
import logging
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import resolve_name
from pathlib import Path
from typing import Any, NamedTuple

from spaceprobe.errors import SpaceprobeError
from spaceprobe.reading import read_regular

logger = logging.getLogger(__name__)

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)

_trusted: frozenset[str] = frozenset()
"""The modules that may run in this process."""


class UserCodeError(SpaceprobeError):
    """A user's code is missing, not trusted, or failed."""

    exit_code = 2


class UserFunction(NamedTuple):
    """A function of a user's module.

    Attributes:
        module: such as ``package.module``, which ``--trust`` has to name.
        name: of the function.
    """

    module: str
    name: str

    def __str__(self) -> str:
        """Return how a study names it."""
        return f"{self.module}:{self.name}"


def parse_function(text: str) -> UserFunction:
    """Return the function that a setting names.

    Raises:
        ValueError: it is not written as ``package.module:function``.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError(
            "write package.module:function, such as mydata:digits for digits() of mydata.py here"
        )
    return UserFunction(match[1], match[2])


def trusted_modules() -> tuple[str, ...]:
    """Return the modules that may run in this process, sorted."""
    return tuple(sorted(_trusted))


@contextmanager
def trusting(modules: Collection[str]) -> Iterator[None]:
    """Let these modules run, and no others, until the block ends."""
    global _trusted  # of the process, as the modules that it has imported are
    before, _trusted = _trusted, frozenset(modules)
    try:
        yield
    finally:
        _trusted = before


def source_digests(function: UserFunction, setting: str) -> dict[str, str]:
    """Return the SHA-256 of each source file that a function depends on, by its path in the working folder.

    Nothing is run: imports are read from the files.

    Args:
        function: the function.
        setting: what names it, to begin a message with.

    Raises:
        UserCodeError: its module is missing, or a file cannot be read or parsed.
    """
    folder = Path.cwd()
    _file_of(function, setting)
    waiting, digests = [function.module.partition(".")[0]], {}
    seen = {*waiting}
    while waiting:
        for path in _files_of(folder, waiting.pop()):
            name = path.relative_to(folder).as_posix()
            try:
                source = read_regular(path)
                tree = ast.parse(source)
            except SyntaxError as error:
                place = f"{name}:{error.lineno}"
                raise UserCodeError(f"{setting}: {place}: syntax error ({error.msg}); fix it") from error
            except (OSError, ValueError, RecursionError) as error:
                raise UserCodeError(
                    f"{setting}: {name} cannot be read as Python ({error}); fix it"
                ) from error
            digests[name] = hashlib.sha256(source).hexdigest()
            new = {*_imported(tree, name)} - seen
            waiting += sorted(new)
            seen |= new
    return dict(sorted(digests.items()))


def call_function(function: UserFunction, setting: str) -> Any:
    """Return what a function of the user's returns, given no arguments.

    Raises:
        UserCodeError: its module is missing or not trusted, was edited meanwhile, or failed.
    """
    path = _file_of(function, setting)
    if function.module not in _trusted:
        raise UserCodeError(
            f"{setting} runs code of yours, {_shown(path)}, which needs --trust {function.module} on the "
            "command line; look at it first if it is not your own"
        )
    logger.warning(
        "%s: running %s() of %s, as --trust %s allows", setting, function.name, _shown(path), function.module
    )
    try:
        called = getattr(_import(function, path, setting), function.name)
        return called()
    except SpaceprobeError:
        raise
    except Exception as error:
        logger.info("%s failed", setting, exc_info=True)
        reason = str(error).partition("\n")[0]
        raise UserCodeError(f"{setting} failed: {type(error).__name__}: {reason}") from error


def _import(function: UserFunction, path: Path, setting: str) -> Any:
    """Return the module of a function, imported again where a source of it changed.

    Raises:
        UserCodeError: an installed package has its name, or it was edited meanwhile.
    """
    folder = Path.cwd()
    digests = source_digests(function, setting)
    if _IMPORTED.get(function.module) != (folder, digests):
        _forget_imports()
    importlib.invalidate_caches()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: a file here does not take the place of a library
    top = function.module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    if not any(_is_below(place, folder) for place in places):
        raise UserCodeError(
            f"{setting}: {top} is the name of an installed package as well; rename {_shown(path)}"
        )
    with _no_compiled_files():
        module = importlib.import_module(function.module)
    if source_digests(function, setting) != digests:
        raise UserCodeError(f"{setting} was edited while it was imported; start again")
    _IMPORTED[function.module] = folder, digests
    return module


_IMPORTED: dict[str, tuple[Path, dict[str, str]]] = {}
"""Of each module the folder that it was imported from, and the digests of its sources then."""


def _forget_imports() -> None:
    """Let all code of the user's be imported anew: modules share what they import."""
    for folder, digests in _IMPORTED.values():
        tops = {name.split("/")[0].removesuffix(".py") for name in digests}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
    _IMPORTED.clear()


@contextmanager
def _no_compiled_files() -> Iterator[None]:
    """Leave no compiled files in the user's folder."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _is_below(place: str | None, folder: Path) -> bool:
    return place is not None and Path(place).resolve().is_relative_to(folder.resolve())


def _shown(path: Path) -> str:
    return path.relative_to(Path.cwd()).as_posix()


def _file_of(function: UserFunction, setting: str) -> Path:
    """Return the file of a function's module, without running anything.

    Raises:
        UserCodeError: the working folder has no such file.
    """
    path = Path.cwd().joinpath(*function.module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    raise UserCodeError(
        f"{setting}: {Path.cwd()} has no {_shown(path.with_suffix('.py'))}; start in the folder that has it, "
        "or name another"
    )


def _files_of(folder: Path, top: str) -> list[Path]:
    """Return the source files of a module or package in a folder; empty where it is not there."""
    package, module = folder / top, folder / f"{top}.py"
    if (package / "__init__.py").is_file() or (package.is_dir() and not module.is_file()):
        return sorted(package.rglob("*.py"))
    return [module] if module.is_file() else []


def _imported(tree: ast.Module, name: str) -> Iterator[str]:
    """Yield the top-level names of what a module imports."""
    package = ".".join(name.removesuffix(".py").split("/")[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and not package:
                continue  # an error when it runs
            module = (
                resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            )
            yield str(module).partition(".")[0]
