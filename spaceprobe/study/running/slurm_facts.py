"""What SLURM would be asked for: the resources of each stage's jobs, and the batch script of a worker."""

from collections.abc import Iterator
from typing import Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.stage import GpuWish
from spaceprobe.study.config.study import Study
from spaceprobe.study.grid import expand
from spaceprobe.study.layout import SLURM
from spaceprobe.study.running.gpu_jobs import pays
from spaceprobe.study.running.planning import StagePlan, StudyPlan
from spaceprobe.tables.text import fill


def slurm_facts(plan: StudyPlan, study: Study, num_workers: int) -> dict[str, Any]:
    """Return what SLURM would be asked for as values that JSON can hold; nothing is asked or written.

    Args:
        plan: what the stages have to do.
        study: with the section ``slurm``.
        num_workers: how many jobs of SLURM.

    Raises:
        SpaceprobeError: the extra is not installed, the folder does not fit into a script, or a job wants a
            GPU that no worker has.
    """
    from spaceprobe.study.cluster.slurm import job_script  # here: it is an extra

    settings = study.slurm
    return {
        "num_workers": num_workers,
        "cores": settings.cores,
        "memory": settings.memory,
        "gpus": settings.gpus,
        "walltime": settings.walltime,
        "stages": [_stage_facts(of_stage, study) for of_stage in plan.plans],
        "script": job_script(settings, plan.folder / SLURM),
    }


def slurm_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the facts as lines for a person, the script last."""
    each = f"{_cores(facts['cores'])}, {_gpus(facts['gpus'])}, {facts['memory']}, {facts['walltime']}"
    workers = f"{facts['num_workers']} worker{'s' * (facts['num_workers'] != 1)}"
    yield from fill(f"slurm      {workers}, each with {each}", " " * 11)
    for stage in facts["stages"]:
        jobs = f"{stage['num_jobs']} job{'s' * (stage['num_jobs'] != 1)} now"
        later = f", those of {stage['num_waiting']} runs later" if stage["num_waiting"] else ""
        uses = f"{_cores(stage['cores'])} and {_gpus(stage['gpus'])} for a job"
        yield from fill(f"{stage['stage']:<9}  {uses}: {jobs}{later}", " " * 11)
    yield "script of each worker:"
    yield from facts["script"].splitlines()


def _stage_facts(plan: StagePlan, study: Study) -> dict[str, Any]:
    gpus = study.slurm.gpus
    wishes = _wishes(plan, study)
    if "cuda" in wishes and not gpus:
        raise SpaceprobeError(
            f"{plan.stage.name} asks for a GPU (device: cuda), and slurm.gpus is 0; set slurm.gpus to 1, or "
            "the device to auto or cpu"
        )
    return {
        "stage": plan.stage.name,
        "num_jobs": len(plan.jobs),
        "num_waiting": len(plan.waiting),
        "cores": study.slurm.cores if plan.stage.uses_all_cores else 1,
        "gpus": gpus if wishes & {"cuda", "auto", "auto-float64"} else 0,
    }


def _wishes(plan: StagePlan, study: Study) -> set[GpuWish]:
    """Return what the runs of a study say of a GPU, without what does not pay."""
    stage = plan.stage
    if stage.asks_gpu is None:
        return set()
    wishes = {stage.asks_gpu(sections) for run in expand(study) for sections in run.variants(stage)}
    return wishes if pays(stage, plan.jobs) else wishes - {"auto-float64"}


def _cores(number: int) -> str:
    return f"{number} core{'s' * (number != 1)}"


def _gpus(number: int) -> str:
    return "a GPU" if number else "no GPU"
