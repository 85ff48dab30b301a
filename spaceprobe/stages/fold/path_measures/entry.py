"""What a measure of a single path declares. Without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spaceprobe.registry import Entry
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from spaceprobe.folding import PathFlips, PathFolding


@dataclass(frozen=True)
class WalkedPaths:
    """A batch of paths that were walked.

    Attributes:
        network: the network in float64.
        starts: where paths start; shape ``(paths, *input shape)``.
        ends: where they end; of the same shape.
        folding: what the walk gave, read from both ends.
        flips: which unit flips in which step, as many flips as the walk counts; of sampled paths what differs
            from each point to the next, of adaptive ones between the ends of intervals.
        way: how they were walked: arguments of `spaceprobe.folding.walk_with_flips`.
    """

    network: "nn.Module"
    starts: "Tensor"
    ends: "Tensor"
    folding: "PathFolding"
    flips: "PathFlips"
    way: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PathMeasure(Entry):
    """A measure of a single path. Its file imports no torch at the top, since studies are planned with it.

    Attributes:
        columns: its columns of paths.csv.
        measure: returns the values of each column for a batch of paths, an array of shape ``(paths,)``.
        setting: the setting of ``folding`` that asks for it, false by default; None for every path.
    """

    columns: tuple[Column, ...]
    measure: "Callable[[WalkedPaths], Mapping[str, np.ndarray]]"
    setting: str | None = None
