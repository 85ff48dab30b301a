"""Fold: space folding of straight paths, such as those between the images of every class pair."""

from spaceprobe.stages.fold.computation import compute
from spaceprobe.stages.fold.cost import predict_cost
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.parts import asks_gpu, check, gpu_pays, is_costly, plan, remark, sources
from spaceprobe.stages.fold.settings import FoldingSettings
from spaceprobe.stages.fold.summary import present
from spaceprobe.stages.fold.tables import TABLES, asked_tables, tabulate
from spaceprobe.stages.stage import RunStage
from spaceprobe.stages.train.parts import check_trust

STAGE = RunStage(
    name="fold",
    summary="Measure the space folding of trained networks.",
    example="spaceprobe fold quickstart --pairs 3-8,8-3 --method exact",
    sections={
        **{name: model for entry in ENDPOINTS.values() for name, model in entry.sections.items()},
        "folding": FoldingSettings,
    },
    tables=TABLES,
    asked_tables=asked_tables,
    needs=("train",),
    unit="path",
    check=check,
    check_trust=check_trust,
    asks_gpu=asks_gpu,
    gpu_pays=gpu_pays,
    uses_all_cores=True,
    plan=plan,
    compute=compute,
    tabulate=tabulate,
    present=present,
    remark=remark,
    cost=predict_cost,
    is_costly=is_costly,
    sources=sources,
)
