"""A torus in three dimensions: points that are drawn, in four classes or with their angles."""

from typing import TYPE_CHECKING

from spaceprobe.data.drawn import NUM_CLASSES, drawn_entry
from spaceprobe.data.entry import DataOptions

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset


def _load(options: DataOptions) -> "Dataset":
    from spaceprobe.data.manifolds import torus

    return torus(
        options.points,
        noise=options.noise,
        seed=options.points_seed,
        task=options.task,
        num_classes=NUM_CLASSES,
    )


ENTRY = drawn_entry("torus", _load, recipe=1, num_features=3)
