"""A flat cube of a chosen dimension in 16 dimensions: drawn points, in four classes or with a wave."""

from typing import TYPE_CHECKING

from spaceprobe.data.drawn import NUM_CLASSES, drawn_entry
from spaceprobe.data.entry import DataOptions

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset


def _load(options: DataOptions) -> "Dataset":
    from spaceprobe.data.manifolds import cube

    return cube(
        options.points,
        noise=options.noise,
        seed=options.points_seed,
        task=options.task,
        num_classes=NUM_CLASSES,
        dimension=options.cube_dimension,
    )


ENTRY = drawn_entry(
    "cube", _load, recipe=1, num_features=16, settings=("points", "noise", "points_seed", "cube_dimension")
)
