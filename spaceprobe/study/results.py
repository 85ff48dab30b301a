"""Results on disk: whole files only, and parts that hold their own keys.

A part is one file that holds its own key, so it is finished exactly when it is there: it is written under a
temporary name, flushed to the disk and renamed. There is no index beside the parts that could disagree.
"""

import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.stage import Content, Part

RECORD = "part.json"
"""The member of an .npz part that holds what is not an array."""


class ResultsError(SpaceprobeError):
    """Results cannot be written or read."""


def write_whole(path: Path, data: bytes) -> str:
    """Writes a file so that a reader, or a crash, sees all of it or nothing; returns its SHA-256.

    Raises:
        ResultsError: it cannot be written; what was there before is still there.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
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
            temporary.unlink(missing_ok=True)
        raise ResultsError(
            f"{path}: cannot be written ({error.strerror}); make room or give another folder with --results"
        ) from error
    return hashlib.sha256(data).hexdigest()


def write_part(folder: Path, part: Part, content: Content, duration_s: float) -> None:
    """Writes a part below a run's folder.

    Raises:
        ResultsError: it cannot be written.
    """
    fields = {
        "key": part.key,
        "record": content.record,
        "files": content.files,
        "error": content.error,
        "duration_s": round(duration_s, 3),
    }
    text = json.dumps(fields, indent=1, sort_keys=True, allow_nan=False).encode()
    path = folder / part.path
    if path.suffix == ".json":
        write_whole(path, text + b"\n")
        return
    import numpy as np

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**content.arrays, RECORD: np.frombuffer(text, np.uint8)}
    np.savez_compressed(buffer, **arrays)
    write_whole(path, buffer.getvalue())


@dataclass(frozen=True)
class StoredPart:
    """A finished part, read back.

    Attributes:
        part: what was asked for.
        content: what it holds.
        duration_s: how long it took to compute, in seconds.
    """

    part: Part
    content: Content
    duration_s: float


@dataclass(frozen=True)
class Stale:
    """A part that has to be computed (again).

    Attributes:
        part: what was asked for.
        reason: why, in words.
    """

    part: Part
    reason: str


def read_part(folder: Path, part: Part) -> StoredPart | Stale:
    """Returns a finished part, or why it has to be computed (again).

    That is so where its file is missing or damaged, where its key differs from the one asked for, and
    where a file that it vouches for is missing or differs.
    """
    path = folder / part.path
    if not path.exists():
        return Stale(part, f"{path.name} is not there yet")
    try:
        fields, arrays = _read_fields(path)
        key, files = fields["key"], fields["files"]
        content = Content(fields["record"], arrays, files, fields["error"])
        stored = StoredPart(part, content, fields["duration_s"])
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        return Stale(part, f"{path.name} is damaged ({type(error).__name__})")
    if key != json.loads(json.dumps(part.key)):
        return Stale(part, f"{path.name} was made with other settings or inputs")
    for name, digest in files.items():
        found = file_digest(folder / name)
        if found is None:
            return Stale(part, f"{name} is missing")
        if found != digest:
            return Stale(part, f"{name} is damaged (its SHA-256 is not the one recorded when it was written)")
    return stored


def _read_fields(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    if path.suffix == ".json":
        return json.loads(path.read_bytes()), {}
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop(RECORD).tobytes()), arrays


def file_digest(path: Path) -> str | None:
    """Returns the SHA-256 of a file in hexadecimal, or None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _flush_folder(folder: Path) -> None:
    """Makes a rename last: on a crash the folder would forget it."""
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
