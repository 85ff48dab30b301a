"""Image sets that torchvision reads, with a fixed split and images of one size: from a folder or downloaded.

A file whose MD5 sum torchvision publishes has to have it before it is read: some of these files are pickles.
Nothing here imports torchvision but where a set is read, since importing it takes a second.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.data.entry import DataError, DataOptions, DatasetEntry, training_points_asked
from spaceprobe.data.idx_files import idx_shape, remembered_md5_sum
from spaceprobe.machine.folders import cache_folder
from spaceprobe.machine.paths import expanded

if TYPE_CHECKING:
    import numpy as np

    from spaceprobe.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet:
    """An image set of torchvision.

    Attributes:
        class_name: in ``torchvision.datasets``.
        train: the arguments with which it gives its training images.
        test: those with which it gives its test images.
        files: the MD5 sum of each file that is read, by its path below the root; None where torchvision knows
            none.
        input_shape: as of `spaceprobe.data.entry.DataLayout`.
        class_names: in the order of their numbers; digits where empty.
        num_classes: the number of classes.
        num_training_points: in all, as published.
        first_label: the smallest label in the files; classes are numbered from 0 here.
        is_transposed: whether the images lie on their side in the files.
        bars: files that torchvision would read in the place of these, below the root.
    """

    class_name: str
    train: Mapping[str, Any] = field(default_factory=lambda: {"train": True})
    test: Mapping[str, Any] = field(default_factory=lambda: {"train": False})
    files: Mapping[str, str | None]
    input_shape: tuple[int, ...]
    class_names: Sequence[str] = ()
    num_classes: int = 10
    num_training_points: int
    first_label: int = 0
    is_transposed: bool = False
    bars: Sequence[str] = ()


def torchvision_entry(
    images: TorchvisionSet, describe_class: Callable[[int], str] = "class {}".format
) -> DatasetEntry:
    """Return the entry of an image set of torchvision.

    Args:
        images: the set.
        describe_class: as of `DatasetEntry`; of no use where classes have names.
    """

    def num_asked(options: DataOptions) -> int:
        return training_points_asked(options, _num_there(images, options), options.dataset)

    return DatasetEntry(
        input_shape=images.input_shape,
        num_classes=images.num_classes,
        class_names=tuple(images.class_names),
        settings=("root", "train_images"),
        load=lambda options: _load(images, options).first(num_asked(options)),
        check=num_asked,
        digest=lambda options: _digest(images, options),
        num_training_points=num_asked,
        describe_class=describe_class,
        origin=lambda options: _origin(images, options),
    )


def _num_there(images: TorchvisionSet, options: DataOptions) -> int:
    """Return how many training images there are: of IDX files, as their header says."""
    first = next(iter(images.files))
    with contextlib.suppress(OSError, ValueError):  # loading tells
        if "idx3" in first:
            return idx_shape(_root(options) / first)[0]
    return images.num_training_points


def _root(options: DataOptions) -> Path:
    """Return the folder that torchvision is given."""
    try:
        return cache_folder() / "torchvision" if options.root is None else expanded(options.root)
    except OSError as error:
        raise DataError(
            f"data.root: the cache cannot be used ({error}); give {options.dataset} a folder"
        ) from error


def _checked_root(images: TorchvisionSet, options: DataOptions) -> tuple[Path, dict[str, str]]:
    """Return the folder that torchvision is given, and the MD5 sums of the files there.

    Raises:
        DataError: one is missing, unreadable or not the published one; the download failed.
    """
    root = _root(options)
    lacking = [name for name in images.files if not (root / name).is_file()]
    if lacking and options.download:
        _download(images, root)
        lacking = [name for name in images.files if not (root / name).is_file()]
    if lacking:
        raise DataError(
            f"data.root: {root} lacks {', '.join(lacking)} of torchvision's {images.class_name}; put them "
            "there, or set data.download: true"
        )
    for bar in images.bars:
        if (root / bar).exists():
            raise DataError(f"data.root: {root / bar} would be read in the place of the raw files; remove it")
    try:
        sums = {name: remembered_md5_sum((root / name).absolute()) for name in images.files}
    except OSError as error:
        raise DataError(f"data.root: {root} cannot be read ({error})") from error
    for name, published in images.files.items():
        if published not in (None, sums[name]):
            raise DataError(
                f"data.root: {root / name} is not the published file of {images.class_name} (its MD5 sum is "
                f"{sums[name]}, not {published}); remove it and set data.download: true"
            )
    return root, sums


def _digest(images: TorchvisionSet, options: DataOptions) -> str:
    _, sums = _checked_root(images, options)
    return hashlib.sha256("\n".join(f"{name} {sums[name]}" for name in sorted(sums)).encode()).hexdigest()


def _origin(images: TorchvisionSet, options: DataOptions) -> str:
    _checked_root(images, options)
    return "unverified" if None in images.files.values() else "published"


def _download(images: TorchvisionSet, root: Path) -> None:
    import logging

    import torchvision.datasets

    logging.getLogger(__name__).info("%s is downloaded to %s", images.class_name, root)
    kind = getattr(torchvision.datasets, images.class_name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for arguments in (images.train, images.test):
            with contextlib.redirect_stderr(io.StringIO()):  # a progress bar, without a terminal too
                kind(str(root), **arguments, download=True)
    except Exception as error:  # of the network, of archives, of torchvision
        reason = getattr(error, "reason", error)
        raise DataError(
            f"data.download: torchvision cannot download {images.class_name} ({reason}); put "
            f"{', '.join(images.files)} into {root}"
        ) from error


def _load(images: TorchvisionSet, options: DataOptions) -> "Dataset":
    """Return an image set.

    Raises:
        DataError: a file is missing, not the published one, or not what torchvision can read.
    """
    import numpy as np
    import torchvision.datasets

    from spaceprobe.data.entry import DataLayout
    from spaceprobe.data.labelled_arrays import (
        LABELS,
        POINTS,
        ArrayHeader,
        check_headers,
        layout_of,
        to_dataset,
    )

    root, _ = _checked_root(images, options)
    where = f"data.root: {root}, torchvision's {images.class_name}"
    arrays: dict[str, np.ndarray] = {}
    for points, labels, arguments in zip(POINTS, LABELS, (images.train, images.test), strict=True):
        try:
            split = getattr(torchvision.datasets, images.class_name)(str(root), **arguments)
        except (RuntimeError, ValueError, TypeError, KeyError, EOFError, OSError) as error:
            raise DataError(
                f"{where} cannot be read ({error}); remove it and set data.download: true"
            ) from error
        arrays[points] = _pixels(images, np.asarray(split.data))
        targets = np.asarray(split.labels if hasattr(split, "labels") else split.targets)
        targets = targets if targets.ndim == 1 else targets[:, 0]  # QMNIST: the class, then who wrote it
        arrays[labels] = targets.astype(np.int64) - images.first_label
    headers = {name: ArrayHeader(array.shape, array.dtype) for name, array in arrays.items()}
    check_headers(headers, where)
    found = layout_of(headers, arrays, None, where)
    if found != DataLayout(images.input_shape, images.num_classes):
        raise DataError(
            f"{where}: expected {images.num_classes} classes of shape {images.input_shape}, got "
            f"{found.num_classes} of {found.input_shape}; remove it and set data.download: true"
        )
    return to_dataset(arrays, found, where, images.class_name.lower())


def _pixels(images: TorchvisionSet, pixels: "np.ndarray") -> "np.ndarray":
    """Return images upright, the channels of each last."""
    if pixels.ndim == 4 and pixels.shape[3] != 3:  # of CIFAR they are last already
        pixels = pixels.transpose(0, 2, 3, 1)
    return pixels.swapaxes(1, 2) if images.is_transposed else pixels
