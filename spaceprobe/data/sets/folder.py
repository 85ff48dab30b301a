"""A user's folder of images, ``train/CLASS/*.png`` and ``test/CLASS/*.png``: ``data.folder``."""

from typing import TYPE_CHECKING

from spaceprobe.data.entry import DataError, DataLayout, DataOptions, DatasetEntry, training_points_asked
from spaceprobe.data.image_folders import ImageFolder, list_images
from spaceprobe.machine.paths import expanded

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset


def _listed(options: DataOptions) -> ImageFolder:
    if options.folder is None:
        raise ValueError("data.folder is not set")
    return list_images(expanded(options.folder), f"data.folder: {options.folder}")


def _digest(options: DataOptions) -> dict[str, str]:
    return {f"data.folder {options.folder}": _listed(options).digest()}


def _read_layout(options: DataOptions) -> DataLayout:
    return _listed(options).layout()


def _num_training_points(options: DataOptions) -> int:
    return training_points_asked(options, len(_listed(options).train), str(options.folder))


def _load(options: DataOptions) -> "Dataset":
    import numpy as np

    from spaceprobe.data.labelled_arrays import to_dataset

    listed = _listed(options)
    # Sorted by class, the first training images would all be of one: the order is drawn, the same everywhere.
    order = np.random.RandomState(0).permutation(len(listed.train))  # whose numbers NumPy keeps as they are
    train = [listed.train[number] for number in order]
    arrays = {
        "x_train": listed.pixels(train),
        "y_train": np.array([image.label for image in train]),
        "x_test": listed.pixels(listed.test),
        "y_test": np.array([image.label for image in listed.test]),
    }
    dataset = to_dataset(arrays, listed.layout(), listed.where, "folder")
    if _listed(options) != listed:
        raise DataError(f"{listed.where} was changed while it was read; start again")
    return dataset.first(training_points_asked(options, len(train), str(options.folder)))


def _origin(options: DataOptions) -> str:
    listed = _listed(options)
    return (
        f"your own images, {len(listed.train)} to train on and {len(listed.test)} to test on; the SHA-256 of "
        f"their names and digests is {listed.digest()}"
    )


ENTRY = DatasetEntry(
    settings=("folder", "train_images"),
    read_layout=_read_layout,
    load=_load,
    digest=_digest,
    num_training_points=_num_training_points,
    check=_num_training_points,
    origin=_origin,
)
