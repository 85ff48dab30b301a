"""A user's own code in the working folder: which of it may run, and how it is imported.

It runs only where its module was named with ``--trust`` on the command line.
"""

import importlib
import importlib.util
import io
import logging
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType
from typing import Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.user_sources import INSTALLED, UserCodeError, UserFunction, file_of, shown, source_digests

logger = logging.getLogger(__name__)

_trusted: frozenset[str] = frozenset()
"""The modules that may run in this process."""

_told: set[UserFunction] = set()
"""The functions whose running the user was told of: once for a command."""


def trusted_modules() -> tuple[str, ...]:
    """Return the modules that may run in this process, sorted."""
    return tuple(sorted(_trusted))


@contextmanager
def trusting(modules: Collection[str]) -> Iterator[None]:
    """Let these modules run, and no others, until the block ends."""
    global _trusted  # of the process, as the modules that it has imported are
    before, _trusted = _trusted, frozenset(modules)
    if not before:
        _told.clear()
    try:
        yield
    finally:
        _trusted = before


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Let what is printed go to stderr where code of the user's may run: stdout is for results."""
    with redirect_stdout(sys.stderr or io.StringIO()) if _trusted else nullcontext():
        yield


def check_trusted(function: UserFunction, setting: str) -> Path:
    """Return the file of a function that may run.

    Raises:
        UserCodeError: its module is missing or not trusted.
    """
    path = file_of(function, setting)
    if function.module not in _trusted:
        raise UserCodeError(
            f"{setting} runs code of yours, {shown(path)}, which needs --trust {function.module} on the "
            "command line; look at it first if it is not your own"
        )
    return path


def call_function(function: UserFunction, setting: str) -> Any:
    """Return what a function of the user's returns, given no arguments.

    Raises:
        UserCodeError: its module is missing or not trusted, was edited meanwhile, or failed.
    """
    path = check_trusted(function, setting)
    logger.log(
        logging.INFO if function in _told else logging.WARNING,
        "%s: running %s() of %s, as --trust %s allows",
        *(setting, function.name, shown(path), function.module),
    )
    _told.add(function)
    try:
        with stdout_kept():
            called = getattr(_import(function, path, setting), function.name)
            return called()
    except SpaceprobeError:
        raise
    except (Exception, SystemExit) as error:
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
    _IMPORTED[function.module] = folder, digests  # also what fails is to be forgotten
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: a file here does not take the place of a library
    if _finder not in sys.path_hooks:
        sys.path_hooks.insert(0, _finder)
    sys.path_importer_cache.clear()
    top = function.module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    found = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    own = (folder / f"{top}.py", folder / top, folder / top / "__init__.py")
    if not {Path(place) for place in found if place} & {*own}:
        raise UserCodeError(
            f"{setting}: {top} is the name of an installed package as well; rename {shown(path)}"
        )
    module = importlib.import_module(function.module)
    if source_digests(function, setting) != digests:
        raise UserCodeError(f"{setting} was edited while it was imported; start again")
    return module


_IMPORTED: dict[str, tuple[Path, dict[str, str]]] = {}
"""Of each module that was asked for, the folder and the digests of its sources then."""


def _forget_imports() -> None:
    """Let all code of the user's be imported anew: modules share what they import."""
    for folder, digests in _IMPORTED.values():
        tops = {name.split("/")[0].removesuffix(".py") for name in digests}
        for name, module in [*sys.modules.items()]:
            if name.partition(".")[0] in tops and _is_below(getattr(module, "__file__", None), folder):
                del sys.modules[name]
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
    _IMPORTED.clear()


class _FromSource(SourceFileLoader):
    """Compiles a file each time that it is imported.

    A compiled file counts as current if the source has its size and second of change: too little for what is
    edited and run again at once. None is written into the user's folder either.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of a module."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _finder(place: str) -> FileFinder:
    """Return what finds modules of the user's in a folder.

    Raises:
        ImportError: it is not below the working folder, or holds installed packages.
    """
    path = Path(place)
    if not (path.is_dir() and _is_below(place, Path.cwd())) or {*path.parts} & INSTALLED:
        raise ImportError(f"{place} does not hold code of the user's")
    return FileFinder(place, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))


def _is_below(place: str | None, folder: Path) -> bool:
    return place is not None and Path(place).resolve().is_relative_to(folder.resolve())
