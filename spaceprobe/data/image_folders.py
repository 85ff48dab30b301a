"""A user's folder of images: ``train/CLASS/*.png`` and ``test/CLASS/*.png``, all of one size."""

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spaceprobe.data.entry import DataError, DataLayout
from spaceprobe.data.labelled_arrays import MAX_BYTES, check_names
from spaceprobe.data.stamps import Stamp, sha256_of, stamp_of_status
from spaceprobe.reading import check_regular

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".pgm": "PPM",
    ".ppm": "PPM",
}
"""The formats that are read, by the end of a file's name."""

CHANNELS = {"1": 1, "L": 1, "RGB": 3, "P": 3}
"""Of the kinds of images that are read, as PIL names them; a palette (P) becomes colours."""

MAX_PIXELS = 1 << 24
"""Chosen: of one image, 4096 × 4096; a few bytes can ask for terabytes of pixels."""

MAX_IMAGES = 1_000_000
"""Chosen: of a folder."""


@dataclass(frozen=True)
class ImageFile:
    """An image of a folder.

    Attributes:
        name: its path below the folder, with slashes.
        label: its class.
        stamp: of the file.
    """

    name: str
    label: int
    stamp: Stamp


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder, listed but not read.

    Attributes:
        path: the folder.
        where: the setting and the folder, to begin a message with.
        class_names: the names of the subfolders of ``train``, in order.
        train: the images to train on, by class and name.
        test: those to test on, by class and name.
    """

    path: Path
    where: str
    class_names: tuple[str, ...]
    train: Sequence[ImageFile]
    test: Sequence[ImageFile]

    def digest(self) -> str:
        """Return the SHA-256 of the sorted list of names and digests of all images.

        Raises:
            DataError: an image cannot be read.
        """
        lines = []
        for image in sorted((*self.train, *self.test), key=lambda image: image.name):
            try:
                lines.append(f"{image.name} {sha256_of(self.path / image.name, image.stamp)}\n")
            except OSError as error:
                raise DataError(f"{self.where}: {image.name} cannot be read ({error})") from error
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def layout(self) -> DataLayout:
        """Return the layout of the images: that of the first, with which the others have to agree.

        Raises:
            DataError: the first cannot be read.
        """
        first = self.train[0]
        with _opened(self, first) as image:
            channels, (width, height) = CHANNELS[image.mode], image.size
        shape = (height, width) if channels == 1 else (channels, height, width)
        num_bytes = 4 * math.prod(shape) * (len(self.train) + len(self.test))
        if num_bytes > MAX_BYTES:
            raise DataError(
                f"{self.where}: its images take {num_bytes:,} bytes as float32, allowed: {MAX_BYTES:,}; give "
                "fewer or smaller ones"
            )
        return DataLayout(shape, len(self.class_names), self.class_names)

    def pixels(self, images: Sequence[ImageFile]) -> "np.ndarray":
        """Return grey levels or colours of images, shape ``(images, height, width[, 3])``.

        Raises:
            DataError: one cannot be read, or has another size or kind than the first of the folder.
        """
        import numpy as np

        shape = self.layout().input_shape
        size = shape if len(shape) == 2 else (*shape[1:], shape[0])
        pixels = np.empty((len(images), *size), np.uint8)
        for place, image in enumerate(images):
            with _opened(self, image) as opened:
                self._check_like_the_first(image, opened, shape)
                try:
                    pixels[place] = np.asarray(opened.convert("L" if len(shape) == 2 else "RGB"))
                except (OSError, SyntaxError, ValueError) as error:  # what PIL raises at damaged pixels
                    raise _unreadable(self, image, error) from error
        return pixels

    def _check_like_the_first(self, image: ImageFile, opened: "Image", shape: tuple[int, ...]) -> None:
        channels = 1 if len(shape) == 2 else 3
        height, width = shape[-2:]
        if opened.size != (width, height) or CHANNELS[opened.mode] != channels:
            kinds = {1: "grey", 3: "in colour"}
            raise DataError(
                f"{self.where}: {image.name} has {opened.size[0]} x {opened.size[1]} pixels (width x height) "
                f"and is {kinds[CHANNELS[opened.mode]]}, {self.train[0].name} has {width} x {height} and is "
                f"{kinds[channels]}: expected one size and kind; resize or convert the images"
            )


def list_images(path: Path, where: str) -> ImageFolder:
    """Return the images of a folder. Names that begin with a dot are left out.

    Classes are in the order of the names of the subfolders of ``train``; if all of these are whole numbers,
    in that of the numbers.

    Raises:
        DataError: it has no such subfolders, a class without images, or a file that is not an image.
    """
    splits = {}
    for split in ("train", "test"):
        names = [entry.name for entry in _entries(path / split, where, split)]
        if not names:
            raise DataError(
                f"{where}: {split} has no subfolder: expected one a class, such as {split}/cat/1.png; add "
                "them"
            )
        splits[split] = sorted(names, key=int if all(map(_is_number, names)) else None)
    class_names = check_names(splits["train"], f"{where}: train")
    for one, other in (("train", "test"), ("test", "train")):
        for name in splits[one]:
            if name not in splits[other]:
                raise DataError(
                    f"{where}: {one}/{ascii(name)[1:-1]} has no counterpart in {other}: expected the same "
                    f"classes in train and test; add {other}/{ascii(name)[1:-1]} with at least one image, or "
                    "remove the other"
                )
    if len(class_names) < 2:
        raise DataError(f"{where}: train has one class only: expected at least 2 subfolders; add another")
    train, test = (
        [
            image
            for label, name in enumerate(class_names)
            for image in _images_of(path, f"{split}/{name}", label, where)
        ]
        for split in ("train", "test")
    )
    if len(train) + len(test) > MAX_IMAGES:
        raise DataError(f"{where}: it has {len(train) + len(test):,} images, allowed: {MAX_IMAGES:,}")
    return ImageFolder(path, where, class_names, train, test)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10 and (name == "0" or name[0] != "0")


def _entries(folder: Path, where: str, name: str) -> Iterator[os.DirEntry[str]]:
    """Yield what a folder holds, sorted, without what begins with a dot."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{where}: {name} is not a folder that can be read ({error.strerror}): expected "
            "train/CLASS/*.png and test/CLASS/*.png"
        ) from error
    yield from (entry for entry in found if not entry.name.startswith("."))


