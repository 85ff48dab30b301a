"""What a dataset says of itself, so that nothing else has to know it. Without torch."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from spaceprobe.errors import SpaceprobeError
from spaceprobe.registry import Entry

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset


logger = logging.getLogger(__name__)

ALL_TRAINING_POINTS = 60_000
"""The default of ``data.train_images``: all training points, where there are not more."""


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
    def file(self) -> Path | None:
        """A user's file of arrays."""

    @property
    def folder(self) -> Path | None:
        """A user's folder of images."""

    @property
    def function(self) -> str | None:
        """A user's function that returns arrays, as ``package.module:function``."""

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
    def cube_dimension(self) -> int:
        """The dimension of the points of a cube."""

    @property
    def points_seed(self) -> int:
        """The seed of drawn points."""


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as messages show it, such as ``(60, 5, 7)``."""
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


@dataclass(frozen=True)
class DataLayout:
    """What the points of a dataset look like.

    Attributes:
        input_shape: of one input: ``(height, width)`` of grey images, ``(channels, height, width)`` of colour
            images, ``(features,)`` of other points.
        num_classes: the number of classes, which are numbered from 0.
        class_names: of each class; empty where classes have numbers only.
    """

    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()

    @property
    def has_images(self) -> bool:
        """Whether the inputs are images."""
        return len(self.input_shape) > 1


def describe_digit(label: int) -> str:
    """Return what a reader is told of a class that is a digit, such as ``a 7``."""
    return f"a{'n' * (label == 8)} {label}"


def training_points_asked(options: DataOptions, num_there: int, place: str) -> int:
    """Return how many training points are asked for of data that have another number than MNIST.

    The default asks for all of them; of more than it names it takes the first, with a warning.

    Args:
        options: the section ``data``.
        num_there: how many training points there are.
        place: what a reader calls the data.

    Raises:
        DataError: more are asked for than there are.
    """
    asked = options.train_images
    if asked == ALL_TRAINING_POINTS:
        if num_there > asked:
            _warn_of_more(place, num_there)
        return min(asked, num_there)
    if asked > num_there:
        raise DataError(
            f"data.train_images: {asked} are asked for, and {place} has {num_there} training points; set "
            f"{num_there} or fewer, or leave it out for all"
        )
    return asked


@cache
def _warn_of_more(place: str, num_there: int) -> None:
    logger.warning(
        "%s has %s training points, of which the first %s are used; data.train_images: %s takes all",
        *(place, f"{num_there:,}", f"{ALL_TRAINING_POINTS:,}", num_there),
    )


def _digest_of_nothing(options: DataOptions) -> str:
    del options
    return hashlib.sha256().hexdigest()


def _unknown(options: DataOptions) -> None:
    del options


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """One dataset. Its file imports no torch at the top, since studies are planned with it.

    Attributes:
        input_shape: as of `DataLayout`; of no use where `read_layout` is given.
        num_classes: the number of classes, which are numbered from 0; of a regression they do not count.
        class_names: as of `DataLayout`.
        read_layout: returns the layout of data that only their files tell, without torch; raises as `load`.
            Between such points paths are folded, images or not.
        tasks: what networks can be trained to do with it.
        settings: the settings of the section ``data`` that concern this dataset and not every other one.
        load: returns the dataset, its training points cut to those asked for. Raises a `DataError` where a
            file is missing, unreadable or something else, or a download failed.
        digest: returns a digest of its files, 64 hexadecimal digits, or several by what they are of, in words
            for the reason why results are computed again. Without torch; raises as `load`. Not for data
            without files.
        num_training_points: returns how many training points are asked for.
        check: raises a `DataError` where its files are there and do not have as many points as are asked for;
            what it returns is not used.
        origin: returns what provenance says of its files, such as whether they are those that were published;
            None where it has none. Raises as `load`.
        test_classes: returns the classes that the test points have, without torch; None where that is not
            known without more work, or files are missing.
        describe_class: returns what a reader is told of a class without a name, such as ``a 7``.
    """

    input_shape: tuple[int, ...] = ()
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    read_layout: Callable[[DataOptions], DataLayout] | None = None
    tasks: tuple[str, ...] = ("classification",)
    settings: tuple[str, ...] = ()
    load: "Callable[[DataOptions], Dataset]"
    digest: Callable[[DataOptions], str | Mapping[str, str]] = _digest_of_nothing
    num_training_points: Callable[[DataOptions], int]
    check: Callable[[DataOptions], object] = _unknown
    origin: Callable[[DataOptions], str | None] = _unknown
    test_classes: Callable[[DataOptions], frozenset[int] | None] = _unknown
    describe_class: Callable[[int], str] = "class {}".format

    def layout(self, options: DataOptions) -> DataLayout:
        """Return what its points look like.

        Raises:
            DataError: only its files tell, and they are missing or unreadable.
        """
        if self.read_layout is not None:
            return self.read_layout(options)
        return DataLayout(self.input_shape, self.num_classes, self.class_names)

    def name_of_class(self, options: DataOptions, label: int) -> str:
        """Return what a reader is told of a class: its name if it has one.

        Raises:
            DataError: see `layout`.
        """
        names = self.layout(options).class_names
        return names[label] if names else self.describe_class(label)

    def place(self, options: DataOptions) -> str:
        """Return what a reader calls the data: the user's file, folder or function, or else the name."""
        place = getattr(options, self.name) if self.name in ("file", "folder", "function") else options.root
        return str(place or options.dataset)

    @property
    def is_walkable(self) -> bool:
        """Whether paths are folded between its test points: those of images, or a user's own."""
        return self.read_layout is not None or len(self.input_shape) > 1
