"""The sources of a user's own code in the working folder, read and never run."""

import ast
import hashlib
import re
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from spaceprobe.errors import SpaceprobeError
from spaceprobe.reading import read_regular

INSTALLED = {"site-packages", "dist-packages"}
"""The folders of installed packages, which may lie below the working folder."""

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)


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
    file_of(function, setting)
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


def shown(path: Path) -> str:
    """Return a file of the working folder as messages show it."""
    return path.relative_to(Path.cwd()).as_posix()


def file_of(function: UserFunction, setting: str) -> Path:
    """Return the file of a function's module, without running anything.

    Raises:
        UserCodeError: the working folder has no such file.
    """
    path = Path.cwd().joinpath(*function.module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    raise UserCodeError(
        f"{setting}: {Path.cwd()} has no {shown(path.with_suffix('.py'))}; start in the folder that has it, "
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
