"""The four IDX files of MNIST and of sets like it: in the package, in a user's folder or downloaded; checked.

MNIST is in the package and is unpacked once. Fashion-MNIST and KMNIST have the same four names in a folder
of their own. Nothing here imports torch: digests are wanted while a study is planned.
"""

import hashlib
import logging
import lzma
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path

from spaceprobe.data.downloads import download_file
from spaceprobe.data.entry import DataError
from spaceprobe.data.known_files import check_origin
from spaceprobe.files import open_whole, remove_abandoned
from spaceprobe.machine.folders import cache_folder, temporary_folder
from spaceprobe.reading import open_regular, read_regular

logger = logging.getLogger(__name__)

MD5_SUMS: Mapping[str, str] = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of each raw IDX file of MNIST, as published with the dataset."""


@dataclass(frozen=True)
class IdxSet:
    """An image set in four IDX files.

    Attributes:
        name: its name in a study.
        torchvision_name: torchvision's, which is that of its folder as well.
        is_in_package: whether the package holds its files; their sums are then `MD5_SUMS`.
    """

    name: str
    torchvision_name: str
    is_in_package: bool = False


MNIST = IdxSet("mnist", "MNIST", is_in_package=True)

NUM_IN_PACKAGE = 60_000
"""The training images of the MNIST in the package."""

UNSIGNED_BYTES = 8
"""The type of the numbers in an IDX file, as its third byte says."""

RAW_FOLDER = Path("MNIST") / "raw"
"""Where torchvision looks for MNIST below its root."""

LAYOUT = "torchvision's layout, unpacked: without .gz"


def raw_folder(root: Path, images: IdxSet) -> Path:
    """Return the folder below ``root`` that holds the four raw IDX files of an image set."""
    return root / images.torchvision_name / "raw"


def image_root(images: IdxSet, root: Path | None, *, download: bool) -> Path:
    """Return a folder in torchvision's layout that holds the four files of an image set.

    Args:
        images: which one.
        root: a user's folder; None for the files in the package, or else for a folder in the user's cache.
        download: whether files that are missing, or shorter or longer than their header says, are
            downloaded into that folder. A file arrives whole or not at all.

    Raises:
        DataError: files are missing, or the download failed.
    """
    if root is None and images.is_in_package:
        return embedded_root()
    place = _own_cache(images) if root is None else root
    folder = raw_folder(place, images)
    if download:
        try:
            absent = [file for file in MD5_SUMS if not _is_whole(folder / file)]
        except OSError as error:
            raise DataError(f"data.root: {folder} cannot be read ({error})") from error
        _download(images.torchvision_name, absent, folder)
    elif root is None and not all((folder / file).is_file() for file in MD5_SUMS):
        raise DataError(
            f"data.root: {images.name} is not in the package; give data.root a folder with "
            f"{', '.join(MD5_SUMS)} in its subfolder {raw_folder(Path(), images)} ({LAYOUT}), or set "
            "data.download: true"
        )
    else:
        require_files(place, images)
    return place


def embedded_root() -> Path:
    """Return a folder in torchvision's layout that holds the embedded MNIST, unpacked and checked.

    It lies in the user's cache; where that cannot be written, in a temporary folder that lasts as long
    as the process, with one line of notice. A file that is missing or differs from its MD5 sum is
    unpacked again. Two processes may do so at once: each file arrives by one rename.

    Raises:
        DataError: the embedded files themselves are damaged.
    """
    try:
        root = cache_folder()
        _unpack_missing(root / RAW_FOLDER)
    except OSError as error:
        root = _temporary_root()
        logger.warning("the cache cannot be used (%s); MNIST is unpacked to %s", error, root)
        _unpack_missing(root / RAW_FOLDER)
    return root


def require_files(root: Path, images: IdxSet = MNIST) -> None:
    """Check that a user's folder holds the four files of an image set in torchvision's layout.

    Raises:
        DataError: naming what is missing and where it should lie.
    """
    folder = raw_folder(root, images)
    missing = [file for file in MD5_SUMS if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"data.root: {folder} lacks {', '.join(missing)}; put the raw IDX files of "
            f"{images.torchvision_name} there ({LAYOUT}), or {way_out(images)}"
        )


def way_out(images: IdxSet) -> str:
    """Return what a user can do who has no files of an image set."""
    if images.is_in_package:
        return f"leave data.root out to use the {images.torchvision_name} in the package"
    return "set data.download: true"


def digest(images: IdxSet, root: Path | None, *, download: bool = False) -> str:
    """Return a digest of an image set's content: equal files give equal digests wherever they lie.

    A file is read again in the same process only after its size or its time of change has changed.

    Args:
        images: which one.
        root: a folder in torchvision's layout; None for the files in the package, which are not read, or
            else for a folder in the user's cache.
        download: whether missing files are downloaded first.

    Raises:
        DataError: a file is missing or cannot be read, or is known to be another set's; the download failed.
    """
    sums = MD5_SUMS
    if root is not None or not images.is_in_package:
        folder = raw_folder(image_root(images, root, download=download), images)
        try:
            check_origin(folder, images.torchvision_name)
            sums = {file: remembered_md5_sum((folder / file).absolute()) for file in MD5_SUMS}
        except OSError as error:
            raise DataError(f"data.root: {folder} cannot be read ({error})") from error
    text = "\n".join(f"{file} {sums[file]}" for file in sorted(sums))
    return hashlib.sha256(text.encode()).hexdigest()


def origin(images: IdxSet, root: Path | None) -> str:
    """Return whether the files of an image set are those that were published, as `check_origin` tells.

    Raises:
        DataError: a file cannot be read, or is known to be another set's.
    """
    folder = _folder_of(images, root)
    if folder is None:
        return "published, in the package"
    try:
        return check_origin(folder, images.torchvision_name)
    except OSError as error:
        raise DataError(f"data.root: {folder} cannot be read ({error})") from error


def num_training_images(images: IdxSet, root: Path | None) -> int | None:
    """Return how many training images the header of their file declares; None where it is damaged."""
    folder = _folder_of(images, root)
    if folder is None:
        return NUM_IN_PACKAGE
    with suppress(OSError, ValueError):  # loading tells
        return idx_shape(folder / "train-images-idx3-ubyte")[0]
    return None


def classes_of_test_images(images: IdxSet, root: Path | None, num_classes: int) -> frozenset[int] | None:
    """Return the classes of the test images; None where their file is missing or damaged."""
    folder = _folder_of(images, root)
    if folder is None:
        return frozenset(range(num_classes))
    path = folder / "t10k-labels-idx1-ubyte"
    with suppress(OSError, ValueError):  # loading tells
        idx_shape(path)
        return frozenset(read_regular(path)[8:])
    return None


def _folder_of(images: IdxSet, root: Path | None) -> Path | None:
    """Return the folder of the raw files; None for those in the package."""
    if root is None and images.is_in_package:
        return None
    return raw_folder(_own_cache(images) if root is None else root, images)


def remembered_md5_sum(path: Path) -> str:
    """Return the MD5 sum of a file, read again in this process only after its size or time has changed."""
    status = path.stat()
    return _md5_sum_at(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)  # chosen: sixteen folders
def _md5_sum_at(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # they tell one state of the file from the next
    return md5_sum(path)


def md5_sum(path: Path) -> str:
    """Return the MD5 sum of a file in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unpack_missing(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)  # of processes that were killed while they wrote
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
    with open_whole(target) as file:
        file.write(raw)


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
            remove_abandoned(folder)  # of downloads that were killed
            _write_whole(raw, folder / name)
        except OSError as error:
            raise DataError(
                f"data.download: {folder} cannot be written ({error}); give data.root a folder that can"
            ) from error


