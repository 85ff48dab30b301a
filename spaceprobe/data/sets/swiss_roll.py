"""The Swiss roll: points that are drawn, in four classes or with their place on the unrolled sheet."""

import hashlib
import json
from typing import TYPE_CHECKING

from spaceprobe.data.entry import DataOptions, DatasetEntry

if TYPE_CHECKING:
    from spaceprobe.data.dataset import Dataset

RECIPE = 1
"""Goes up when equal settings no longer give equal points."""

NUM_CLASSES = 4


def _load(options: DataOptions) -> "Dataset":
    from spaceprobe.data.swiss_roll import swiss_roll

    return swiss_roll(
        options.points,
        noise=options.noise,
        seed=options.points_seed,
        task=options.task,
        num_classes=NUM_CLASSES,
    )


def _digest(options: DataOptions) -> str:
    """Return a digest of the name and the recipe: the settings that it is drawn with say the rest."""
    del options
    recipe = {"dataset": "swiss-roll", "recipe": RECIPE}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


ENTRY = DatasetEntry(
    input_shape=(3,),
    num_classes=NUM_CLASSES,
    tasks=("classification", "regression"),
    settings=("points", "noise", "points_seed"),
    load=_load,
    digest=_digest,
    num_training_points=lambda options: options.points,
)
