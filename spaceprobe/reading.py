"""Read regular files and nothing else: opening a pipe waits for its other end, and a device may never end."""

import errno
import io
import stat
from pathlib import Path

_KINDS = {"d": "a directory", "c": "a device", "b": "a device", "p": "a pipe", "s": "a socket"}
# by the first letter of `ls -l`


def kind_of(mode: int) -> str | None:
    """Return what a file is, by its mode, such as ``a pipe``; None for a regular file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.filemode(mode)[0], "something else")


def check_regular(path: Path, mode: int) -> None:
    """Check that a file is a regular one.

    Args:
        path: the file, for the message.
        mode: of it, as its status has it.

    Raises:
        OSError: it is something else.
    """
    kind = kind_of(mode)
    if kind is not None:  # the number of the error says that what is there has to be moved away
        raise FileExistsError(errno.EEXIST, f"it is {kind}, not a file", str(path))


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    check_regular(path, path.stat().st_mode)  # before it is opened
    return path.open("rb")


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        OSError: it cannot be read, or is something else.
    """
    with open_regular(path) as file:
        return file.read()
