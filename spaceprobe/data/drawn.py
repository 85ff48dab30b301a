"""The entry of points that are drawn, without torch: their settings say everything."""

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from spaceprobe.data.entry import DataOptions, DatasetEntry

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset

NUM_CLASSES = 4


def drawn_entry(
    name: str,
    load: "Callable[[DataOptions], Dataset]",
    *,
    recipe: int,
    num_features: int,
    settings: tuple[str, ...] = ("points", "noise", "points_seed"),
) -> DatasetEntry:
    """Return the entry of points that are drawn, in four classes or with targets.

    Args:
        name: of the dataset.
        load: draws the dataset.
        recipe: goes up when equal settings no longer give equal points.
        num_features: of a point.
        settings: the settings of ``data`` that it is drawn with.
    """
    text = json.dumps({"dataset": name, "recipe": recipe}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return DatasetEntry(
        input_shape=(num_features,),
        num_classes=NUM_CLASSES,
        tasks=("classification", "regression"),
        settings=settings,
        load=load,
        digest=lambda _: digest,
        num_training_points=lambda options: options.points,
    )
