"""Space folding of a single path: its length and reach, χ, and peak folding."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.stages.fold.path_measures.entry import PathMeasure, WalkedPaths
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np


def _measure(paths: WalkedPaths) -> "Mapping[str, np.ndarray]":
    from spaceprobe.folding import space_folding

    folding = paths.folding
    return {
        "length": folding.length,
        "reach": folding.reach_from_a,
        "chi": space_folding(folding.length, folding.reach_from_a),
        "peak": space_folding(folding.peak_length_from_a, folding.peak_reach_from_a),
    }


ENTRY = PathMeasure(
    columns=(
        Column("length", "integer", "flips of units along the path"),
        Column("reach", "integer", "largest Hamming distance from the activation pattern at the source"),
        Column("chi", "number", "1 - reach / length, in [0, 1); 0 for length 0"),
        Column("peak", "number", "largest chi of the paths from the source to a point of this path"),
    ),
    measure=_measure,
)
