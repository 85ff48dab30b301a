"""Noise in 64 dimensions: points that are drawn, in four classes or with targets that are noise, too."""

from typing import TYPE_CHECKING

from spaceprobe.data.drawn import NUM_CLASSES, drawn_entry
from spaceprobe.data.entry import DataOptions

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset


def _load(options: DataOptions) -> "Dataset":
    from spaceprobe.data.manifolds import gaussian_noise

    return gaussian_noise(
        options.points, seed=options.points_seed, task=options.task, num_classes=NUM_CLASSES
    )


ENTRY = drawn_entry("noise", _load, recipe=1, num_features=64, settings=("points", "points_seed"))
