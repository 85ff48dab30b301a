"""Data in arrays: the entry of a dataset that a function returns whole, such as one of scikit-learn."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from spaceprobe.data.entry import DataError, DataOptions, DatasetEntry, training_points_asked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spaceprobe.data.dataset import Dataset


def arrays_entry(
    read: "Callable[[], tuple[ArrayLike, ArrayLike]]",
    *,
    input_shape: tuple[int, ...],
    num_classes: int,
    num_training_points: int,
    describe_class: Callable[[int], str] = "class {}".format,
    origin: str | None = None,
) -> DatasetEntry:
    """Return the entry of a dataset in two arrays, of which some points are trained on, the others tested.

    Which ones is drawn, the same for every study; of the training points ``data.train_images`` takes the
    first. A `DataError` says what does not fit when the data are loaded.

    Args:
        read: returns the inputs, shape ``(points, *input_shape)`` or each in a row, best in [0, 1], and the
            class of each.
        input_shape: of one input: ``(height, width)`` of images.
        num_classes: the number of classes, which are numbered from 0.
        num_training_points: how many points can be trained on.
        describe_class: as of `DatasetEntry`.
        origin: what provenance says of the data; None for nothing.
    """

    def load(options: DataOptions) -> "Dataset":
        import numpy as np
        import torch

        from spaceprobe.data.dataset import Dataset, Split

        inputs, classes = map(np.asarray, read())
        num_points = len(inputs)
        is_class = np.isin(classes, range(num_classes))
        problems = {
            f"an input has shape {inputs.shape[1:]}: expected {input_shape}": (
                inputs.shape[1:] not in (input_shape, (math.prod(input_shape),))
            ),
            "an input is not a finite number": not np.isfinite(inputs).all(),
            f"expected a class from 0 to {num_classes - 1} for each of the {num_points} inputs": (
                classes.shape != (num_points,) or not is_class.all()
            ),
            f"num_training_points is {num_training_points}: expected 1 to {num_points - 1}": (
                not 0 < num_training_points < num_points
            ),
        }
        for problem, is_there in problems.items():
            if is_there:
                raise DataError(f"data.dataset: {options.dataset}: {problem}")
        order = np.random.RandomState(0).permutation(num_points)  # whose numbers NumPy keeps as they are
        train, test = (
            Split(
                torch.from_numpy(inputs[numbers].reshape(len(numbers), -1).astype(np.float32)),
                torch.from_numpy(classes[numbers].astype(np.int64)),
            )
            for numbers in np.split(order, [num_training_points])
        )
        return Dataset(train, test, num_classes).first(num_asked(options))

    def num_asked(options: DataOptions) -> int:
        return training_points_asked(options, num_training_points, options.dataset)

    return DatasetEntry(
        input_shape=input_shape,
        num_classes=num_classes,
        settings=("train_images",),
        load=load,
        num_training_points=num_asked,
        check=num_asked,
        describe_class=describe_class,
        origin=lambda _: origin,
    )
