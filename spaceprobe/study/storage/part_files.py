"""Parts on the disk: one file each, with its own key and digest.

A part is finished if and only if its file exists, since files are written whole or not at all. There is no
index beside the parts that could disagree with them.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.files import ResultsError, file_digest, write_whole
from spaceprobe.reading import read_regular
from spaceprobe.stages.stage import Part, PartContent
from spaceprobe.study.storage.reasons import differences

if TYPE_CHECKING:
    import numpy as np

RECORD = "part.json"
"""The member of an .npz part that holds what is not an array."""


def write_part(folder: Path, part: Part, content: PartContent, duration_s: float, code: str) -> str:
    """Write a part below a run's folder and return the SHA-256 of its file.

    Args:
        folder: the run's folder.
        part: what was asked for.
        content: what was computed.
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
class StoredPart:
    """A part that was read back whole.

    Attributes:
        part: what was asked for.
        content: what it holds.
        duration_s: how long it took to compute, in seconds.
        code: the version of the code that computed it.
    """

    part: Part
    content: PartContent
    duration_s: float
    code: str


@dataclass(frozen=True)
class StalePart:
    """A part that has to be computed, or computed again.

    Attributes:
        part: what was asked for.
        reason: why, in words.
        is_missing: whether it was never stored.
    """

    part: Part
    reason: str
    is_missing: bool = False


def read_part(folder: Path, part: Part, code: str | None) -> StoredPart | StalePart:
    """Return a stored part, or why it has to be computed (again).

    It has to be if its file is missing or damaged, if its key or the version of its code is not the one asked
    for, or if a file written beside it is missing or was changed.

    Args:
        folder: the run's folder.
        part: what is asked for.
        code: the version of the code; None to take any.

    Raises:
        ResultsError: this user may not read it.
    """
    path = folder / part.path
    try:
        fields, arrays = _read_fields(path)
        key, stored_code, files = fields["key"], fields.get("code", ""), fields["files"]  # "": an old part
        content = PartContent(fields["record"], arrays, files, fields["error"])
        stored = StoredPart(part, content, fields["duration_s"], stored_code)
    except FileNotFoundError:
        return StalePart(part, f"{path.name} is not there yet", is_missing=True)
    except PermissionError as error:
        raise ResultsError(f"{path}: may not be read ({error.strerror}); change its mode") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return StalePart(part, f"{path.name} is damaged ({type(error).__name__})")
    changes = differences(key, part.key)
    if code not in (None, stored_code):
        changes.append("code changed")
    if changes:
        return StalePart(part, ", ".join(changes))
    for name, digest in files.items():
        current_digest = file_digest(folder / name)
        if current_digest is None:
            return StalePart(part, f"{name} is missing")
        if current_digest != digest:
            return StalePart(
                part, f"{name} is damaged (its SHA-256 is not the one recorded when it was written)"
            )
    return stored


def read_key(path: Path) -> Mapping[str, Any] | None:
    """Return the key of a stored part, or None if there is none that can be read."""
    try:
        key = _read_fields(path)[0]["key"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return key if isinstance(key, dict) else None


def read_code(path: Path) -> str | None:
    """Return the version of the code that computed a stored part, or None if it cannot be read."""
    try:
        return str(_read_fields(path)[0].get("code", ""))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _read_fields(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a part holds, after checking its digest.

    Raises:
        ValueError: the digest is wrong, or there is none.
    """
    data = read_regular(path)
    if path.suffix == ".json":
        fields = json.loads(data)
        if not isinstance(fields, dict):
            raise ValueError("not a JSON object")
        digest = fields.pop("sha256")
        if hashlib.sha256(_to_json(fields)).hexdigest() != digest:
            raise ValueError("the digest is wrong")
        return fields, {}
    with zipfile.ZipFile(io.BytesIO(_unsealed(data))) as archive:
        arrays = {name.removesuffix(".npy"): _read_array(archive.read(name)) for name in archive.namelist()}
    return json.loads(arrays.pop(RECORD).tobytes()), arrays


def _read_array(data: bytes) -> "np.ndarray":
    """Return the array of an .npy file, as `numpy.load` does without pickles.

    A study has tens of thousands of small arrays with a few headers among them: numpy parses every header
    as a Python literal, about 80 µs an array; here each distinct header is parsed once.
    """
    import numpy as np

    end = _START + int.from_bytes(data[8:_START], "little")
    shape, is_fortran, dtype = _read_header(data[:end])
    if is_fortran or dtype.hasobject:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return np.ndarray(shape, dtype, data, end).copy()  # a copy may be written to


_START = 10  # where the header of an .npy file of version 1.0 begins: after magic, version and its length


@lru_cache(maxsize=1024)
def _read_header(start: bytes) -> "tuple[tuple[int, ...], bool, np.dtype]":
    import numpy as np

    stream = io.BytesIO(start)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"an array in version {version} of the .npy format, expected (1, 0)")
    return np.lib.format.read_array_header_1_0(stream)


def _to_json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _sealed(archive: bytes) -> bytes:
    """Return a zip archive with its own SHA-256 as its comment; every zip reader still opens it."""
    digest = hashlib.sha256(archive).hexdigest().encode()
    # The archive ends with the length of its comment, in two bytes, and the comment, so far empty.
    return archive[:-2] + len(digest).to_bytes(2, "little") + digest


def _unsealed(data: bytes) -> bytes:
    """Return the archive as it was before it was sealed, after checking its digest.

    Raises:
        ValueError: the digest is wrong.
    """
    archive, digest = data[:-66] + bytes(2), data[-64:]
    if hashlib.sha256(archive).hexdigest().encode() != digest or data[-66:-64] != b"\x40\0":
        raise ValueError("the digest is wrong")
    return archive
