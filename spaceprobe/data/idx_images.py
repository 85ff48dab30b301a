"""Image sets in the four IDX files of MNIST: how they are read, and the entry of such a set."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from spaceprobe.data import idx_files
from spaceprobe.data.entry import DataError, DataOptions, DatasetEntry
from spaceprobe.data.idx_files import IdxSet, idx_shape, image_root, raw_folder, way_out
from spaceprobe.data.stamps import Stamp, stamp_of
from spaceprobe.machine.paths import expanded

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from spaceprobe.data.dataset import Dataset, Split

IMAGE_SIZE = (28, 28)
NUM_CLASSES = 10


def idx_entry(images: IdxSet, describe_class: Callable[[int], str] = "class {}".format) -> DatasetEntry:
    """Return the entry of an image set of ten classes of 28 × 28 pixels.

    Args:
        images: its names and whether the package holds it.
        describe_class: as of `DatasetEntry`.
    """
    return DatasetEntry(
        input_shape=IMAGE_SIZE,
        num_classes=NUM_CLASSES,
        settings=("root", "train_images"),
        load=lambda options: load_images(images, _root(options), options.download).first(
            options.train_images
        ),
        check=lambda options: _check_number(images, options),
        digest=lambda options: idx_files.digest(images, _root(options), download=options.download),
        num_training_points=lambda options: options.train_images,
        describe_class=describe_class,
        origin=lambda options: idx_files.origin(images, _root(options)),
        test_classes=lambda options: idx_files.classes_of_test_images(images, _root(options), NUM_CLASSES),
    )


def _root(options: DataOptions) -> Path | None:
    """Return the user's folder, with what ~ and variables in its path stand for."""
    return None if options.root is None else expanded(options.root)


def _check_number(images: IdxSet, options: DataOptions) -> None:
    """Check that an image set has as many training images as are asked for, where its files are there.

    Raises:
        DataError: it has fewer.
    """
    root = _root(options)
    num_images = idx_files.num_training_images(images, root)
    if num_images is not None and num_images < options.train_images:
        raise DataError(
            f"data.train_images: {options.train_images} are asked for, and {root or images.name} has "
            f"{num_images}; set data.train_images: {num_images} or fewer, or give data.root more images"
        )


def load_images(images: IdxSet, root: Path | None = None, download: bool = False) -> "Dataset":
    """Return an image set.

    Args:
        images: which one.
        root: a folder in torchvision's layout; None for the files in the package, or else for a folder in
            the user's cache.
        download: whether missing files are downloaded there first.

    Raises:
        DataError: a file is missing, unreadable, or does not hold such images; the download failed.
    """
    from spaceprobe.data.dataset import Dataset

    train, test = (load_split(images, root, train=train, download=download) for train in (True, False))
    return Dataset(train, test, NUM_CLASSES)


def load_split(images: IdxSet, root: Path | None = None, *, train: bool, download: bool = False) -> "Split":
    """Return the training images of an image set (60,000 in those published) or its test images (10,000).

    Arguments and errors are those of `load_images`; what needs one split loads no other. The inputs of all
    processes of a machine share their memory, where the user's cache can be used (`decoded_pixels`).
    """
    folder = raw_folder(image_root(images, root, download=download), images).absolute()
    names = [f"{'train' if train else 't10k'}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
    try:
        stamps = tuple(stamp_of(folder / name) for name in names)
    except OSError as error:
        raise DataError(f"data.root: {folder} cannot be read ({error})") from error
    return _read_split(images, folder, train, stamps)


@lru_cache(maxsize=2)  # both splits of one dataset: the runs of a study share them
def _read_split(images: IdxSet, folder: Path, train: bool, stamps: tuple[Stamp, ...]) -> "Split":
    del stamps  # they tell one state of the files from the next
    import torch

    from spaceprobe.data.dataset import Split
    from spaceprobe.data.mapped import decoded_pixels

    start = "train" if train else "t10k"
    # Not torchvision's dataset class: it prefers a folder ``processed``, which no digest has seen.
    pixels = _read(folder / f"{start}-images-idx3-ubyte", images)
    labels = torch.from_numpy(_read(folder / f"{start}-labels-idx1-ubyte", images)).long()
    _check(pixels.shape, labels, f"data.root: the {start} files in {folder}", images)
    inputs = torch.from_numpy(decoded_pixels(pixels.reshape(len(pixels), -1), f"{images.name}-{start}"))
    return Split(inputs=inputs, targets=labels)


def _read(path: Path, images: IdxSet) -> "np.ndarray":
    """Return the numbers of an IDX file; importing torchvision's reader takes as long as importing torch."""
    import numpy as np

    try:
        shape = idx_shape(path)
        return np.fromfile(path, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    except (ValueError, OSError) as error:
        raise DataError(
            f"data.root: {path} cannot be read ({error}); "
            f"put the raw files of {images.torchvision_name} there, or {way_out(images)}"
        ) from error


def _check(shape: tuple[int, ...], labels: "Tensor", where: str, images: IdxSet) -> None:
    way = f"put the raw files of {images.torchvision_name} there, or {way_out(images)}"
    if shape[1:] != IMAGE_SIZE:
        size = " x ".join(map(str, shape[1:]))
        raise DataError(f"{where} hold images of {size} pixels, 28 x 28 are needed; {way}")
    if shape[0] != len(labels):
        raise DataError(f"{where} hold {shape[0]} images but {len(labels)} labels; {way}")
    largest = int(labels.max())
    if largest >= NUM_CLASSES:
        raise DataError(f"{where} hold the label {largest}, 0 to {NUM_CLASSES - 1} are allowed; {way}")
