"""How many linear regions the walk of a path sees, and at how many points it looks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.stages.fold.path_measures.entry import PathMeasure, WalkedPaths
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np


def _measure(paths: WalkedPaths) -> "Mapping[str, np.ndarray]":
    import numpy as np

    from spaceprobe.folding import AdaptiveFolding

    num_regions = paths.flips.num_steps + 1
    if isinstance(paths.folding, AdaptiveFolding):
        num_evaluated = paths.folding.num_evaluated
    elif paths.way.get("method") == "sampled":
        num_evaluated = np.full_like(num_regions, paths.way["num_points"])
    else:
        num_evaluated = num_regions
    return {"num_regions": num_regions, "num_evaluated": num_evaluated}


ENTRY = PathMeasure(
    columns=(
        Column(
            "num_regions",
            "integer",
            "stretches of the path with one activation pattern that the walk sees; of an exact one, all",
            is_later=True,
        ),
        Column(
            "num_evaluated",
            "integer",
            "points at which a sampled or adaptive walk runs the network; of an exact one, its regions",
            is_later=True,
        ),
    ),
    measure=_measure,
)
