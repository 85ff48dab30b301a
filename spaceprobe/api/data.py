"""Data sets in memory, for code of one's own."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from jaxtyping import Float32, Int64
from pydantic import ValidationError
from torch import Tensor

from spaceprobe.api.display import first_rows, html_page
from spaceprobe.data.dataset import Split
from spaceprobe.data.entry import ALL_TRAINING_POINTS, DataError
from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.stages.train.settings import OWN, DataSettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


@dataclass(frozen=True)
class LoadedPoints:
    """Points of a data set and their classes.

    Attributes:
        inputs: one flat row a point, as the networks of spaceprobe take them; pixels are in [0, 1].
        images: the same in their own shape: (height, width) of grey images, (channels, height, width) of
            colour images; of other points as the inputs.
        labels: the number of each one's class, from 0.
    """

    inputs: Float32[Tensor, "points features"]
    images: Float32[Tensor, "points *shape"]
    labels: Int64[Tensor, " points"]

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.inputs)

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.images.shape[1:]))
        return f"{len(self):,} points of {shape}"


@dataclass(frozen=True, repr=False)
class LoadedData:
    """A data set in memory.

    Attributes:
        name: what it is called.
        train: the points that networks are trained on.
        test: those that they are tested on, and that paths go between.
        class_names: the name of each class; its number as text where it has no other.
    """

    name: str
    train: LoadedPoints
    test: LoadedPoints
    class_names: tuple[str, ...]

    @cached_property
    def _classes(self) -> pd.DataFrame:
        counts = {
            split: points.labels.bincount(minlength=len(self.class_names)).tolist()
            for split, points in (("train", self.train), ("test", self.test))
        }
        return pd.DataFrame({"class": self.class_names, **counts})

    def _describe(self) -> str:
        return f"{self.name}: train {self.train!r}, test {self.test!r}, {len(self.class_names)} classes"

    def __repr__(self) -> str:
        return f"{self._describe()}\n{first_rows(self._classes)}"

    def _repr_html_(self) -> str:
        return html_page(self._describe(), self._classes)


def load_data(
    name: str | None = None,
    *,
    file: str | Path | None = None,
    folder: str | Path | None = None,
    root: str | Path | None = None,
    download: bool = False,
    train_images: int = ALL_TRAINING_POINTS,
) -> LoadedData:
    """Return a data set: training and test points with their classes, and the names of these.

    Args:
        name: such as ``mnist`` and ``digits``, which need no download; the error for another name lists all.
        file: instead of a name, an .npz file of arrays (docs/data.md).
        folder: instead of a name, a folder of images (docs/data.md).
        root: a folder in torchvision's layout with the files of a named data set.
        download: whether missing files are fetched from the addresses that torchvision knows.
        train_images: the first so many training points; the default takes all, up to 60,000.

    Raises:
        SpaceprobeError: no data set has this name, or files are missing or unreadable.
    """
    names = ", ".join(known for known in DATASETS if known not in OWN)
    if name is None and file is None and folder is None:
        raise SettingsError(f"expected a name, a file or a folder; names are {names}")
    if name is not None and (name not in DATASETS or name in OWN):
        raise SettingsError(f"{name!r} is not the name of a data set; choose one of {names}")
    given = {"dataset": name, "file": file, "folder": folder, "root": root}
    options = {"download": download, "train_images": train_images}
    try:
        settings = DataSettings.model_validate(
            options | {key: value for key, value in given.items() if value is not None}
        )
    except ValidationError as error:
        raise SettingsError("; ".join(map(_problem, error.errors()))) from error
    entry = DATASETS[settings.dataset]
    try:
        data, layout = entry.load(settings), entry.layout(settings)
    except DataError as error:
        raise DataError(_in_python(str(error))) from error
    class_names = layout.class_names or tuple(map(str, range(data.num_classes or 0)))
    train, test = (_points(split, layout.input_shape) for split in (data.train, data.test))
    return LoadedData(entry.place(settings) if name is None else name, train, test, class_names)


def _problem(error: "ErrorDetails") -> str:
    """Return what pydantic says of an argument, with its name."""
    name, text = ".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")
    return f"{name} is {error['input']!r}: {text}" if name else text


def _in_python(text: str) -> str:
    """Return a sentence about the settings of a study with arguments in their place."""
    return re.sub(r"\bdata\.", "", re.sub(r"\bset data\.(\w+): true", r"give \1=True", text))


def _points(split: Split, shape: tuple[int, ...]) -> LoadedPoints:
    shape = shape or split.inputs.shape[1:]
    return LoadedPoints(split.inputs, split.inputs.unflatten(1, shape), split.targets)
