"""At which epochs, and with which seeds, a study measures its networks."""

from typing import Any

from spaceprobe.stages import run_stage_named
from spaceprobe.stages.train.settings import checkpoints_of, training_of
from spaceprobe.study.config import Study
from spaceprobe.study.grid import expand

_PROBES = {"fold": "folding", "lmd": "lmd", "complexity": "complexity"}
"""The stages that say which epochs they measure, and the section of each that does."""


def when_measured(study: Study) -> dict[str, list[int]]:
    """Return the epochs of the networks that a study measures, and the seeds of its trainings, in order.

    Epoch 0 is before training. They are those of all networks and probes together; what training itself
    notes after every epoch, losses and accuracies, does not count.
    """
    epochs: set[int] = set()
    seeds: set[int] = set()
    for run in expand(study):
        seeds.add(training_of(run.sections).seed)
        for stage in _PROBES.keys() & {*study.stages}:
            for sections in run.variants(run_stage_named(stage)):
                probe: Any = sections[_PROBES[stage]]
                epochs |= {*checkpoints_of(sections, probe.epoch)}
    return {"epochs": sorted(epochs), "seeds": sorted(seeds)}
