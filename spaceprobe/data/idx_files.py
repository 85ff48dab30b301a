"""The four IDX files of MNIST: embedded in the package, unpacked once, never believed unchecked."""

import hashlib
import logging
import lzma
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import platformdirs

from spaceprobe.errors import SpaceprobeError

logger = logging.getLogger(__name__)

MD5_SUMS: Mapping[str, str] = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of each raw IDX file, as published with the dataset."""

RAW_FOLDER = Path("MNIST") / "raw"
"""Where torchvision looks below its root."""


class DataError(SpaceprobeError):
    """A dataset is missing, damaged or unreadable."""


def embedded_root() -> Path:
    """Returns a folder in torchvision's layout that holds the embedded MNIST, unpacked and checked.

    It lies in the user's cache; where that cannot be written, in a temporary folder that lasts as long
    as the process, with one line of notice. A file that is missing or differs from its MD5 sum is
    unpacked again. Two processes may do so at once: each file arrives by one rename.

    Raises:
        DataError: the embedded files themselves are damaged.
    """
    root = Path(platformdirs.user_cache_dir("spaceprobe", appauthor=False))
    try:
        _unpack_missing(root / RAW_FOLDER)
    except OSError as error:
        root = _temporary_root()
        logger.warning("the cache cannot be used (%s); MNIST is unpacked to %s", error, root)
        _unpack_missing(root / RAW_FOLDER)
    return root


def require_files(root: Path) -> None:
    """Checks that a user's folder holds the four files in torchvision's layout.

    Raises:
        DataError: naming what is missing and where it should lie.
    """
    missing = [name for name in MD5_SUMS if not (root / RAW_FOLDER / name).is_file()]
    if missing:
        raise DataError(
            f"data.root: {root / RAW_FOLDER} lacks {', '.join(missing)}; put the raw IDX files of MNIST "
            "there (torchvision's layout), or leave data.root out to use the MNIST in the package"
        )


def digest(root: Path | None) -> str:
    """Returns a digest of MNIST's content: equal files give equal digests wherever they lie.

    Args:
        root: a folder in torchvision's layout; None for the MNIST in the package, which is not read.

    Raises:
        DataError: a file of ``root`` is missing.
    """
    sums = MD5_SUMS
    if root is not None:
        require_files(root)
        sums = {name: md5_sum(root / RAW_FOLDER / name) for name in MD5_SUMS}
    text = "\n".join(f"{name} {sums[name]}" for name in sorted(sums))
    return hashlib.sha256(text.encode()).hexdigest()


def md5_sum(path: Path) -> str:
    """Returns the MD5 sum of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unpack_missing(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, expected in MD5_SUMS.items():
        target = folder / name
        if not target.is_file() or md5_sum(target) != expected:
            _unpack(name, target)


def _unpack(name: str, target: Path) -> None:
    packed = files("spaceprobe.data") / "mnist_files" / f"{name}.xz"
    raw = lzma.decompress(packed.read_bytes())
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != MD5_SUMS[name]:
        raise DataError(f"{packed} is damaged: install spaceprobe again")
    # A name of its own for each process, and one rename: a reader sees the whole file or none.
    handle, temporary = tempfile.mkstemp(prefix=f".{name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


@cache
def _temporary_root() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="spaceprobe-mnist-")
    _temporary_folders.append(folder)
    return Path(folder.name)


_temporary_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
