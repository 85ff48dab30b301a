"""The parts of the lmd stage: one for each epoch of a run."""

import hashlib
import json

from spaceprobe.data.sets import DATASETS
from spaceprobe.errors import SettingsError
from spaceprobe.stages.lmd.settings import CONTINUITY_CODE, lmd_of
from spaceprobe.stages.stage import Inputs, Part, Sections
from spaceprobe.stages.train import parts as train_parts
from spaceprobe.stages.train.settings import FINAL, INITIAL, checkpoints_of, data_key, data_of, network_key


def plan(sections: Sections, inputs: Inputs) -> list[Part]:
    """Return a part for each epoch."""
    (trained,) = inputs["train"]
    settings = lmd_of(sections)
    measured = settings.identity()
    name = "lmd_factors"
    if measured:  # files for each way of measuring: another one overwrites nothing
        name += "-" + hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()[:6]
    initial = {"initial": trained.files[INITIAL]} if INITIAL in trained.files else {}  # not of given weights
    of_network = network_key(sections)
    return [
        Part(
            # As with the weights: the last epoch has the plain name.
            f"{name}.npz" if checkpoint == FINAL else f"{name}-epoch{epoch}.npz",
            {
                "lmd": {
                    **settings.measurement(),
                    "metrics": list(settings.metrics),
                    "probes": list(settings.probes),
                },
                "epoch": epoch,
                "checkpoint": trained.files[checkpoint],
                **initial,
                **of_network,
                **data_key(sections),
            },
            amount=1,
            siblings="lmd_factors*.npz",
        )
        for epoch, checkpoint in checkpoints_of(sections, settings.epoch).items()
    ]


def sources(sections: Sections) -> tuple[str, ...]:
    """Return the modules of the chosen data, network and probe: their code counts as well."""
    walking = [CONTINUITY_CODE] if "continuity" in lmd_of(sections).probes else []
    return (*train_parts.sources(sections), *walking)


def check(sections: Sections) -> None:
    """Check that the data have what the metrics and probes need.

    Raises:
        SettingsError: they do not.
    """
    settings, data = lmd_of(sections), data_of(sections)
    if "semantics" in settings.probes and data.task == "regression":
        raise SettingsError(
            "lmd.probes: semantics asks what classes explain, and a regression has none; leave it out"
        )
    num_points = min(settings.sample, DATASETS[data.dataset].num_training_points(data))
    if "continuity" in settings.probes and num_points < 2:
        raise SettingsError(
            "lmd.probes: continuity is measured between two training points, and there is 1; leave it out, "
            "or give more of them"
        )
    if "laplacian" in settings.metrics and num_points <= settings.neighbours:
        raise SettingsError(
            f"lmd.neighbours: {settings.neighbours} of each point are more than {num_points} points have; "
            "lower it, or raise lmd.sample and the number of training points"
        )
