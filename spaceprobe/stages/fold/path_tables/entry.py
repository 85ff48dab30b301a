"""What a table with several rows of a single path declares. Without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spaceprobe.registry import Entry
from spaceprobe.stages.fold.path_measures.entry import WalkedPaths
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

LAYER = Column(
    "layer", "integer", "number of the layer, from 1: of each activation, in their order; 0 for all together"
)


def _observe_nothing(network: "nn.Module", images: "Tensor") -> None:
    del network, images


@dataclass(frozen=True, kw_only=True)
class PathTable(Entry):
    """A table with several rows of each path of ``folding.detail``, such as one a layer.

    Its file imports no torch at the top, since studies are planned with it.

    Attributes:
        setting: the setting of ``folding`` that asks for it, false by default.
        row: what a row is, before "of one of a seeded sample of the paths".
        key_columns: the columns that tell the rows of a path apart.
        columns: the other ones.
        observe: returns what it needs to know of a network, in float64, and of the run's training images;
            called once for each network, before its paths are measured.
        measure: returns the values of all these columns for a batch of walked paths and what was observed,
            an array of shape ``(paths, rows)`` each.
        is_of_flips: whether it is measured of the flips of a walk alone, and so of adaptive walks as well.
    """

    setting: str
    row: str
    key_columns: tuple[Column, ...]
    columns: tuple[Column, ...]
    observe: "Callable[[nn.Module, Tensor], Any]" = _observe_nothing
    measure: "Callable[[WalkedPaths, Any], Mapping[str, np.ndarray]]"
    is_of_flips: bool = False

    @property
    def table_name(self) -> str:
        """The start of the name of its table, such as ``path_layers``."""
        return self.name.replace("-", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, those of the key first."""
        return tuple(column.name for column in (*self.key_columns, *self.columns))
