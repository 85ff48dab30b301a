"""A function of the user's that returns arrays, in the working folder: ``data.function``."""

from typing import TYPE_CHECKING

from spaceprobe.data.entry import DataLayout, DataOptions, DatasetEntry, training_points_asked
from spaceprobe.user_sources import UserFunction, parse_function, source_digests

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset
    from spaceprobe.data.function_facts import FunctionFacts


def _function(options: DataOptions) -> UserFunction:
    return parse_function(str(options.function))


def _facts(options: DataOptions) -> "FunctionFacts":
    from spaceprobe.data.function_facts import facts_of

    return facts_of(_function(options))


def _digest(options: DataOptions) -> dict[str, str]:
    function = _function(options)
    sources = source_digests(function, f"data.function: {function}")
    return {
        **{f"{name} of data.function {function}": digest for name, digest in sources.items()},
        f"what data.function {function} returns": _facts(options).digest,
    }


def _read_layout(options: DataOptions) -> DataLayout:
    return _facts(options).layout


def _num_training_points(options: DataOptions) -> int:
    return training_points_asked(options, _facts(options).num_training_points, str(options.function))


def _load(options: DataOptions) -> "Dataset":
    from spaceprobe.data.function_facts import arrays_of, setting_of
    from spaceprobe.data.labelled_arrays import to_dataset

    function = _function(options)
    arrays, facts = arrays_of(function)
    dataset = to_dataset(arrays, facts.layout, setting_of(function), "function")
    return dataset.first(training_points_asked(options, facts.num_training_points, str(function)))


def _origin(options: DataOptions) -> str:
    sources = ", ".join(
        f"{name.partition(' ')[0]} {digest}" for name, digest in _digest(options).items() if " of " in name
    )
    digest = _facts(options).digest
    return f"your own code, run with --trust; SHA-256 of its arrays {digest}, of its files: {sources}"


ENTRY = DatasetEntry(
    settings=("function", "train_images"),
    read_layout=_read_layout,
    load=_load,
    digest=_digest,
    num_training_points=_num_training_points,
    check=_num_training_points,
    origin=_origin,
)
