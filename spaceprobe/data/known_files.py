"""Whether the raw files of an image set are those that were published under its name.

MNIST and the sets like it have the same four file names, so one is easily put in the place of another. Of
MNIST and Fashion-MNIST, the SHA-256 sums of the raw files are known; of the others, the MD5 sums of the
packed files that torchvision downloads, which count where a ``.gz`` lies beside the raw file.
"""

import gzip
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from spaceprobe.data.entry import DataError
from spaceprobe.reading import open_regular, read_regular

PUBLISHED, UNVERIFIED = "published", "unverified"
"""What provenance says of a set whose files were compared, and of one whose files could not be."""

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

RAW_SHA256: Mapping[str, tuple[str, ...]] = {
    "MNIST": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "FashionMNIST": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
"""Of the raw files, in the order of `FILES`: computed from the package's own MNIST, whose MD5 sums are the
published ones, and from Debian's package dataset-fashion-mnist."""

PACKED_MD5: Mapping[str, tuple[str, ...]] = {
    "MNIST": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "FashionMNIST": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "KMNIST": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}
"""Of the packed files, ``.gz``, as torchvision has them: importing it takes a second, and a test compares."""


def _by_sum(sums: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, str]]:
    return {
        digest: (name, file)
        for name, digests in sums.items()
        for file, digest in zip(FILES, digests, strict=True)
    }


_RAW, _PACKED = _by_sum(RAW_SHA256), _by_sum(PACKED_MD5)


def check_origin(folder: Path, torchvision_name: str) -> str:
    """Return whether the four files in a folder are those of an image set, or could not be compared.

    Args:
        folder: the folder with the raw files.
        torchvision_name: the set that they should be.

    Returns:
        `PUBLISHED` or `UNVERIFIED`; the latter of a part of a set, as of files of one's own.

    Raises:
        DataError: one of them is known, and is that of another set or in the place of another file; or it is
            not what the published packed file beside it holds.
        OSError: one of them cannot be read.
    """
    known = [_is_known(folder / file, (torchvision_name, file)) for file in FILES]
    return PUBLISHED if all(known) else UNVERIFIED


def _is_known(path: Path, place: tuple[str, str]) -> bool:
    digest = _sha256(path)
    found = _RAW.get(digest)
    if found is None:
        found, is_content = _packed_beside(path, digest)
        if found == place and not is_content:
            raise DataError(
                f"data.root: {path} is not what {path.name}.gz beside it holds, which is the published file; "
                "unpack that again, or remove it if the raw file is your own"
            )
        if not is_content:
            return False
    if found is not None and found != place:
        raise DataError(
            f"data.root: {path} is {found[1]} of {found[0]}, not {place[1]} of {place[0]}; put the raw files "
            f"of {place[0]} there, or set data.dataset to what is there"
        )
    return found is not None


def _packed_beside(path: Path, digest: str) -> tuple[tuple[str, str] | None, bool]:
    """Return which published file the .gz beside a raw file is, and whether it holds the same."""
    try:
        packed = read_regular(path.with_name(f"{path.name}.gz"))
    except OSError:
        return None, False
    found = _PACKED.get(hashlib.md5(packed, usedforsecurity=False).hexdigest())
    if found is None:
        return None, False
    return found, hashlib.sha256(gzip.decompress(packed)).hexdigest() == digest


def _sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_at(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)  # chosen: sixteen folders
def _sha256_at(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # they tell one state of the file from the next
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
