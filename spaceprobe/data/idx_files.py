"""The four IDX files of MNIST and of its kin: embedded, in a user's folder or downloaded; checked first.

MNIST is in the package and is unpacked once. Fashion-MNIST and KMNIST have the same four names in a folder
of their own. Nothing here imports torch: digests are wanted while a study is planned.
"""

import hashlib
import logging
import lzma
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path

import platformdirs

from spaceprobe.data.downloads import download_file
from spaceprobe.errors import SpaceprobeError

logger = logging.getLogger(__name__)

MD5_SUMS: Mapping[str, str] = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of each raw IDX file of MNIST, as published with the dataset."""

IMAGE_SETS: Mapping[str, str] = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
"""Our names and torchvision's, which are those of its folders as well."""

RAW_FOLDER = Path("MNIST") / "raw"
"""Where torchvision looks for MNIST below its root."""

LAYOUT = "torchvision's layout, unpacked: without .gz"


class DataError(SpaceprobeError):
    """A dataset is missing, damaged or unreadable."""


def raw_folder(root: Path, name: str) -> Path:
    """Return the folder below ``root`` that holds the four raw IDX files of an image set.

    Raises:
        DataError: no image set has this name.
    """
    if name not in IMAGE_SETS:
        raise DataError(
            f"data.dataset: no image set is called {name!r}; choose one of {', '.join(IMAGE_SETS)}"
        )
    return root / IMAGE_SETS[name] / "raw"


def image_root(name: str, root: Path | None, *, download: bool) -> Path:
    """Return a folder in torchvision's layout that holds the four files of an image set.

    Args:
        name: ``mnist``, ``fashion-mnist`` or ``kmnist``.
        root: a user's folder; None for the MNIST in the package and for a folder in the user's cache with
            the others.
        download: whether files that are missing, or shorter or longer than their header says, are
            downloaded into that folder. A file arrives whole or not at all.

    Raises:
        DataError: no image set has this name; files are missing; the download failed.
    """
    if root is None and name == "mnist":
        return embedded_root()
    place = _cache_root() if root is None else root
    folder = raw_folder(place, name)
    if download:
        try:
            absent = [file for file in MD5_SUMS if not _is_whole(folder / file)]
        except OSError as error:
            raise DataError(f"data.root: {folder} cannot be read ({error})") from error
        _download(IMAGE_SETS[name], absent, folder)
    elif root is None and not all((folder / file).is_file() for file in MD5_SUMS):
        raise DataError(
            f"data.root: {name} is not in the package; give data.root a folder with {', '.join(MD5_SUMS)} in "
            f"its subfolder {raw_folder(Path(), name)} ({LAYOUT}), or set data.download: true"
        )
    else:
        require_files(place, name)
    return place


def embedded_root() -> Path:
    """Return a folder in torchvision's layout that holds the embedded MNIST, unpacked and checked.

    It lies in the user's cache; where that cannot be written, in a temporary folder that lasts as long
    as the process, with one line of notice. A file that is missing or differs from its MD5 sum is
    unpacked again. Two processes may do so at once: each file arrives by one rename.

    Raises:
        DataError: the embedded files themselves are damaged.
    """
    root = _cache_root()
    try:
        _unpack_missing(root / RAW_FOLDER)
    except OSError as error:
        root = _temporary_root()
        logger.warning("the cache cannot be used (%s); MNIST is unpacked to %s", error, root)
        _unpack_missing(root / RAW_FOLDER)
    return root


def require_files(root: Path, name: str = "mnist") -> None:
    """Check that a user's folder holds the four files of an image set in torchvision's layout.

    Raises:
        DataError: naming what is missing and where it should lie.
    """
    folder = raw_folder(root, name)
    missing = [file for file in MD5_SUMS if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"data.root: {folder} lacks {', '.join(missing)}; put the raw IDX files of {IMAGE_SETS[name]} "
            f"there ({LAYOUT}), or {way_out(name)}"
        )


def way_out(name: str) -> str:
    """Return what a user can do who has no files of an image set."""
    if name == "mnist":
        return "leave data.root out to use the MNIST in the package"
    return "set data.download: true"


def digest(root: Path | None, name: str = "mnist", *, download: bool = False) -> str:
    """Return a digest of an image set's content: equal files give equal digests wherever they lie.

    A file is read again in the same process only after its size or its time of change has changed.

    Args:
        root: a folder in torchvision's layout; None for the MNIST in the package, which is not read, and
            for a folder in the user's cache with the others.
        name: ``mnist``, ``fashion-mnist`` or ``kmnist``.
        download: whether missing files are downloaded first.

    Raises:
        DataError: a file is missing or cannot be read, or the download failed.
    """
    sums = MD5_SUMS
    if root is not None or name != "mnist":
        folder = raw_folder(image_root(name, root, download=download), name)
        try:
            sums = {file: _remembered_md5_sum((folder / file).absolute()) for file in MD5_SUMS}
        except OSError as error:
            raise DataError(f"data.root: {folder} cannot be read ({error})") from error
    text = "\n".join(f"{file} {sums[file]}" for file in sorted(sums))
    return hashlib.sha256(text.encode()).hexdigest()


def _remembered_md5_sum(path: Path) -> str:
    status = path.stat()
    return _md5_sum_at(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)  # chosen: sixteen folders
def _md5_sum_at(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # they tell one state of the file from the next
    return md5_sum(path)


def md5_sum(path: Path) -> str:
    """Return the MD5 sum of a file in hexadecimal."""
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
    _write_whole(raw, target)


def _write_whole(raw: bytes, target: Path) -> None:
    # A name of its own for each process, and one rename: a reader sees the whole file or none.
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:  # an interrupt leaves no half file either
        Path(temporary).unlink(missing_ok=True)
        raise


def _download(torchvision_name: str, absent: Sequence[str], folder: Path) -> None:
    for position, name in enumerate(absent):
        logger.info("%s: %s is downloaded to %s", torchvision_name, name, folder)
        try:
            raw = download_file(torchvision_name, name)
        except (OSError, HTTPException) as error:
            names = ", ".join(absent[position:])
            reason = getattr(error, "reason", error)  # urllib wraps the sentence that says what happened
            raise DataError(
                f"data.download: {torchvision_name} cannot be downloaded ({reason}); put {names} into "
                f"{folder} ({LAYOUT})"
            ) from error
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(raw, folder / name)
        except OSError as error:
            raise DataError(
                f"data.download: {folder} cannot be written ({error}); give data.root a folder that can"
            ) from error


def _is_whole(path: Path) -> bool:
    """Return whether a file is as long as its IDX header says: a download that broke off is not."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.read(4 + 4 * 3)
    num_axes = header[3] if len(header) > 3 else 0
    start = 4 + 4 * num_axes  # IDX: two zeros, the type, the number of axes, then each axis in 4 bytes
    if num_axes not in (1, 3) or len(header) < start:
        return False
    sizes = [int.from_bytes(header[at : at + 4], "big") for at in range(4, start, 4)]
    return path.stat().st_size == start + math.prod(sizes)


def _cache_root() -> Path:
    return Path(platformdirs.user_cache_dir("spaceprobe", appauthor=False))


@cache
def _temporary_root() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="spaceprobe-mnist-")
    _temporary_folders.append(folder)
    return Path(folder.name)


_temporary_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
