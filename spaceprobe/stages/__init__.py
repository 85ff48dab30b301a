"""The stages of a study, in the order in which `spaceprobe run` takes them."""

from spaceprobe.stages import complexity, fold, gap, lmd, summarize, train
from spaceprobe.stages.stage import RunStage, Stage

STAGES: tuple[Stage, ...] = (
    train.STAGE,
    fold.STAGE,
    lmd.STAGE,
    complexity.STAGE,
    summarize.STAGE,
    gap.STAGE,
)

TABLES = tuple(table for stage in STAGES for table in stage.tables)
"""Every table that a stage writes."""


def stage_named(name: str) -> Stage:
    """Return the stage of that name."""
    return next(stage for stage in STAGES if stage.name == name)


def run_stage_named(name: str) -> RunStage:
    """Return the stage of that name that computes parts for each run."""
    stage = stage_named(name)
    if not isinstance(stage, RunStage):
        raise TypeError(f"stage {name} computes nothing for a run")
    return stage
