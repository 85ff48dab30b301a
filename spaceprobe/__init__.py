"""Space folding and Layer Matrix Decomposition of ReLU networks.

The public face, imported where it is first used, since torch takes seconds:

- `fold`: the folding of a straight path through a torch module, or of a batch of them;
- `trace`: every event along a path: where it is, and which unit flips;
- `walk_paths`: the folding of a batch of straight paths through a torch module;
- `decompose`: the five factors of a weight matrix;
- `space_folding`: χ from length and reach;
- `read_tables`: the tables of a study as DataFrames;
- `TABLES`: what each table declares, and the types of its columns for pandas and polars.

`spaceprobe.api` describes them with examples, and has the functions that draw such tables as well.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spaceprobe.api import TABLES, decompose, fold, read_tables, space_folding, trace, walk_paths

    __version__: str

__all__ = [
    "TABLES",
    "__version__",
    "decompose",
    "fold",
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
