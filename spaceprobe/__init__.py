"""Space folding and Layer Matrix Decomposition of ReLU networks.

The public face, imported where it is first used, since torch takes seconds:

- `walk_paths`: the folding of a batch of straight paths through a torch module;
- `decompose`: the five factors of a weight matrix;
- `space_folding`: χ from length and reach;
- `read_tables`: the tables of a study as DataFrames.

Every figure of a report is a function in `spaceprobe.report.figures`, from such tables to a figure of
matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spaceprobe.folding import space_folding, walk_paths
    from spaceprobe.lmd import decompose
    from spaceprobe.tables.frames import read_tables

    __version__: str

__all__ = ["__version__", "decompose", "read_tables", "space_folding", "walk_paths"]

_HOMES = {
    "decompose": "spaceprobe.lmd",
    "read_tables": "spaceprobe.tables.frames",
    "space_folding": "spaceprobe.folding",
    "walk_paths": "spaceprobe.folding",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("spaceprobe")
    if name not in _HOMES:
        raise AttributeError(f"module 'spaceprobe' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
