"""The stages of a study, in the order in which `spaceprobe run` takes them."""

from spaceprobe.study.stage import Stage
from spaceprobe.study.stages import fold, lmd, summarize, train

STAGES: tuple[Stage, ...] = (train.STAGE, fold.STAGE, lmd.STAGE, summarize.STAGE)


def stage_named(name: str) -> Stage:
    """Returns the stage of that name."""
    return next(stage for stage in STAGES if stage.name == name)
