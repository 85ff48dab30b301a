"""Summarize: aggregates of every network, and their correlation with depth, width and swept settings."""

from spaceprobe.stages.stage import StudyStage
from spaceprobe.stages.summarize.computation import reduce
from spaceprobe.stages.summarize.summary import present
from spaceprobe.stages.summarize.tables import TABLES

STAGE = StudyStage(
    name="summarize",
    summary="Aggregate folding, and correlate it with depth and width.",
    example="spaceprobe summarize quickstart",
    sections={},
    tables=TABLES,
    needs=("train", "fold"),
    present=present,
    reduce=reduce,
)
