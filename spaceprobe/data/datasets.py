"""Datasets, whole, as tensors in memory."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torchvision.datasets.mnist import read_image_file, read_label_file

from spaceprobe.data.idx_files import IMAGE_SETS, DataError, image_root, raw_folder, way_out
from spaceprobe.data.mapped import decoded_pixels

IMAGE_SIZE = (28, 28)
NUM_CLASSES = 10


@dataclass(frozen=True)
class Split:
    """Points and what a network should answer to them.

    Attributes:
        inputs: one row a point; of images the pixels in [0, 1] (grey level / 255), flattened.
        targets: the class of each point, or for regression its targets as a row.
    """

    inputs: Float32[Tensor, "points features"]
    targets: Int64[Tensor, "points"] | Float32[Tensor, "points outputs"]

    def first(self, num_points: int) -> "Split":
        """Return the first points, or all where there are fewer; nothing is copied.

        Raises:
            ValueError: num_points is below 1.
        """
        if num_points < 1:
            raise ValueError(f"num_points is {num_points}: expected at least 1")
        return Split(self.inputs[:num_points], self.targets[:num_points])


@dataclass(frozen=True)
class Dataset:
    """What networks are trained on and what they are tested on.

    Attributes:
        train: trained on.
        test: never trained on.
        num_classes: of a classification, which are numbered from 0; None for a regression.
    """

    train: Split
    test: Split
    num_classes: int | None

    @property
    def num_inputs(self) -> int:
        """The number of features of a point."""
        return self.train.inputs.shape[1]

    @property
    def num_outputs(self) -> int:
        """The outputs that a network needs: one logit a class, or one number a regression target."""
        return self.train.targets.shape[1] if self.num_classes is None else self.num_classes

    @property
    def is_classification(self) -> bool:
        """Whether the targets are classes."""
        return self.num_classes is not None

    def first(self, num_points: int) -> "Dataset":
        """Return the dataset with the first of its training points only (see `Split.first`)."""
        return replace(self, train=self.train.first(num_points))

    def with_labels(self, labels: Int64[Tensor, "points"]) -> "Dataset":
        """Return the dataset with other classes for its training points; the test points keep theirs.

        Raises:
            ValueError: it is a regression, or the labels are not one class for each training point.
        """
        if self.num_classes is None:
            raise ValueError("labels are for a classification: this dataset is a regression")
        if len(labels) != len(self.train.targets):
            raise ValueError(f"{len(labels)} labels for {len(self.train.targets)} training points")
        if not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise ValueError(
                f"labels run from {int(labels.min())} to {int(labels.max())}: expected 0 to "
                f"{self.num_classes - 1}"
            )
        return replace(self, train=Split(self.train.inputs, labels))


def load_image_dataset(name: str, root: Path | None = None, download: bool = False) -> Dataset:
    """Return an image set of ten classes of 28 × 28 pixels, read through torchvision.

    Args:
        name: ``mnist``, ``fashion-mnist`` or ``kmnist``.
        root: a folder in torchvision's layout; None for the MNIST in the package and for a folder in the
            user's cache with the others.
        download: whether missing files are downloaded there first.

    Raises:
        DataError: a file is missing, unreadable, or no such images; the download failed.
    """
    train, test = (load_image_split(name, root, train=train, download=download) for train in (True, False))
    return Dataset(train, test, NUM_CLASSES)


def load_image_split(name: str, root: Path | None, *, train: bool, download: bool = False) -> Split:
    """Return the training images of an image set (60,000 in those published) or its test images (10,000).

    Arguments and errors are those of `load_image_dataset`; what needs one split loads no other. The inputs of
    all processes of a machine share their memory, where the user's cache can be used (`decoded_pixels`).
    """
    return _read_split(name, root, train, download)


@lru_cache(maxsize=2)  # both splits of one dataset: the runs of a study share them
def _read_split(name: str, root: Path | None, train: bool, download: bool) -> Split:
    folder = raw_folder(image_root(name, root, download=download), name)
    start = "train" if train else "t10k"
    try:
        # Not torchvision's dataset class: it prefers a folder ``processed``, which no digest has seen.
        images = read_image_file(str(folder / f"{start}-images-idx3-ubyte"))
        labels = read_label_file(str(folder / f"{start}-labels-idx1-ubyte"))
    except (RuntimeError, ValueError, TypeError, OSError, AssertionError, IndexError, KeyError) as error:
        reason = str(error) or type(error).__name__  # torchvision asserts without a word
        raise DataError(
            f"data.root: torchvision cannot read the IDX files in {folder} ({reason}); "
            f"put the raw files of {IMAGE_SETS[name]} there, or {way_out(name)}"
        ) from error
    _check(images, labels, f"data.root: the {start} files in {folder}", name)
    inputs = torch.from_numpy(decoded_pixels(images.flatten(1).numpy(), f"{name}-{start}"))
    return Split(inputs=inputs, targets=labels)


def _check(images: Tensor, labels: Tensor, where: str, name: str) -> None:
    way = f"put the raw files of {IMAGE_SETS[name]} there, or {way_out(name)}"
    if images.shape[1:] != IMAGE_SIZE:
        size = " x ".join(map(str, images.shape[1:]))
        raise DataError(f"{where} hold images of {size} pixels, 28 x 28 are needed; {way}")
    if len(images) != len(labels):
        raise DataError(f"{where} hold {len(images)} images but {len(labels)} labels; {way}")
    largest = int(labels.max())
    if largest >= NUM_CLASSES:
        raise DataError(f"{where} hold the label {largest}, 0 to {NUM_CLASSES - 1} are allowed; {way}")
