"""How paths are walked, as the settings ask for it: the arguments of the functions that walk."""

from typing import TYPE_CHECKING, Any

from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.fold.thresholds import threshold_of
from spaceprobe.stages.stage import Sections

if TYPE_CHECKING:
    from torch import nn

    from spaceprobe.data.dataset import Dataset


def way_of(sections: Sections, network: "nn.Module", data: "Dataset") -> dict[str, Any]:
    """Return the arguments of `fold_grid` and `walk_batch` with which sources search, on the CPU.

    Args:
        sections: the settings.
        network: in float64.
        data: of whose training images quantiles are taken.
    """
    settings = folding_of(sections)
    return {
        "method": settings.method,
        "precision": settings.precision,
        "units": settings.units,
        "threshold": threshold_of(settings, network, data.train.inputs),
        "num_points": settings.num_points,
        "threads": settings.threads,
        "bits": settings.bits,
    }
