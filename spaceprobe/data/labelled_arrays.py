"""Arrays of a user: points and their classes to train and to test on, checked, and as a dataset.

The names are those of Keras: ``x_train``, ``y_train``, ``x_test``, ``y_test``, and here ``class_names``.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spaceprobe.data.entry import DataError, DataLayout, format_shape

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset

POINTS, LABELS = ("x_train", "x_test"), ("y_train", "y_test")
NAMES = "class_names"

MAX_BYTES = 8 << 30
"""Chosen: of all points in float32, in half the memory of a laptop."""

MAX_NAME_LENGTH = 100
"""Chosen: letters of the name of a class."""

MAX_LISTED = 5
"""Chosen: how many classes a message lists."""

SHAPES = "(points, features), (points, height, width) or (points, height, width, 1 or 3)"


class ArrayHeader(NamedTuple):
    """What is known of an array before its numbers are read."""

    shape: tuple[int, ...]
    dtype: np.dtype


def check_headers(headers: Mapping[str, ArrayHeader], where: str) -> None:
    """Check names, shapes and types of a user's arrays.

    Args:
        headers: of each array by its name.
        where: the setting and what it names, to begin a message with.

    Raises:
        DataError: what does not fit, in one sentence with the way out.
    """
    expected = [name for pair in zip(POINTS, LABELS, strict=True) for name in pair]
    lacking = [name for name in expected if name not in headers]
    foreign = [name for name in headers if name not in (*expected, NAMES)]
    if lacking or foreign:
        got = ", ".join(map(_quoted, headers)) or "no array"
        raise DataError(
            f"{where}: expected the arrays {', '.join(expected)} and, if classes have names, {NAMES}; got "
            f"{got}; {'rename them' if lacking else 'leave the others out'}"
        )
    for points, labels in zip(POINTS, LABELS, strict=True):
        _check_points(points, headers[points], where)
        _check_label_header(labels, headers[labels], points, headers[points], where)
    train, test = (headers[name] for name in POINTS)
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{where}: x_test has points of shape {format_shape(test.shape[1:])}, x_train of "
            f"{format_shape(train.shape[1:])}; give both one shape"
        )
    if (train.dtype.kind == "u") != (test.dtype.kind == "u"):
        raise DataError(
            f"{where}: x_train is of type {train.dtype}, x_test of {test.dtype}, and only uint8 is divided "
            "by 255; give both one type"
        )
    num_bytes = 4 * (math.prod(train.shape) + math.prod(test.shape))
    if num_bytes > MAX_BYTES:
        raise DataError(
            f"{where}: x_train and x_test take {num_bytes:,} bytes as float32, allowed: {MAX_BYTES:,}; give "
            "fewer or smaller points"
        )
    if NAMES in headers:
        shape, dtype = headers[NAMES]
        if len(shape) != 1 or dtype.kind != "U" or dtype.itemsize > 4 * MAX_NAME_LENGTH:
            raise DataError(
                f"{where}: {NAMES} is of type {dtype} and shape {format_shape(shape)}: expected one text of "
                f"at most {MAX_NAME_LENGTH} letters a class, such as numpy.array(['cat', 'dog'])"
            )


def _check_points(name: str, header: ArrayHeader, where: str) -> None:
    shape, dtype = header
    if not (dtype.kind in "fb" or dtype == np.uint8):
        raise DataError(
            f"{where}: {name} is of type {dtype}: expected uint8 (grey levels or colours, divided by 255), a "
            "float type or bool (both taken as they are); convert it with astype"
        )
    if not 2 <= len(shape) <= 4 or not all(shape):
        raise DataError(
            f"{where}: {name} has shape {format_shape(shape)}: expected {SHAPES}, each at least 1; reshape it"
        )
    if len(shape) == 4 and shape[3] not in (1, 3):
        raise DataError(
            f"{where}: {name} has shape {format_shape(shape)}: expected {SHAPES}; move the channels of an "
            f"image to its last axis, as {name}.transpose(0, 2, 3, 1) does from the first"
        )


def _check_label_header(
    name: str, header: ArrayHeader, points: str, points_header: ArrayHeader, where: str
) -> None:
    shape, dtype = header
    if dtype.kind not in "iu":
        raise DataError(
            f"{where}: {name} is of type {dtype}: expected integers, the class of each point from 0; convert "
            "it with astype"
        )
    if len(shape) != 1:
        raise DataError(
            f"{where}: {name} has shape {format_shape(shape)}: expected (points,), one class a point; "
            f"reshape it, as {name}.ravel() does"
        )
    if shape[0] != points_header.shape[0]:
        raise DataError(
            f"{where}: {name} has {shape[0]} classes for the {points_header.shape[0]} points of {points}: "
            "expected one a point; add or remove some"
        )


def layout_of(
    headers: Mapping[str, ArrayHeader], labels: Mapping[str, np.ndarray], names: np.ndarray | None, where: str
) -> DataLayout:
    """Return the layout of arrays whose headers were checked, and check their labels.

    Args:
        headers: of each array by its name.
        labels: the arrays of labels by their names.
        names: of the classes, where they have some.
        where: as of `check_headers`.

    Raises:
        DataError: a label is out of range, or a class has no point to train or to test on.
    """
    class_names = () if names is None else _class_names(names, where)
    largest = int(labels["y_train"].max())
    num_classes = len(class_names) or largest + 1
    for name in LABELS:
        low, high = int(labels[name].min()), int(labels[name].max())
        if low < 0 or high >= num_classes:
            source = f"the names in {NAMES}" if class_names else "y_train"
            raise DataError(
                f"{where}: {name} has the class {low if low < 0 else high}: expected 0 to {num_classes - 1}, "
                f"the classes of {source}; number the classes from 0"
            )
    if num_classes < 2:
        raise DataError(f"{where}: y_train has one class only: expected at least 2; add points of another")
    for name in LABELS:
        present = np.unique(labels[name])
        if len(present) < num_classes:  # found without a list of all classes: a wrong label makes millions
            first = np.flatnonzero(np.append(present, num_classes) != np.arange(len(present) + 1))[0]
            num_absent = num_classes - len(present)
            more = f" and of {num_absent - 1} more" if num_absent > 1 else ""
            raise DataError(
                f"{where}: {name} has no point of class {first}{more}: expected at least one of each class "
                f"from 0 to {num_classes - 1}; add some, or number the classes without gaps"
            )
    shape = headers["x_train"].shape[1:]
    if len(shape) == 3:
        shape = shape[:2] if shape[2] == 1 else (shape[2], *shape[:2])
    return DataLayout(shape, num_classes, class_names)


def _class_names(names: np.ndarray, where: str) -> tuple[str, ...]:
    try:
        class_names = tuple(names.tolist())
    except (ValueError, UnicodeError) as error:
        raise DataError(f"{where}: {NAMES} holds what is not text ({error}); write it again") from error
    return check_names(class_names, f"{where}: {NAMES}")


def check_names(names: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the names of classes, which have to be different and printable.

    Raises:
        DataError: one is not so.
    """
    names = tuple(names)
    for place, name in enumerate(names):
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME_LENGTH:
            raise DataError(
                f"{where}: the name of class {place} is {_quoted(name)}: expected 1 to {MAX_NAME_LENGTH} "
                "letters that can be printed; rename it"
            )
        if names.index(name) < place:
            raise DataError(
                f"{where}: {_quoted(name)} is the name of classes {names.index(name)} and {place}; give each "
                "its own"
            )
    return names


