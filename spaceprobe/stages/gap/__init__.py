"""Gap: which measures of a network go with the gap between training and test."""

from spaceprobe.stages.gap.computation import reduce
from spaceprobe.stages.gap.summary import present
from spaceprobe.stages.gap.tables import TABLES
from spaceprobe.stages.stage import StudyStage

STAGE = StudyStage(
    name="gap",
    summary="Relate folding and complexity to the generalization gap.",
    example="spaceprobe gap quickstart",
    sections={},
    tables=TABLES,
    needs=("train", "fold", "complexity"),
    is_optional=True,
    present=present,
    reduce=reduce,
)
