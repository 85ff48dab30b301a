"""The null model of a path: what its flips show in random order (docs/definitions.md, "Null model")."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaceprobe.stages.fold.path_measures.entry import PathMeasure, WalkedPaths
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np


def _measure(paths: WalkedPaths) -> "Mapping[str, np.ndarray]":
    from spaceprobe.folding import null_folding

    null = null_folding(paths.flips)
    return {"null_chi": null.mean, "null_chi_sd": null.deviation}


ENTRY = PathMeasure(
    columns=(
        Column(
            "null_chi",
            "number",
            "mean chi of the same steps of the path in 100 random orders, in [0, 1)",
            low=0,
            high=1,
            is_later=True,
        ),
        Column("null_chi_sd", "number", "standard deviation of chi over these orders", is_later=True),
    ),
    measure=_measure,
)
