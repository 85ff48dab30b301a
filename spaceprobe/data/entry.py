"""What a dataset says of itself, so that nothing else has to know it. Without torch."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from spaceprobe.errors import SpaceprobeError
from spaceprobe.registry import Entry

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset


class DataError(SpaceprobeError):
    """A dataset is missing, damaged or unreadable."""


@runtime_checkable  # for the checks of types while the tests run
class DataOptions(Protocol):
    """The section ``data`` of a study, as far as datasets read it."""

    @property
    def dataset(self) -> str:
        """The name of the dataset."""

    @property
    def root(self) -> Path | None:
        """A user's folder with the files; None for the dataset's own place."""

    @property
    def download(self) -> bool:
        """Whether missing files are downloaded."""

    @property
    def train_images(self) -> int:
        """The number of training images, the first of the dataset."""

    @property
    def task(self) -> str:
        """Either ``classification`` or ``regression``."""

    @property
    def points(self) -> int:
        """The number of training points that are drawn."""

    @property
    def noise(self) -> float:
        """The standard deviation of the noise of drawn points."""

    @property
    def points_seed(self) -> int:
        """The seed of drawn points."""


def _digest_of_nothing(options: DataOptions) -> str:
    del options
    return hashlib.sha256().hexdigest()


def _unknown(options: DataOptions) -> None:
    del options


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """One dataset. Its file imports no torch at the top, since studies are planned with it.

    Attributes:
        input_shape: of one input: ``(height, width)`` of images.
        num_classes: the number of classes, which are numbered from 0; of a regression they do not count.
        tasks: what networks can be trained to do with it.
        settings: the settings of the section ``data`` that concern this dataset and not every other one.
        load: returns the dataset, its training points cut to those asked for. Raises a `DataError` where a
            file is missing, unreadable or something else, or a download failed.
        digest: returns a digest of its files, 64 hexadecimal digits, without torch; raises as `load`. Not for
            data without files.
        num_training_points: returns how many training points are asked for.
        check: raises a `DataError` where its files are there and do not have as many points as are asked for.
        origin: returns whether its files are those that were published, in a word for provenance; None where
            it has none. Raises as `load`.
        test_classes: returns the classes that the test points have, without torch; None where that is not
            known without more work, or files are missing.
        describe_class: returns what a reader is told of a class, such as ``a 7``.
    """

    input_shape: tuple[int, ...]
    num_classes: int
    tasks: tuple[str, ...] = ("classification",)
    settings: tuple[str, ...] = ()
    load: "Callable[[DataOptions], Dataset]"
    digest: Callable[[DataOptions], str] = _digest_of_nothing
    num_training_points: Callable[[DataOptions], int]
    check: Callable[[DataOptions], None] = _unknown
    origin: Callable[[DataOptions], str | None] = _unknown
    test_classes: Callable[[DataOptions], frozenset[int] | None] = _unknown
    describe_class: Callable[[int], str] = "class {}".format

    @property
    def has_images(self) -> bool:
        """Whether its inputs are images: only between these are paths folded."""
        return len(self.input_shape) > 1
