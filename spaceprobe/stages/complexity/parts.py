"""The parts of the complexity stage: one for each epoch of a run."""

import hashlib
import json

from spaceprobe.stages.complexity.settings import complexity_of
from spaceprobe.stages.stage import Inputs, Part, Sections
from spaceprobe.stages.train.settings import FINAL, INITIAL, checkpoints_of, data_key, network_key


def plan(sections: Sections, inputs: Inputs) -> list[Part]:
    """Return a part for each epoch."""
    (trained,) = inputs["train"]
    settings = complexity_of(sections)
    name = "complexity"
    if settings.identity():  # files for each way of measuring: another one overwrites nothing
        measured = json.dumps(settings.identity(), sort_keys=True)
        name += "-" + hashlib.sha256(measured.encode()).hexdigest()[:6]
    initial = {"initial": trained.files[INITIAL]} if INITIAL in trained.files else {}  # not of given weights
    shared = {"complexity": settings.key(), **initial, **network_key(sections), **data_key(sections)}
    return [
        Part(
            f"{name}.json" if checkpoint == FINAL else f"{name}-epoch{epoch}.json",
            {"epoch": epoch, "checkpoint": trained.files[checkpoint], **shared},
            amount=1,
            siblings="complexity*.json",
        )
        for epoch, checkpoint in checkpoints_of(sections, settings.epoch).items()
    ]
