"""Beyond bits: length, reach and folding of a path in distances of pre-activations and activations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.path_measures.entry import WalkedPaths
from spaceprobe.stages.fold.path_tables.entry import LAYER, PathTable
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from spaceprobe.folding.spread import UnitSpread


def _observe(network: "nn.Module", images: "Tensor") -> "UnitSpread":
    from spaceprobe.folding.spread import unit_spread
    from spaceprobe.stages.fold.thresholds import draw_images

    return unit_spread(network, draw_images(images))


def _measure(paths: WalkedPaths, spread: "UnitSpread") -> "Mapping[str, np.ndarray]":
    import numpy as np

    from spaceprobe.folding.continuous import NORMS, QUANTITIES, SCALINGS, continuous_distances

    way: dict[str, Any] = {
        name: paths.way[name] for name in ("method", "num_points", "threads") if name in paths.way
    }
    if way.get("method") in ("kernel", "jvp"):  # whose breakpoints are those of the layerwise walk
        way["method"] = "exact"
    seen = continuous_distances(paths.network, paths.starts, paths.ends, spread=spread, **way)
    shape = seen.length.shape
    layer, quantity, norm, scaling = np.indices(shape[1:])
    columns = {
        "layer": layer,
        "quantity": np.array(QUANTITIES)[quantity],
        "norm": np.array(NORMS)[norm],
        "scaling": np.array(SCALINGS)[scaling],
        "num_units": seen.num_units[:, :, None],
        "length": seen.length,
        "reach": seen.reach,
        "chi": seen.chi,
        "num_violations": seen.num_violations[:, None, None, None, None],
    }
    return {
        name: np.broadcast_to(values, shape).reshape(shape[0], int(np.prod(shape[1:])))
        for name, values in columns.items()
    }


ENTRY = PathTable(
    setting="distances",
    row="a distance in a layer",
    key_columns=(
        LAYER,
        Column("quantity", "text", "of what the distance is: pre-activation or activation"),
        Column("norm", "text", "L1 or L2"),
        Column(
            "scaling",
            "text",
            "raw; or standardised: each unit divided by its standard deviation over training images",
        ),
    ),
    columns=(
        Column(
            "num_units", "integer", "units in the norm; standardised, without those that are constant there"
        ),
        Column("length", "number", "total variation along the path; of sampled paths a lower bound"),
        Column("reach", "number", "largest distance from the source; of sampled paths a lower bound"),
        Column("chi", "number", "1 - reach / length, in [0, 1); 0 for length 0"),
        Column(
            "num_violations",
            "integer",
            "linear regions of the path that failed the region check, on this walk",
        ),
    ),
    observe=_observe,
    measure=_measure,
)
