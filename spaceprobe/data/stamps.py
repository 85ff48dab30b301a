"""Digests of files that are read again only when they have changed."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from spaceprobe.reading import open_regular

Stamp = tuple[int, int, int, int]
"""Size, time of change of content and of anything in nanoseconds, and inode: no program changes a file
without changing one of them."""


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file.

    Raises:
        OSError: it is missing, or this user may not look at it.
    """
    return stamp_of_status(path.stat())


def stamp_of_status(status: os.stat_result) -> Stamp:
    """Return the stamp of a file whose status is known."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def sha256_of(path: Path, stamp: Stamp | None = None) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Args:
        path: the file.
        stamp: of it, where it is known already.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    return _sha256_at(path.absolute(), stamp_of(path) if stamp is None else stamp)


@lru_cache(maxsize=1 << 18)  # chosen: the images of a large folder
def _sha256_at(path: Path, stamp: Stamp) -> str:
    del stamp  # it tells one state of the file from the next
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
