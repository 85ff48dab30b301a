"""Opens what computes a study: this process, or the workers of a Dask cluster."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from spaceprobe.study.jobs.compute_target import ComputeTarget
from spaceprobe.study.jobs.executor import Executor, InProcessExecutor
from spaceprobe.study.slurm_settings import SlurmSettings


def open_executor(
    target: ComputeTarget, slurm: SlurmSettings, folder: Path
) -> AbstractContextManager[Executor]:
    """Return a context with the executor of a target; leaving it ends what the executor started.

    Args:
        target: where jobs are computed.
        slurm: what SLURM is asked for, if it is the target.
        folder: the study's folder of results.
    """
    if target.is_this_process:
        return nullcontext(InProcessExecutor())
    from spaceprobe.study.cluster.opening import open_cluster  # here: it takes a while to import

    return open_cluster(target, slurm, folder)
