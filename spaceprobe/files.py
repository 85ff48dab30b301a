"""Write files whole or not at all, append whole lines, and remove what killed processes left."""

import errno
import hashlib
import json
import math
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from spaceprobe.errors import SpaceprobeError
from spaceprobe.reading import check_regular, open_regular, read_regular

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the stubs are those of Linux

ABANDONED_AFTER_S = 60.0
"""Age at which a dead process's temporary file is removed; chosen: no write pauses this long."""

LOCK_WITHIN_S = 2.0
"""Chosen: how long a writer of a line waits for another one, which holds its lock for a millisecond."""

PAUSES_S = (0.01, 0.05, 0.2, 0.5)
"""Chosen: between attempts to replace a file that another process has open, which Windows refuses."""

_BINARY = getattr(os, "O_BINARY", 0)
"""Windows writes \\r\\n for \\n without it."""

_TEMPORARY = re.compile(r"\..+~(\d+)@([^~]+)~.*\.tmp", re.DOTALL)


class ResultsError(SpaceprobeError):
    """The results folder cannot be written or read: its disk is full, gone or read-only."""


class InTheWayError(ResultsError):
    """One file cannot be written: something else has its name, or its folder is read-only for this user."""


_WAYS_OUT = {
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY), "move what is there away"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "let this user write there"),
    errno.ENAMETOOLONG: "give it a shorter name",
}
"""What to do about an error that concerns one file."""


def write_whole(path: Path, data: bytes) -> str:
    """Write a file so that a reader, or a crash, sees all of it or nothing, and return its SHA-256.

    Raises:
        ResultsError: the file cannot be written, or not so that it would outlast a crash; what is there is
            the old file or the new one, whole.
    """
    try:
        with open_whole(path) as file:
            file.write(data)
    except OSError as error:
        raise _as_results_error(path, error) from error
    return hashlib.sha256(data).hexdigest()


@contextmanager
def open_whole(path: Path, *, keep_existing: bool = False) -> Iterator[BinaryIO]:
    """Open a file to be written in pieces, which gets its name when the block has ended without an error.

    Until then it has a temporary name in the same folder; an error or an interrupt in the block removes it,
    and ``remove_abandoned`` removes what a killed process leaves.

    Args:
        path: the file; its folder is made.
        keep_existing: discard what was written if another process wrote the file meanwhile.

    Raises:
        OSError: the file cannot be written, or not so that it would outlast a crash.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}~{os.getpid()}@{socket.gethostname()}~"  # says whose it is: see remove_abandoned
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_existing and path.exists():
            _discard(temporary)
            return
        temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide results from a group
        _replace(temporary, path)
    except BaseException:
        _discard(temporary)
        raise
    _flush_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        ResultsError: it cannot be removed.
    """
    if not os.path.lexists(path):  # on a read-only disk, removing what is not there is an error as well
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _as_results_error(path, error, "removed") from error


def append_line(path: Path, line: str) -> None:
    """Append a line in one call, so that the lines of two processes do not mix (on NFS they may).

    Raises:
        ResultsError: the line cannot be written, or only a part of it, which is then removed; where another
            process has appended after it, the next line starts on a new line.
    """
    data = line.encode(errors="backslashreplace") + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _open_to_append(path)
        try:
            size = os.fstat(handle).st_size
            if size and _read_at(handle, 1, size - 1) != b"\n":
                data = b"\n" + data  # after a line that a full disk cut off
            num_written = os.write(handle, data)
            if num_written < len(data):
                if os.fstat(handle).st_size == size + num_written:  # nobody wrote after it
                    os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        raise _as_results_error(path, error) from error


def create_new(path: Path, data: bytes) -> bool:
    """Create a small file and return True, or return False where it exists: only one process creates it.

    Raises:
        ResultsError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        try:
            os.write(handle, data)
        except OSError:
            _discard(path)
            raise
        finally:
            os.close(handle)
    except FileExistsError:
        return False
    except OSError as error:
        raise _as_results_error(path, error) from error
    return True


def refresh_folder(folder: Path) -> None:
    """List a folder, at which an NFS client asks its server again what is there."""
    with suppress(OSError):
        for _ in folder.iterdir():
            pass


def is_writable(folder: Path) -> bool:
    """Return whether this user can write into a folder: neither its mode nor its disk forbids it."""
    return os.access(folder, os.W_OK)


def append_object(path: Path, fields: Mapping[str, Any]) -> None:
    """Append a JSON object as a line of a file that has one object a line, always.

    Writers take turns by a lock, for which none waits long: where it cannot be had, as on some network disks,
    they go on without. What a crash or a full disk left of a line becomes an object with the event
    ``damaged_line`` and its text.

    Raises:
        ResultsError: the line cannot be written.
    """
    line = json.dumps(_plain(fields), allow_nan=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _open_to_append(path)
        try:
            _lock(handle)
            size = os.fstat(handle).st_size
            if size and _read_at(handle, 1, size - 1) != b"\n":
                fragment, size = _cut_fragment(handle, size)
                line = _damaged(fragment) + line
            num_written = os.write(handle, line)
            if num_written < len(line):
                if os.fstat(handle).st_size == size + num_written:  # nobody wrote after it
                    os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)  # and with it the lock
    except OSError as error:
        raise _as_results_error(path, error) from error


def repair_objects(path: Path) -> None:
    """Turn the lines of a file that are not JSON objects into objects with the event ``damaged_line``.

    Such lines come from earlier versions, and from network disks that let lines of two writers mix.

    Raises:
        ResultsError: the file has such lines and cannot be written.
    """
    try:
        if not path.is_file() or all(map(_is_object, _lines_of(read_regular(path)))):
            return
        with path.open("r+b") as file:
            _lock(file.fileno())
            lines = [line + b"\n" if _is_object(line) else _damaged(line) for line in _lines_of(file.read())]
            write_whole(path, b"".join(lines))
    except OSError as error:
        raise _as_results_error(path, error) from error


def _lines_of(data: bytes) -> list[bytes]:
    """Return the lines of a file without their ends; the last one may lack it."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _damaged(text: bytes) -> bytes:
    """Return what was left of a line, as a line that is an object."""
    fields = {"event": "damaged_line", "text": text.decode(errors="backslashreplace")}
    return json.dumps(fields).encode() + b"\n"