def _images_of(path: Path, folder: str, label: int, where: str) -> Iterator[ImageFile]:
    is_empty = True
    for entry in _entries(path / folder, where, folder):
        is_empty = False
        name = f"{folder}/{entry.name}"
        try:
            status = entry.stat()
            check_regular(path / name, status.st_mode)
        except OSError as error:
            raise DataError(f"{where}: {name} cannot be read ({error}); remove it") from error
        if Path(name).suffix.lower() not in FORMATS:
            raise DataError(
                f"{where}: {name} is not an image that is read: expected {', '.join(FORMATS)}; remove or "
                "convert it"
            )
        yield ImageFile(name, label, stamp_of_status(status))
    if is_empty:
        raise DataError(
            f"{where}: {folder} has no image: expected at least one a class; add some, or remove it"
        )


def _opened(folder: ImageFolder, image: ImageFile) -> "Image":
    """Return an image whose header was read and checked, its pixels not yet."""
    import warnings

    from PIL import Image

    path = folder.path / image.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of PIL: a size that is a bomb, a damaged header
            opened = Image.open(path, formats=[FORMATS[path.suffix.lower()]])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        raise _unreadable(folder, image, error) from error
    problem = ""
    if math.prod(opened.size) > MAX_PIXELS:
        problem = (
            f"has {opened.size[0]} x {opened.size[1]} pixels, allowed: {MAX_PIXELS:,} in all; make it smaller"
        )
    elif opened.mode not in CHANNELS:
        problem = (
            f"is of the kind {opened.mode}: expected {', '.join(CHANNELS)} (as PIL names them); convert it"
        )
    if problem:
        opened.close()
        raise DataError(f"{folder.where}: {image.name} {problem}")
    return opened


def _unreadable(folder: ImageFolder, image: ImageFile, error: BaseException) -> DataError:
    reason = str(error).partition("\n")[0]
    return DataError(
        f"{folder.where}: {image.name} cannot be read as an image ({reason}); replace or remove it"
    )
