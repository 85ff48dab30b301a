"""Train: from data, network and training settings to checkpoints and a training curve."""

from spaceprobe.stages.stage import RunStage
from spaceprobe.stages.train.computation import compute
from spaceprobe.stages.train.network_settings import NetworkSettings
from spaceprobe.stages.train.parts import asks_gpu, check, check_trust, label, plan, sources
from spaceprobe.stages.train.settings import DataSettings, TrainingSettings
from spaceprobe.stages.train.summary import present, warn
from spaceprobe.stages.train.tables import TABLES, tabulate, tabulate_failed

STAGE = RunStage(
    name="train",
    summary="Train the networks of a study.",
    example="spaceprobe train quickstart --epochs 5",
    sections={"data": DataSettings, "network": NetworkSettings, "training": TrainingSettings},
    tables=TABLES,
    needs=(),
    unit="epoch",
    label=label,
    check=check,
    check_trust=check_trust,
    plan=plan,
    compute=compute,
    tabulate=tabulate,
    tabulate_failed=tabulate_failed,
    present=present,
    warn=warn,
    sources=sources,
    asks_gpu=asks_gpu,
)
