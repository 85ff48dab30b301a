"""Parts on disk: files that hold their own keys and digests.

A part is one file that holds its own key, so it is finished exactly when it is there: it is written under a
temporary name, flushed to the disk and renamed. There is no index beside the parts that could disagree.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaceprobe.files import ResultsError, file_digest, write_whole
from spaceprobe.stages.stage import Content, Part
from spaceprobe.study.storage.reasons import differences

RECORD = "part.json"
"""The member of an .npz part that holds what is not an array."""


def write_part(folder: Path, part: Part, content: Content, duration_s: float, code: str) -> str:
    """Write a part below a run's folder and return the SHA-256 of its file.

    Args:
        folder: the run's folder.
        part: what was asked for.
        content: what came out.
        duration_s: how long it took to compute, in seconds.
        code: the version of the code that computed it.

    Raises:
        ResultsError: it cannot be written.
    """
    fields = {
        "key": part.key,
        "code": code,
        "record": content.record,
        "files": content.files,
        "error": content.error,
        "duration_s": round(duration_s, 3),
    }
    path = folder / part.path
    if path.suffix == ".json":
        seal = hashlib.sha256(_to_json(fields)).hexdigest()
        return write_whole(path, _to_json({**fields, "sha256": seal}))
    import numpy as np

    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**content.arrays, RECORD: np.frombuffer(_to_json(fields), np.uint8)}
    np.savez_compressed(buffer, **arrays)
    return write_whole(path, _sealed(buffer.getvalue()))


@dataclass(frozen=True)
class Expected:
    """What decides whether a part that is there is the one that is asked for.

    Attributes:
        code: the version of the code; None where any is trusted.
        defaults: the settings of each section as they are where nobody sets them: for parts that were made
            before a setting existed.
        subject: what the code does, such as ``folding``; for the reason.
    """

    code: str | None
    defaults: Mapping[str, Mapping[str, Any]]
    subject: str = ""


@dataclass(frozen=True)
class StoredPart:
    """A finished part, read back.

    Attributes:
        part: what was asked for.
        content: what it holds.
        duration_s: how long it took to compute, in seconds.
        code: the version of the code that computed it.
    """

    part: Part
    content: Content
    duration_s: float
    code: str


@dataclass(frozen=True)
class Stale:
    """A part that has to be computed (again).

    Attributes:
        part: what was asked for.
        reason: why, in words.
        is_missing: whether there is none.
    """

    part: Part
    reason: str
    is_missing: bool = False


def read_part(folder: Path, part: Part, expected: Expected) -> StoredPart | Stale:
    """Return a finished part, or why it has to be computed (again).

    That is so where its file is missing or damaged, where its key or its code differs from what is asked
    for, and where a file that it vouches for is missing or differs.

    Raises:
        ResultsError: it may not be read.
    """
    path = folder / part.path
    try:
        fields, arrays = _read_fields(path)
        key, code, files = fields["key"], fields.get("code", ""), fields["files"]  # none: an old part
        content = Content(fields["record"], arrays, files, fields["error"])
        stored = StoredPart(part, content, fields["duration_s"], code)
    except FileNotFoundError:
        return Stale(part, f"{path.name} is not there yet", is_missing=True)
    except PermissionError as error:
        raise ResultsError(f"{path}: may not be read ({error.strerror}); change its mode") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return Stale(part, f"{path.name} is damaged ({type(error).__name__})")
    changes = differences(key, part.key, expected.defaults)
    if expected.code is not None and code != expected.code:
        changes.append(f"{expected.subject} code changed")
    if changes:
        return Stale(part, ", ".join(changes))
    for name, digest in files.items():
        found = file_digest(folder / name)
        if found is None:
            return Stale(part, f"{name} is missing")
        if found != digest:
            return Stale(part, f"{name} is damaged (its SHA-256 is not the one recorded when it was written)")
    return stored


def read_key(path: Path) -> Mapping[str, Any] | None:
    """Return the key of a part, or None where it has none to show."""
    try:
        key = _read_fields(path)[0]["key"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return key if isinstance(key, dict) else None


def _read_fields(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a part holds, after its digest was found right.

    Raises:
        ValueError: the digest is wrong, or there is none.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")  # a pipe would be waited for
    data = path.read_bytes()
    if path.suffix == ".json":
        fields = json.loads(data)
        if not isinstance(fields, dict):
            raise ValueError("it holds no fields")
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
    """Return a zip archive with its own SHA-256 as its comment; every zip reader still opens it."""
    digest = hashlib.sha256(archive).hexdigest().encode()
    # The archive ends with the length of its comment, in two bytes, and the comment, so far empty.
    return archive[:-2] + len(digest).to_bytes(2, "little") + digest


def _unsealed(data: bytes) -> bytes:
    """Return the archive as it was before it was sealed; nothing of it is parsed before it is believed.

    Raises:
        ValueError: the digest is wrong.
    """
    archive, digest = data[:-66] + bytes(2), data[-64:]
    if hashlib.sha256(archive).hexdigest().encode() != digest or data[-66:-64] != b"\x40\0":
        raise ValueError("the digest is wrong")
    return archive