def _cut_fragment(handle: int, size: int) -> tuple[bytes, int]:
    """Remove what follows the last end of a line, and return it with the size of the rest."""
    data = _read_at(handle, size, 0)
    end = data.rfind(b"\n") + 1
    os.ftruncate(handle, end)
    return data[end:], end


def _lock(handle: int) -> None:
    """Wait a moment for the lock of an open file; on a system without such locks, go on without."""
    if fcntl is None:
        return
    deadline = time.monotonic() + LOCK_WITHIN_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        except OSError:  # this disk has no locks
            return
        else:
            return


def _plain(value: Any) -> Any:
    """Return a value as every reader of JSON takes it: without half characters, NaN and infinities."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def last_line(path: Path, max_bytes: int = 4096) -> str | None:
    """Return the last line of a text file that is not empty, or None; only the file's end is read."""
    try:
        with open_regular(path) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - max_bytes))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return None
    return next((line for line in reversed(lines) if line.strip()), None)


def remove_abandoned(folder: Path) -> None:
    """Remove the files that `abandoned` returns, as far as this user can."""
    for path in abandoned(folder):
        with suppress(OSError):  # removed meanwhile, or on a read-only disk
            path.unlink()


def abandoned(folder: Path) -> list[Path]:
    """Return the temporary files that killed processes of this machine left below a folder.

    Another machine's are kept: whether their writers are alive cannot be told from here.
    """
    found = []
    temporaries: list[Path] = []
    with suppress(OSError):  # another runner may be removing a folder; the next start looks again
        temporaries.extend(folder.rglob(".*.tmp"))
    for path in temporaries:
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or match[2] != socket.gethostname() or is_alive(int(match[1])):
            continue
        with suppress(OSError):  # removed meanwhile
            if time.time() - path.lstat().st_mtime > ABANDONED_AFTER_S:
                found.append(path)
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # another user's


def file_digest(path: Path) -> str | None:
    """Return the SHA-256 of a file in hexadecimal, or None where it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def check_place(folder: Path) -> None:
    """Check that a folder exists or can be made: that the nearest existing parent is a folder.

    Raises:
        InTheWayError: it is something else.
    """
    for parent in (folder, *folder.parents):
        if os.path.lexists(parent):
            if not os.path.isdir(parent):  # noqa: PTH112  # unlike Path.is_dir, it never raises
                raise _as_results_error(parent, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
            return


def _as_results_error(path: Path, error: OSError, done: str = "written") -> ResultsError:
    way_out = _WAYS_OUT.get(error.errno or 0)
    kind = ResultsError if way_out is None else InTheWayError
    remedy = way_out or ("make it writable" if error.errno == errno.EROFS else "make room")
    return kind(
        f"{path}: cannot be {done} ({error.strerror}); {remedy} or give another folder with --results"
    )


def _discard(path: Path) -> None:
    with suppress(OSError):  # the caller reports why the disk cannot be written
        path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, so that a rename outlasts a crash; Windows cannot open one."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(temporary: Path, path: Path) -> None:
    """Give a file its name; where another process has the old one open, which Windows minds, try again."""
    for pause_s in PAUSES_S if os.name == "nt" else ():
        with suppress(PermissionError):
            temporary.replace(path)
            return
        time.sleep(pause_s)
    temporary.replace(path)


def _open_to_append(path: Path) -> int:
    """Return the handle of a regular file that can be read and appended to, which is made if it is missing.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY, 0o666)
    try:
        check_regular(path, os.fstat(handle).st_mode)
    except OSError:
        os.close(handle)
        raise
    return handle


def _read_at(handle: int, num_bytes: int, start: int) -> bytes:
    """Return bytes of an open file from a place in it; Windows has no pread."""
    os.lseek(handle, start, os.SEEK_SET)
    pieces = []
    while num_bytes > 0 and (piece := os.read(handle, num_bytes)):
        pieces.append(piece)
        num_bytes -= len(piece)
    return b"".join(pieces)


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
