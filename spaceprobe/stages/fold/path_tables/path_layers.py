"""Where a path folds: flips, reach and boundaries of each layer by itself."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.path_measures.entry import WalkedPaths
from spaceprobe.stages.fold.path_tables.entry import LAYER, PathTable
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np


def _measure(paths: WalkedPaths, _: object) -> "Mapping[str, np.ndarray]":
    import numpy as np

    from spaceprobe.folding.by_layer import fold_by_layer

    way: dict[str, Any] = {
        name: paths.way[name]
        for name in ("method", "num_points", "threads", "bits", "units", "threshold")
        if name in paths.way
    }
    if way.get("method") in ("kernel", "jvp"):  # which agree with the layerwise walk
        way["method"] = "exact"
    seen = fold_by_layer(paths.network, paths.starts, paths.ends, **way)
    num_layers = seen.length.shape[1]
    return {
        "layer": np.broadcast_to(np.arange(num_layers), seen.length.shape),
        "num_bits": np.broadcast_to(seen.num_bits, seen.length.shape),
        "length": seen.length,
        "reach": seen.reach,
        "chi": seen.chi,
        "num_boundaries": seen.num_boundaries,
        "first_boundary": seen.first_boundary,
        "density": seen.density,
        "density_source": seen.density_near_start,
        "density_middle": seen.density_in_middle,
        "density_target": seen.density_near_end,
        "num_violations": np.broadcast_to(seen.num_violations[:, None], seen.length.shape),
    }


ENTRY = PathTable(
    setting="by_layer",
    row="a layer",
    key_columns=(LAYER,),
    columns=(
        Column("num_bits", "integer", "bits of the layer's pattern: its units, times the kinks of each"),
        Column("length", "integer", "flips of the layer's units along the path"),
        Column("reach", "integer", "largest Hamming distance of the layer's pattern from that at the source"),
        Column("chi", "number", "1 - reach / length of the layer alone, in [0, 1); 0 for length 0"),
        Column("num_boundaries", "integer", "places on the path at which units of the layer flip"),
        Column(
            "first_boundary",
            "number",
            "L2 distance in input space from the source to the first of them; empty for none",
        ),
        Column(
            "density",
            "number",
            "boundaries per unit of L2 distance in input space; empty where the ends are one point",
        ),
        Column("density_source", "number", "the same on the first tenth of the path"),
        Column("density_middle", "number", "the same between"),
        Column("density_target", "number", "the same on the last tenth"),
        Column(
            "num_violations",
            "integer",
            "linear regions of the path that failed the region check, on this walk",
        ),
    ),
    measure=_measure,
)
