"""Decoded pixels once a machine: a file in the user's cache that all its processes map into memory.

Sixty-four workers that each decode MNIST hold 14 GB of the same numbers; those that map one file share its
pages. The file is not trusted, and no digest of it is kept: whatever damages the file could damage a digest
beside it. Each process decodes the source's pixels again, block by block, and compares the file with them bit
for bit, which is faster than a digest of that many bytes. No torch is needed.
"""

import hashlib
import io
import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from spaceprobe.files import open_whole, remove_abandoned
from spaceprobe.machine.folders import cache_folder
from spaceprobe.reading import open_regular

logger = logging.getLogger(__name__)

FOLDER = "decoded"
"""Of the decoded files, below the user's cache folder; it may be removed whenever nothing runs."""

WHITE = np.float32(255)
MIN_BYTES = 1 << 20  # chosen: the images of small tests, and of a user's trials, are not worth a file
BLOCK_BYTES = 1 << 20  # chosen: stays in a core's cache, and blocks of 0.25 to 4 MB are as fast


def decoded_pixels(
    raw: UInt8[np.ndarray, "points features"], name: str
) -> Float32[np.ndarray, "points features"]:
    """Return grey levels / 255 as float32, in memory that all processes of this machine share.

    The array is mapped privately from a file in the user's cache, made when it is missing, and again, with
    a warning, when it is not what the levels decode to. Writing into the array changes neither the file nor
    what another process sees. Below 1 MB, and with one warning where the cache cannot be used, the array is
    in this process's own memory; its bits are the same.

    A file arrives whole, by one rename. Where two processes make it at once, both are right, and the second
    keeps the first one's. A mapped file must not be cut short by others: that ends its readers (SIGBUS).

    Args:
        raw: grey levels, 0 to 255, of a source that the caller has checked.
        name: starts the file's name, which ends in the digest of the levels.
    """
    if raw.size * WHITE.itemsize < MIN_BYTES:
        return _decoded(raw)
    content = hashlib.sha256(np.ascontiguousarray(raw).data).hexdigest()
    try:
        path = cache_folder() / FOLDER / f"{name}-{content}.npy"
    except OSError as error:
        _warn_once(f"the cache cannot be used ({error})")
        return _decoded(raw)
    remove_abandoned(path.parent)  # of processes that were killed while they wrote
    try:
        if not os.path.lexists(path):
            _write(path, raw, replace=False)
        elif (pixels := _mapped(path, raw)) is not None:
            return pixels
        else:
            logger.warning("%s is damaged; it is decoded again", path)
            _write(path, raw, replace=True)
        pixels = _mapped(path, raw)
    except OSError as error:
        _warn_once(f"{path.parent} cannot be used ({error.strerror or error})")
        return _decoded(raw)
    if pixels is None:
        _warn_once(f"{path.parent} gives other bytes than were written to it")
        return _decoded(raw)
    return pixels


def _decoded(raw: UInt8[np.ndarray, "points features"]) -> Float32[np.ndarray, "points features"]:
    pixels = np.empty(raw.shape, np.float32)
    np.divide(raw, WHITE, out=pixels, casting="same_kind")
    return pixels


def _blocks(raw: UInt8[np.ndarray, "points features"]) -> Iterator[Float32[np.ndarray, "block features"]]:
    """Yield the pixels block by block, each in the same memory."""
    num_points = max(1, BLOCK_BYTES // (raw.shape[1] * WHITE.itemsize))
    block = np.empty((num_points, raw.shape[1]), np.float32)
    for start in range(0, len(raw), num_points):
        levels = raw[start : start + num_points]
        yield np.divide(levels, WHITE, out=block[: len(levels)], casting="same_kind")


def _header(shape: tuple[int, ...]) -> bytes:
    """Return how a .npy file of float32 begins: a multiple of 64 bytes, torch's own alignment."""
    file = io.BytesIO()
    description = np.lib.format.dtype_to_descr(np.dtype(np.float32))
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})
    return file.getvalue()


def _mapped(
    path: Path, raw: UInt8[np.ndarray, "points features"]
) -> Float32[np.ndarray, "points features"] | None:
    """Return the pixels of a file, or None where they are not those of the grey levels.

    The header is compared and not parsed, so it cannot lie. What is compared is read rather than mapped: a
    disk's error is an error then, and not the end of the process.
    """
    header = _header(raw.shape)
    try:
        file = open_regular(path)
    except FileExistsError:  # a pipe, or a device
        return None
    with file:
        if os.fstat(file.fileno()).st_size != len(header) + raw.size * WHITE.itemsize:
            return None
        if file.read(len(header)) != header:
            return None
        memory = bytearray(max(BLOCK_BYTES, raw.shape[1] * WHITE.itemsize))
        for block in _blocks(raw):
            num_bytes = file.readinto(memoryview(memory)[: block.nbytes])
            stored = np.frombuffer(memory, np.uint32, count=num_bytes // 4)
            if not np.array_equal(stored, block.reshape(-1).view(np.uint32)):  # bits: -0 is not 0
                return None
        mapped = np.memmap(file, np.float32, mode="c", offset=len(header), shape=raw.shape)
    return mapped.view(np.ndarray)


def _write(path: Path, raw: UInt8[np.ndarray, "points features"], *, replace: bool) -> None:
    with open_whole(path, keep_existing=not replace) as file:  # those who map the first file share it
        file.write(_header(raw.shape))
        for block in _blocks(raw):
            file.write(block.data)


@cache
def _warn_once(problem: str) -> None:
    logger.warning("%s; each process decodes the images for itself, in memory of its own", problem)
