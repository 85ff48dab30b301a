"""Paths as users write them: with ~ for their home and with variables, also where no shell replaced these."""

import os
import re
from pathlib import Path

from spaceprobe.errors import SettingsError

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)


def expanded(path: Path) -> Path:
    """Return a path with ~ and variables replaced by what they stand for.

    One that exists as it is written is taken as it is written.

    Raises:
        SettingsError: a variable is not set, or this user has no home.
    """
    text = os.fspath(path)
    if not (text.startswith("~") or "$" in text) or os.path.lexists(path):
        return path
    unset = [match[0] for match in _VARIABLE.finditer(text) if match[1].strip("{}") not in os.environ]
    if unset:
        raise SettingsError(f"{path}: the variable {unset[0]} is not set; set it, or write the path out")
    text = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111  # Path's raises for ~name
    if text == "~" or text.startswith("~/"):
        raise SettingsError(f"{path}: this user has no home folder for ~; set HOME, or write the path out")
    return Path(text)
