"""The user's cache, and temporary folders that outlast no process: what a killed one left goes at a start."""

import getpass
import hashlib
import logging
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs

from spaceprobe.files import is_alive

logger = logging.getLogger(__name__)

KEPT_FOR_S = 7 * 24 * 3600.0
"""Chosen: the age at which a folder goes whose process cannot be looked up; data are read long before."""

_OWNED = re.compile(r"spaceprobe-[a-z]+-(\d+)@(.+)~([0-9a-f]{8})-.+", re.DOTALL)
_OF_EARLIER_VERSIONS = re.compile(r"spaceprobe-mnist-[a-z0-9_]{8}")
_AT_WORK: list["tempfile.TemporaryDirectory[str]"] = []  # removed when the process ends


def cache_folder() -> Path:
    """Return the folder for what can be made again: the user's cache, or a temporary one without a home.

    A user without an entry in the system's list of users and without HOME, as in many containers, has no
    cache: its place is a folder in the temporary directory that bears the user's number and is closed to
    others; one line says so.

    Raises:
        OSError: that folder is another user's, or cannot be made.
    """
    with suppress(RuntimeError, KeyError):  # of platformdirs: no home
        folder = Path(platformdirs.user_cache_dir("spaceprobe", appauthor=False))
        if folder.parts[:1] != ("~",):
            return folder
    return _homeless_folder(tempfile.gettempdir())


@cache
def _homeless_folder(temporary: str) -> Path:
    """Return the folder in the temporary directory for a user without a home, and say so once."""
    folder = Path(temporary) / f"spaceprobe-{_user()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if not stat.S_ISDIR(status.st_mode) or not is_own:
        raise PermissionError(
            f"{folder} is another user's or not a folder; set XDG_CACHE_HOME to a folder of yours"
        )
    folder.chmod(0o700)
    logger.warning("this user has no home folder: the cache is %s; XDG_CACHE_HOME changes that", folder)
    return folder


def temporary_folder(purpose: str) -> Path:
    """Return a new folder in the temporary directory, which is removed when this process ends.

    Args:
        purpose: a word for its name, which also says whose it is: see `remove_abandoned_folders`.
    """
    prefix = f"spaceprobe-{purpose}-{os.getpid()}@{socket.gethostname()}~{_processes()}-"
    folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    _AT_WORK.append(folder)
    return Path(folder.name)


def remove_abandoned_folders() -> None:
    """Remove the temporary folders that killed processes of this user left, as far as it can."""
    for folder in abandoned_folders(Path(tempfile.gettempdir())):
        shutil.rmtree(folder, ignore_errors=True)


def abandoned_folders(temporary: Path) -> list[Path]:
    """Return the folders that killed processes of this user and machine left in a temporary directory.

    Processes of another container, which may have the same numbers and see the same directory, and those of
    earlier versions, whose folders do not tell their process, count as dead after `KEPT_FOR_S`.
    """
    return [folder for folder in _own_folders(temporary) if _is_abandoned(folder)]


def _own_folders(temporary: Path) -> Iterator[Path]:
    with suppress(OSError):
        for path in temporary.glob("spaceprobe-*"):
            with suppress(OSError):  # removed meanwhile
                status = path.lstat()
                is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
                if stat.S_ISDIR(status.st_mode) and is_own:
                    yield path


def _is_abandoned(folder: Path) -> bool:
    owner = _OWNED.fullmatch(folder.name)
    if owner is None and not _OF_EARLIER_VERSIONS.fullmatch(folder.name):
        return False
    if owner is not None and owner[2] == socket.gethostname() and owner[3] == _processes():
        return not is_alive(int(owner[1]))
    with suppress(OSError):  # removed meanwhile
        return time.time() - folder.lstat().st_mtime > KEPT_FOR_S
    return False


@cache
def _processes() -> str:
    """Return eight digits that tell where this process has its number: machine, its start, container."""
    return hashlib.sha256("\n".join(process_space().values()).encode()).hexdigest()[:8]


@cache
def process_space() -> dict[str, str]:
    """Return what tells this machine's process numbers from those of others, containers included."""
    facts = {"host": socket.gethostname(), "boot": "", "processes": ""}
    with suppress(OSError):  # not Linux
        facts["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        facts["processes"] = str(Path("/proc/self/ns/pid").readlink())
    return facts


def _user() -> str:
    """Return the user's number, or where the system has none, its name."""
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
