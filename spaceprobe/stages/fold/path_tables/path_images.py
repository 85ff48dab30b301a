"""The image of a path under the network: its length, and how many linear regions the path crosses."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.path_measures.entry import WalkedPaths
from spaceprobe.stages.fold.path_tables.entry import PathTable
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np


def _measure(paths: WalkedPaths, _: object) -> "Mapping[str, np.ndarray]":
    from spaceprobe.folding.path_images import path_images

    way: dict[str, Any] = {
        name: paths.way[name] for name in ("method", "num_points", "threads") if name in paths.way
    }
    if way.get("method") in ("kernel", "jvp"):  # whose breakpoints are those of the layerwise walk
        way["method"] = "exact"
    seen = path_images(paths.network, paths.starts, paths.ends, **way)
    return {
        "num_regions": seen.num_regions[:, None],
        "region_density": seen.region_density[:, None],
        "image_length": seen.image_length[:, None],
        "num_violations": seen.num_violations[:, None],
    }


ENTRY = PathTable(
    setting="images",
    row="the image",
    key_columns=(),
    columns=(
        Column(
            "num_regions", "integer", "linear regions that the path crosses; of sampled paths a lower bound"
        ),
        Column(
            "region_density",
            "number",
            "linear regions per unit of L2 distance in input space; empty where the ends are one point",
        ),
        Column(
            "image_length",
            "number",
            "L2 length of the path's image in the space of outputs; of sampled paths a lower bound",
        ),
        Column(
            "num_violations",
            "integer",
            "linear regions of the path that failed the region check, on this walk",
        ),
    ),
    measure=_measure,
)
