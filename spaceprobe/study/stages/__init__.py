"""The stages of a study, in the order in which `spaceprobe run` takes them."""

from spaceprobe.study.stage import RunStage, Stage
from spaceprobe.study.stages import fold, lmd, summarize, train

STAGES: tuple[Stage, ...] = (train.STAGE, fold.STAGE, lmd.STAGE, summarize.STAGE)


def stage_named(name: str) -> Stage:
    """Returns the stage of that name."""
    return next(stage for stage in STAGES if stage.name == name)


def run_stage_named(name: str) -> RunStage:
    """Returns the stage of that name that computes parts for each run."""
    stage = stage_named(name)
    if not isinstance(stage, RunStage):
        raise TypeError(f"stage {name} computes nothing for a run")
    return stage
