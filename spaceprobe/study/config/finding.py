"""Finds a study's file by path or name, and reads it with care."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from spaceprobe.study.config.problems import ConfigError, Place, Problem, describe, did_you_mean, listed
from spaceprobe.study.config.strict_yaml import Document, parse
from spaceprobe.study.config.yaml_text import MAX_BYTES, decode

HERE = "spaceprobe.yaml"
"""The study of the current folder, taken where no other is named."""

FALLBACK = "depth-sweep"
"""The shipped study that is taken where there is none in the current folder."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
# those of Path raise where a parent cannot be read
_is_dir, _is_file = os.path.isdir, os.path.isfile
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def find_config(name: str | None = None) -> Path:
    """Returns the file of a study.

    A name is looked up as a path, then in ``configs`` of the current folder, then among the studies
    that come with spaceprobe. Without a name it is ``spaceprobe.yaml`` in the current folder if
    there is one, else the shipped ``depth-sweep``.

    Raises:
        ConfigError: if there is none, with the names of the shipped studies.
    """
    if name is None:
        return Path(HERE) if os.path.lexists(HERE) else find_config(FALLBACK)
    path = Path(name)
    if name and os.path.lexists(path) and not _is_dir(path):
        return path
    if _NAME.fullmatch(name):
        stem = name.removesuffix(".yaml")
        local = Path("configs") / f"{stem}.yaml"
        if _is_file(local):
            return local
        if stem in (shipped := shipped_configs()):
            return shipped[stem]
    if name and _is_dir(path):
        return path  # and reading it says that it is a directory
    names = list(shipped_configs())
    known = f" or one of {listed(names)}" if names else ""
    found = "found no such file and no shipped study of that name"
    message = f"{found}, allowed: a path to a YAML file{known}{did_you_mean(name, names)}"
    raise ConfigError([Problem(Place(name or "CONFIG"), "", message)])


def study_name(config: str | None = None) -> str:
    """Returns the name of a study, as `find_config` takes it: the stem of its file, there or not."""
    if config is None:
        return Path(HERE).stem if os.path.lexists(HERE) else FALLBACK
    path = Path(config)
    return path.stem if path.suffix == ".yaml" or os.path.lexists(path) else path.name


def shipped_configs(package: Path | None = None) -> dict[str, Path]:
    """Returns the studies that come with spaceprobe, by name.

    They lie in the package as it is installed, or beside it in a checkout.

    Args:
        package: the folder of the package; this one if None.
    """
    package = package or Path(__file__).resolve().parents[2]
    folder = package / "configs"
    if not folder.is_dir() and (package.parent / "pyproject.toml").is_file():
        folder = package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def read_document(path: Path) -> Document:
    """Returns the document of a file.

    Raises:
        ConfigError: if it cannot be read at all: what is wrong inside is in the document.
    """
    source = str(path)
    top = Place(source, 1, 1)
    try:
        data = _read(path, top)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is no file name"
        message = f"found a file that cannot be read ({reason}), allowed: a readable YAML file"
        raise ConfigError([Problem(top, "", message)]) from None
    text, problems = decode(data, source)
    if problems:
        raise ConfigError(problems)
    return parse(text, source)


def check_name(name: str, place: Place) -> Sequence[Problem]:
    """Returns what is wrong with a study's name, which also names its folder of results."""
    if _NAME.fullmatch(name):
        return []
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "my-study"
    allowed = "letters, digits, . _ - and a letter or digit first"
    message = f"found {describe(name)} as the study's name, allowed: {allowed}"
    return [Problem(place, "", f"{message}; rename the file to {safe}.yaml")]


def _read(path: Path, top: Place) -> bytes:
    mode = path.stat().st_mode  # before opening: opening a pipe waits for its other end
    if not stat.S_ISREG(mode):
        kind = next((words for test, words in _KINDS if test(mode)), "something else")
        raise ConfigError([Problem(top, "", f"found {kind}, allowed: a YAML file")])
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        size = max(path.stat().st_size, len(data))
        message = f"found a file of {size} bytes, allowed: at most {MAX_BYTES}"
        raise ConfigError([Problem(top, "", message)])
    return data
