"""A user's .npz file with arrays to train and to test on: ``data.file``."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from spaceprobe.data.entry import DataError, DataLayout, DataOptions, DatasetEntry, training_points_asked
from spaceprobe.data.stamps import Stamp, sha256_of, stamp_of
from spaceprobe.machine.paths import expanded

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset


def _path(options: DataOptions) -> Path:
    return expanded(Path(str(options.file)))


def _where(options: DataOptions) -> str:
    return f"data.file: {options.file}"


def _stamp(options: DataOptions) -> Stamp:
    try:
        return stamp_of(_path(options))
    except FileNotFoundError as error:
        raise DataError(f"{_where(options)} does not exist; give the path of an .npz file") from error
    except OSError as error:
        raise DataError(f"{_where(options)} cannot be read ({error.strerror})") from error


def _digest(options: DataOptions) -> dict[str, str]:
    stamp = _stamp(options)
    try:
        return {f"data.file {options.file}": sha256_of(_path(options), stamp)}
    except OSError as error:
        raise DataError(f"{_where(options)} cannot be read ({error})") from error


def _read_layout(options: DataOptions) -> DataLayout:
    return _layout_at(_path(options).absolute(), _stamp(options), _where(options))[0]


@lru_cache(maxsize=64)  # chosen: the files of a sweep
def _layout_at(path: Path, stamp: Stamp, where: str) -> tuple[DataLayout, int]:
    """Return the layout of a file and the number of its training points; of the points, headers are read."""
    from spaceprobe.data.labelled_arrays import LABELS, NAMES, check_headers, layout_of
    from spaceprobe.data.npz_files import read_arrays, read_headers

    del stamp  # it tells one state of the file from the next
    headers = read_headers(path, where)
    check_headers(headers, where)
    small = read_arrays(path, (*LABELS, NAMES), where)
    return layout_of(headers, small, small.get(NAMES), where), headers["x_train"].shape[0]


def _num_training_points(options: DataOptions) -> int:
    _, number = _layout_at(_path(options).absolute(), _stamp(options), _where(options))
    return training_points_asked(options, number, str(options.file))


def _load(options: DataOptions) -> "Dataset":
    from spaceprobe.data.labelled_arrays import (
        LABELS,
        NAMES,
        POINTS,
        ArrayHeader,
        check_headers,
        layout_of,
        to_dataset,
    )
    from spaceprobe.data.npz_files import read_arrays

    where, stamp = _where(options), _stamp(options)
    arrays = read_arrays(_path(options), (*POINTS, *LABELS, NAMES), where)
    headers = {name: ArrayHeader(array.shape, array.dtype) for name, array in arrays.items()}
    check_headers(headers, where)
    layout = layout_of(headers, arrays, arrays.get(NAMES), where)
    dataset = to_dataset(arrays, layout, where, "file")
    if _stamp(options) != stamp:
        raise DataError(f"{where} was written while it was read; start again")
    return dataset.first(training_points_asked(options, len(arrays["x_train"]), str(options.file)))


def _origin(options: DataOptions) -> str:
    (digest,) = _digest(options).values()
    return f"your own file, SHA-256 {digest}"


ENTRY = DatasetEntry(
    settings=("file", "train_images"),
    read_layout=_read_layout,
    load=_load,
    digest=_digest,
    num_training_points=_num_training_points,
    check=_num_training_points,
    origin=_origin,
)
