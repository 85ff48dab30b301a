"""What the fold stage computes of a run: a part for each epoch and unordered class pair."""

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from spaceprobe.data.idx_files import IMAGE_SETS
from spaceprobe.errors import SettingsError
from spaceprobe.stages.fold.settings import folding_of
from spaceprobe.stages.stage import Inputs, Part, Sections
from spaceprobe.stages.train.settings import checkpoints_of, data_key, data_of, network_of

IMAGES_PER_CLASS = 1_000  # of the MNIST test set, about: only for the progress of «all»


def folded_checkpoints(sections: Sections) -> Mapping[int, str]:
    """Return the checkpoint of each epoch that is folded."""
    return checkpoints_of(sections, folding_of(sections).epoch)


def check(sections: Sections) -> None:
    """Check that the network has ReLUs and the data have classes of images.

    Raises:
        SettingsError: they do not.
    """
    activation, dataset = network_of(sections).activation, data_of(sections).dataset
    if activation != "relu":
        raise SettingsError(
            f"network.activation: {activation} has no on and off to fold by, folding is measured for relu; "
            "set that, or leave fold and summarize out (study.stages: [train, lmd])"
        )
    if dataset not in IMAGE_SETS:
        raise SettingsError(
            f"data.dataset: {dataset} has no ten classes of images to walk between; "
            "set another, or leave fold and summarize out (study.stages: [train, lmd])"
        )


def asks_gpu(sections: Sections) -> Literal["cuda", "auto", "cpu"]:
    """Return which device the settings ask for."""
    return folding_of(sections).device


def plan(sections: Sections, inputs: Inputs) -> list[Part]:
    """Return a part for each epoch and unordered class pair."""
    from spaceprobe.data.endpoints import walked_pairs

    settings = folding_of(sections)
    (trained,) = inputs["train"]
    identity = json.dumps(settings.measurement(settings.identity()), sort_keys=True)
    # A folder for each way of measuring: trying another one loses nothing.
    folder = "folding-" + hashlib.sha256(identity.encode()).hexdigest()[:6]
    data_digest = data_key(sections)["data_digest"]
    num_images = IMAGES_PER_CLASS if settings.per_class == "all" else settings.per_class
    return [
        Part(
            f"{folder}/epoch{epoch}-{pair.source}-{pair.target}.npz",
            {
                "folding": settings.measurement(settings.key()),
                "data_digest": data_digest,
                "checkpoint": trained.files[name],
                "epoch": epoch,
                "pair": list(pair),
            },
            siblings=f"folding-*/epoch{epoch}-{pair.source}-{pair.target}.npz",
            amount=num_images * (2 * num_images if pair.source != pair.target else num_images - 1),
        )
        for epoch, name in folded_checkpoints(sections).items()
        for pair in walked_pairs(settings.directed_pairs())
    ]
