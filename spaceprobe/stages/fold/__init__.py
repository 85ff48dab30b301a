"""Fold: space folding of the straight paths between the images of every class pair."""

from spaceprobe.stages.fold.computation import compute
from spaceprobe.stages.fold.parts import asks_gpu, check, plan
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.fold.summary import present
from spaceprobe.stages.fold.tables import TABLES, tabulate
from spaceprobe.stages.stage import RunStage
from spaceprobe.stages.train.parts import sources

STAGE = RunStage(
    name="fold",
    summary="Measure the space folding of trained networks.",
    example="spaceprobe fold depth-sweep --pairs 3-8,8-3 --method exact",
    sections={"folding": FoldingSettings},
    tables=TABLES,
    needs=("train",),
    unit="path",
    check=check,
    asks_gpu=asks_gpu,
    plan=plan,
    compute=compute,
    tabulate=tabulate,
    present=present,
    sources=sources,
)
