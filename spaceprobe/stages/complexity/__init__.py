"""Complexity: what the field relates to the gap between training and test, of a network at its epochs."""

from spaceprobe.stages.complexity.computation import compute
from spaceprobe.stages.complexity.parts import plan
from spaceprobe.stages.complexity.settings import ComplexitySettings
from spaceprobe.stages.complexity.summary import present
from spaceprobe.stages.complexity.tables import TABLES, asked_tables, tabulate
from spaceprobe.stages.stage import RunStage
from spaceprobe.stages.train.parts import check_trust, sources

STAGE = RunStage(
    name="complexity",
    summary="Measure norms, margins and sharpness of the networks.",
    example="spaceprobe complexity quickstart",
    sections={"complexity": ComplexitySettings},
    tables=TABLES,
    asked_tables=asked_tables,
    needs=("train",),
    is_optional=True,
    unit="epoch",
    check_trust=check_trust,
    plan=plan,
    compute=compute,
    tabulate=tabulate,
    present=present,
    sources=sources,
)
