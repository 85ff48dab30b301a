"""Results on disk: whole files only, and parts that hold their own keys and digests.

A part is one file that holds its own key, so it is finished exactly when it is there: it is written under a
temporary name, flushed to the disk and renamed. There is no index beside the parts that could disagree.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
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
    path = folder / part.path
    if path.suffix == ".json":
        write_whole(path, _to_json({**fields, "sha256": hashlib.sha256(_to_json(fields)).hexdigest()}))
        return
    import numpy as np

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**content.arrays, RECORD: np.frombuffer(_to_json(fields), np.uint8)}
    np.savez_compressed(buffer, **arrays)
    write_whole(path, _sealed(buffer.getvalue()))


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
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
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
    """Returns what a part holds, after its digest was found right.

    Raises:
        ValueError: the digest is wrong, or there is none.
    """
    data = path.read_bytes()
    if path.suffix == ".json":
        fields = json.loads(data)
        digest = fields.pop("sha256")
        if hashlib.sha256(_to_json(fields)).hexdigest() != digest:
            raise ValueError("the digest is wrong")
        return fields, {}
    import numpy as np

    with np.load(io.BytesIO(_unsealed(data)), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop(RECORD).tobytes()), arrays


def _to_json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _sealed(archive: bytes) -> bytes:
    """Returns a zip archive with its own SHA-256 as its comment; every zip reader still opens it."""
    digest = hashlib.sha256(archive).hexdigest().encode()
    # The archive ends with the length of its comment, in two bytes, and the comment, so far empty.
    return archive[:-2] + len(digest).to_bytes(2, "little") + digest


def _unsealed(data: bytes) -> bytes:
    """Returns the archive as it was before it was sealed; nothing of it is parsed before it is believed.

    Raises:
        ValueError: the digest is wrong.
    """
    archive, digest = data[:-66] + bytes(2), data[-64:]
    if hashlib.sha256(archive).hexdigest().encode() != digest or data[-66:-64] != b"\x40\0":
        raise ValueError("the digest is wrong")
    return archive


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
