"""Find a study's file by path or name, and read it."""

import codecs
import os
import re
from collections.abc import Iterable
from pathlib import Path

from spaceprobe.reading import kind_of
from spaceprobe.study.config.problems import ConfigError, Problem, SourceLocation
from spaceprobe.study.config.scalars import LINE_BREAK
from spaceprobe.study.config.wording import describe, did_you_mean, listed, nearest

MAX_BYTES = 256 * 1024
"""The longest file (chosen: it parses in half a second at most; a study has one or two kB)."""

HERE = "spaceprobe.yaml"
"""The study of the current folder, taken where no other is named."""

FALLBACK = "depth-sweep"
"""The shipped study that is taken where there is none in the current folder."""

CI = "-ci"
"""How the name of a study's form for CI ends."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
# those of Path raise where a parent cannot be read
_is_dir, _is_file = os.path.isdir, os.path.isfile


def find_config(name: str | None = None) -> Path:
    """Return the file of a study.

    A name is looked up as a path, then in ``configs`` of the current folder, then among the studies
    that come with spaceprobe. Without a name it is ``spaceprobe.yaml`` in the current folder if
    there is one, else the shipped ``depth-sweep``.

    Raises:
        ConfigError: there is none; the message lists the shipped studies.
    """
    if name is None:
        return Path(HERE) if os.path.lexists(HERE) else find_config(FALLBACK)
    path = Path(name)
    if name and os.path.lexists(path) and not _is_dir(path):
        return path
    shipped = shipped_configs()
    if _NAME.fullmatch(name):
        stem = name.removesuffix(".yaml")
        local = Path("configs") / f"{stem}.yaml"
        if _is_file(local):
            return local
        if stem in shipped:
            return shipped[stem]
    if name and _is_dir(path):
        return path  # reading it reports that it is a directory
    message = (
        "found no such file and no shipped study of that name, allowed: a path to a YAML file, a folder "
    )
    message += "of results"
    message += f" or one of {listed(whole_studies(shipped))}" if shipped else ""
    message += did_you_mean(nearest(name, shipped))
    raise ConfigError([(SourceLocation(0, 0, 0, name or "CONFIG"), message)])


def study_name(config: str | None = None) -> str:
    """Return the name of a study, as `find_config` takes it: the stem of its file, found or not."""
    if config is None:
        return Path(HERE).stem if os.path.lexists(HERE) else FALLBACK
    path = Path(config)
    return path.stem if path.suffix == ".yaml" or os.path.lexists(path) else path.name


def whole_studies(names: Iterable[str]) -> list[str]:
    """Return the studies that are no form for CI of another.

    >>> whole_studies(["width", "width-ci"])
    ['width']
    """
    return [name for name in names if not name.endswith(CI)]


def shipped_configs(package: Path | None = None) -> dict[str, Path]:
    """Return the studies that come with spaceprobe, by name.

    They lie in the package as it is installed, or beside it in a checkout.

    Args:
        package: the folder of the package; this one if None.
    """
    package = package or Path(__file__).resolve().parents[2]
    folder = package / "configs"
    if not folder.is_dir() and (package.parent / "pyproject.toml").is_file():
        folder = package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def check_name(name: str, path: Path) -> list[Problem]:
    """Return what is wrong with the name of a study, which also names its folder of results.

    Args:
        name: the study's name.
        path: its file.
    """
    if _NAME.fullmatch(name):
        return []
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "my-study"
    message = f"found {describe(name)} as the study's name, allowed: letters, digits, . _ - and a letter or "
    return [*ConfigError.of_file(path, f"{message}digit first; rename the file to {safe}.yaml").errors]


def read_text(path: Path) -> str:
    """Return the text of a study's file.

    Raises:
        ConfigError: it is not a readable file of UTF-8 text of a sensible size.
    """
    try:
        status = path.stat()
        kind = kind_of(status.st_mode)
        if kind is not None:  # not opened: opening a pipe waits for its other end
            raise ConfigError.of_file(path, f"found {kind}, allowed: a YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not a file name"
        message = f"found a file that cannot be read ({reason}), allowed: a readable YAML file"
        raise ConfigError.of_file(path, message) from None
    if len(data) > MAX_BYTES:
        size = max(status.st_size, len(data))
        raise ConfigError.of_file(path, f"found a file of {size} bytes, allowed: at most {MAX_BYTES}")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = LINE_BREAK.split(data[: error.start].decode())
        location = SourceLocation(0, len(before), len(before[-1]) + 1, str(path))
        message = f"found the byte 0x{data[error.start]:02x}, which is not UTF-8, allowed: UTF-8; "
        raise ConfigError([(location, f"{message}save the file as UTF-8")]) from None
