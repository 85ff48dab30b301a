"""Files that are there whole or not at all, and lines that are appended whole."""

import errno
import hashlib
import os
import re
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from spaceprobe.errors import SpaceprobeError

ABANDONED_AFTER_S = 60.0
"""Chosen: no file takes this long to write, so a dead process's temporary file of this age is nobody's."""

_TEMPORARY = re.compile(r"\..+~(\d+)@([^~]+)~.*\.tmp", re.DOTALL)


class ResultsError(SpaceprobeError):
    """Results cannot be written or read: the disk is full, gone or read-only, for all of them."""


class InTheWayError(ResultsError):
    """One file cannot be written, since something else is there or its folder may not be written."""


_WAYS_OUT = {
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY), "move what is there away"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "let this user write there"),
}
"""What to do where the cause lies in one place."""


def write_whole(path: Path, data: bytes) -> str:
    """Write a file so that a reader, or a crash, sees all of it or nothing; returns its SHA-256.

    Raises:
        ResultsError: it cannot be written, or not so that it would outlast a crash; what is there is what was
            there before, or the new file, whole.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The name says whose it is, so that what a killed process leaves can be told and removed.
        prefix = f".{path.name}~{os.getpid()}@{socket.gethostname()}~"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide results from a group
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            _discard(temporary)
        raise _refused(path, error) from error
    return hashlib.sha256(data).hexdigest()


def append_line(path: Path, line: str) -> None:
    """Append a line in one call, so that the lines of two processes do not mix (on NFS they may).

    Raises:
        ResultsError: it cannot be written, or not whole: it is taken back then, or where another process
            wrote after it, the next line begins a line of its own.
    """
    data = line.encode(errors="backslashreplace") + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                data = b"\n" + data  # after a line that a full disk cut off
            num_written = os.write(handle, data)
            if num_written < len(data):
                if os.fstat(handle).st_size == size + num_written:  # nobody wrote after it
                    os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        raise _refused(path, error) from error


def last_line(path: Path, max_bytes: int = 4096) -> str | None:
    """Return the last line that is not empty of a text, or None where there is none; reads its end only."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - max_bytes))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return None
    return next((line for line in reversed(lines) if line.strip()), None)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes of this machine left below a folder.

    Another machine's are left alone: who knows whether their writer lives.
    """
    found: list[Path] = []
    with suppress(OSError):  # a folder that another runner removes meanwhile; the next start looks again
        found.extend(folder.rglob(".*.tmp"))
    for path in found:
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or match[2] != socket.gethostname() or is_alive(int(match[1])):
            continue
        try:
            age_s = time.time() - path.stat().st_mtime
        except OSError:
            continue  # gone meanwhile
        if age_s > ABANDONED_AFTER_S:
            _discard(path)


def is_alive(pid: int) -> bool:
    """Return whether this machine has such a process, and not only its remains."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # another user's


def file_digest(path: Path) -> str | None:
    """Return the SHA-256 of a file in hexadecimal, or None where it cannot be read."""
    try:
        if not path.is_file():
            return None  # a pipe would be waited for
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def check_place(folder: Path) -> None:
    """Check that a folder is there or can be made, as far as its parents show.

    Raises:
        InTheWayError: one of them is something else.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            if not os.path.isdir(place):  # noqa: PTH112  # of the path module: it raises nothing
                raise _refused(place, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
            return


def _refused(path: Path, error: OSError) -> ResultsError:
    way_out = _WAYS_OUT.get(error.errno or 0)
    kind = ResultsError if way_out is None else InTheWayError
    return kind(
        f"{path}: cannot be written ({error.strerror}); {way_out or 'make room'} or give another folder with "
        "--results"
    )


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # a disk that cannot be written cannot be tidied either; the cause is reported by the caller


def _flush_folder(folder: Path) -> None:
    """Make a rename last: on a crash the folder would forget it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