def idx_shape(path: Path) -> tuple[int, ...]:
    """Return the sizes that the header of an IDX file of images (idx3) or labels (idx1) declares.

    IDX is two zeros, the type, the number of axes, the size of each axis in 4 bytes, and the numbers.

    Raises:
        ValueError: the header is another one, or the file has another length than it declares.
        OSError: the file cannot be read.
    """
    num_axes = 3 if "idx3" in path.name else 1
    needed = bytes([0, 0, UNSIGNED_BYTES, num_axes])
    with open_regular(path) as file:
        start, sizes = file.read(4), file.read(4 * num_axes)
    if start != needed:
        found = start.hex(" ") or "no byte"
        raise ValueError(f"it begins with {found}, and {needed.hex(' ')} is needed")
    if len(sizes) < 4 * num_axes:
        raise ValueError("it ends within its header")
    shape = tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4))
    num_bytes = len(start) + len(sizes) + math.prod(shape)
    if path.stat().st_size != num_bytes or not all(shape):
        raise ValueError(
            f"it has {path.stat().st_size:,} bytes, and its header needs {num_bytes:,} for "
            f"{' x '.join(map(str, shape))} numbers; each size has to be at least 1"
        )
    return shape


def _is_whole(path: Path) -> bool:
    """Return whether a file is as long as its IDX header says: a download that broke off is not."""
    try:
        return path.is_file() and bool(idx_shape(path))
    except ValueError:
        return False


def _own_cache(images: IdxSet) -> Path:
    try:
        return cache_folder()
    except OSError as error:
        raise DataError(
            f"data.root: the cache cannot be used ({error}); give {images.name} a folder"
        ) from error


@cache
def _temporary_root() -> Path:
    return temporary_folder("mnist")