def _quoted(text: object) -> str:
    shown = ascii(str(text))
    return shown if len(shown) <= 60 else f"{shown[:57]}..."  # chosen


def to_dataset(arrays: Mapping[str, np.ndarray], layout: DataLayout, where: str, name: str) -> "Dataset":
    """Return checked arrays as a dataset.

    Args:
        arrays: by name; uint8 is divided by 255, other numbers are taken as they are.
        layout: of them.
        where: as of `check_headers`.
        name: of the decoded pixels in the user's cache.

    Raises:
        DataError: a number is not finite in float32.
    """
    import torch

    from spaceprobe.data.dataset import Dataset, Split

    train, test = (
        Split(
            torch.from_numpy(_inputs(arrays[points], f"{where}: {points}", f"{name}-{points[2:]}")),
            torch.from_numpy(arrays[labels].astype(np.int64)),
        )
        for points, labels in zip(POINTS, LABELS, strict=True)
    )
    return Dataset(train, test, layout.num_classes)


def _inputs(points: np.ndarray, where: str, name: str) -> np.ndarray:
    """Return points in float32, each flattened, the channels of an image first."""
    from spaceprobe.data.mapped import decoded_pixels

    if points.ndim == 4:
        points = points.transpose(0, 3, 1, 2)
    points = np.ascontiguousarray(points.reshape(len(points), -1))
    if points.dtype == np.uint8:
        return decoded_pixels(points, name)
    with np.errstate(over="ignore"):  # what is too large is infinite, and found below
        inputs = points.astype(np.float32)
    is_wrong = ~np.isfinite(inputs).all(axis=1)
    if is_wrong.any():
        number = int(is_wrong.argmax())
        value = points[number][~np.isfinite(inputs[number])][0]
        raise DataError(
            f"{where} holds {value} in point {number} ({is_wrong.sum()} of {len(points)} points have such "
            "numbers): expected finite numbers of float32; remove or replace them"
        )
    return inputs
