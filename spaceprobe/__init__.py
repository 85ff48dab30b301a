"""Space folding and Layer Matrix Decomposition of ReLU networks, of those trained here and of your own.

The public face, imported where it is first used, since torch takes seconds:

- `fold`: how a straight path through a torch module folds, or a batch of them;
- `trace`: every event along a path or polyline: where it is, and which unit flips;
- `walk_paths`: the counts behind `fold`, read from both ends;
- `space_folding`: χ from length and reach;
- `decompose`: the five factors of a weight matrix, of a layer, or of every matrix of a module;
- `load_run`: the trained network of a run of a study;
- `load_data`: a data set by its name, or from a file or folder of your own;
- `read_tables`: the tables of a study as DataFrames;
- `TABLES`: what each table declares, and the types of its columns for pandas and polars;
- `Recorder`: folding and decomposition at chosen steps of any training loop.

`spaceprobe.api` describes them with examples, and has the functions that draw the tables of a study as well.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spaceprobe.api import (
        TABLES,
        Recorder,
        decompose,
        fold,
        load_data,
        load_run,
        read_tables,
        space_folding,
        trace,
        walk_paths,
    )

    __version__: str

__all__ = [
    "TABLES",
    "Recorder",
    "__version__",
    "decompose",
    "fold",
    "load_data",
    "load_run",
    "read_tables",
    "space_folding",
    "trace",
    "walk_paths",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("spaceprobe")
    if name not in __all__:
        raise AttributeError(f"module 'spaceprobe' has no attribute {name!r}")
    return getattr(import_module("spaceprobe.api"), name)


def __dir__() -> list[str]:
    return __all__
