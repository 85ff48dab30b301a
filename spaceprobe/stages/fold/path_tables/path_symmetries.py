"""How many pairs of the patterns of a path are symmetric (docs/definitions.md, "Symmetric pairs")."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.stages.fold.path_measures.entry import WalkedPaths
from spaceprobe.stages.fold.path_tables.entry import PathTable
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np


def _measure(paths: WalkedPaths, _: object) -> "Mapping[str, np.ndarray]":
    import numpy as np

    from spaceprobe.folding.symmetries import symmetric_pairs

    pairs = symmetric_pairs(paths.flips)
    share = pairs.num_symmetric / np.where(pairs.num_pairs > 0, pairs.num_pairs, 1)
    columns = {
        "num_patterns": pairs.num_patterns,
        "num_pairs": pairs.num_pairs,
        "num_symmetric": pairs.num_symmetric,
        "symmetric": share,
    }
    return {name: values[:, None] for name, values in columns.items()}


ENTRY = PathTable(
    setting="symmetries",
    row="the pairs of patterns",
    key_columns=(),
    columns=(
        Column("num_patterns", "integer", "patterns that follow one another on the path: its steps, and one"),
        Column("num_pairs", "integer", "pairs of them with another between"),
        Column(
            "num_symmetric",
            "integer",
            "of these, pairs with a pattern between that is farther from both than they are from each other",
        ),
        Column("symmetric", "number", "num_symmetric / num_pairs, in [0, 1]; 0 without pairs", low=0, high=1),
    ),
    measure=_measure,
    is_of_flips=True,
)
