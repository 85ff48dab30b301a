"""Which jobs go where there is a GPU: by what their settings ask for, what there is, and what pays."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from spaceprobe.stages.stage import Job, RunStage
from spaceprobe.study.jobs.executor import Executor

logger = logging.getLogger(__name__)


def with_gpus(stage: RunStage, jobs: Sequence[Job], executor: Executor) -> list[Job]:
    """Return jobs that tell whether they want a GPU."""
    if stage.asks_gpu is None:
        return [*jobs]
    wishes = [stage.asks_gpu(job.sections) for job in jobs]
    taken = {"cuda"}
    if "auto" in wishes and executor.has_gpu():
        taken.add("auto")
    if pays(stage, jobs):
        reason = executor.why_no_float64_gpu()
        what = f"{stage.name}: exact walks of ReLU MLPs"
        if reason is None:
            taken.add("auto-float64")
            logger.info("%s: on the GPU", what)
        elif executor.has_gpu():
            logger.warning("%s: %s; device is auto, so the CPU walks the paths", what, reason)
        else:
            logger.info("%s: %s", what, reason)
    return [replace(job, wants_gpu=wish in taken) for job, wish in zip(jobs, wishes, strict=True)]


def pays(stage: RunStage, jobs: Sequence[Job]) -> bool:
    """Return whether those of the jobs that would use a GPU fast in float64 are enough work for one."""
    if stage.asks_gpu is None or stage.gpu_pays is None:
        return False
    return stage.gpu_pays([job for job in jobs if stage.asks_gpu(job.sections) == "auto-float64"])
