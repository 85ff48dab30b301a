"""Read a user's .npz file of arrays: no pickles, no more bytes than its headers and its size allow."""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from spaceprobe.data.entry import DataError
from spaceprobe.data.labelled_arrays import MAX_BYTES, ArrayHeader
from spaceprobe.reading import open_regular

MAX_SIDES = 32
"""Of an array: as many as NumPy of before 2.0 has."""

MAX_HEADER_BYTES = 10_000
"""Of one array: NumPy's own limit, below which it parses a header without running it."""

MAX_RATIO = 1_032
"""Bytes that deflate makes of one at most (https://zlib.net/zlib_tech.html)."""

BLOCK_BYTES = 1 << 24
"""Chosen: what is unpacked at once."""

WAY_OUT = "write it again with numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)"


def read_headers(path: Path, where: str) -> dict[str, ArrayHeader]:
    """Return shape and type of each array of a file, by name, without reading their numbers.

    Args:
        path: the file.
        where: the setting and the file, to begin a message with.

    Raises:
        DataError: the file is not such an archive, or a header does not fit its array.
    """
    with _opened(path, where) as archive:
        return {name: _header(archive, name, info, where)[0] for name, info in _members(archive, where)}


def read_arrays(path: Path, names: Collection[str], where: str) -> dict[str, np.ndarray]:
    """Return arrays of a file by name; those that it does not have are left out.

    Raises:
        DataError: see `read_headers`; or the file is damaged.
    """
    with _opened(path, where) as archive:
        return {
            name: _read(archive, name, info, where)
            for name, info in _members(archive, where)
            if name in names
        }


@contextmanager
def _opened(path: Path, where: str) -> Iterator[zipfile.ZipFile]:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except FileNotFoundError as error:
        raise DataError(f"{where} does not exist; give the path of an .npz file") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        # RuntimeError: it is encrypted; NotImplementedError: packed in another way than NumPy packs.
        raise DataError(f"{where} cannot be read as an .npz file ({error}); {WAY_OUT}") from error


def _members(archive: zipfile.ZipFile, where: str) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Yield the arrays of an archive by name."""
    seen = set()
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename or name in seen:
            kind = "is not an array" if name == info.filename else "is there twice"
            raise DataError(f"{where}: the member {info.filename!a} {kind}; {WAY_OUT}")
        seen.add(name)
        yield name, info


def _header(
    archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo, where: str
) -> tuple[ArrayHeader, bool, int]:
    """Return shape and type of an array, whether its first axis varies fastest, and where its numbers start.

    Raises:
        DataError: it holds objects, or its size is not what the header says.
    """
    with archive.open(info) as stream:
        try:
            shape, is_fortran, dtype = parse_header(stream)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise DataError(
                f"{where}: the header of {name!a} cannot be read ({_first_line(error)}); {WAY_OUT}"
            ) from error
        start = stream.tell()
    if dtype.hasobject or dtype.fields is not None or dtype.subdtype is not None:
        kind = "objects, which are pickles" if dtype.hasobject else "records"
        raise DataError(
            f"{where}: {name!a} holds {kind}: expected numbers, or texts for class_names; convert it with "
            "astype"
        )
    num_bytes = math.prod(shape) * dtype.itemsize
    if start + num_bytes != info.file_size or info.file_size > MAX_RATIO * info.compress_size + start:
        raise DataError(
            f"{where}: the header of {name!a} says {num_bytes:,} bytes, and the file holds "
            f"{max(0, info.file_size - start):,} in {info.compress_size:,}; {WAY_OUT}"
        )
    if num_bytes > MAX_BYTES:
        raise DataError(
            f"{where}: {name!a} takes {num_bytes:,} bytes, allowed: {MAX_BYTES:,}; give fewer or smaller "
            "points"
        )
    return ArrayHeader(shape, dtype), is_fortran, start


def parse_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return what the header of an array says: its shape, whether its first axis varies fastest, its type.

    Raises:
        ValueError: it is not a header of NumPy, or says more than these; what NumPy raises too.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {'.'.join(map(str, version))}, expected 1.0 or 2.0")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read(stream, MAX_HEADER_BYTES)
    except tokenize.TokenError as error:  # NumPy tries to read a header of Python 2
        raise ValueError("it is not a dictionary of Python") from error
    except ValueError as error:
        if "malformed node" in str(error):  # which goes on with the place of an object in memory
            raise ValueError("it holds more than a type, an order and a shape") from error
        raise
    if any(size < 0 for size in shape):
        raise ValueError(f"shape {shape}")
    if len(shape) > MAX_SIDES:
        raise ValueError(f"{len(shape)} dimensions, at most {MAX_SIDES}")
    return shape, is_fortran, dtype


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _read(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo, where: str) -> np.ndarray:
    """Return the numbers of an array."""
    (shape, dtype), is_fortran, start = _header(archive, name, info, where)
    array = np.empty(math.prod(shape), dtype)
    if dtype.itemsize == 0:  # empty texts
        return array.reshape(shape)
    with archive.open(info) as stream:
        stream.read(start)
        rest = array.view(np.uint8).data
        while rest:
            block = stream.read(min(len(rest), BLOCK_BYTES))
            if not block:
                raise EOFError(f"{name} ends before its last number")
            rest[: len(block)] = block
            rest = rest[len(block) :]
        stream.read(1)  # compares the sum of all bytes
    return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)
