"""Opens what computes a study: this process, or the workers of a Dask cluster."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.stage import Job
from spaceprobe.study.cluster.settings import SlurmSettings
from spaceprobe.study.running.executor import Executor, Place, Watch
from spaceprobe.study.running.job import Outcome, run_job
from spaceprobe.study.running.run_log import here


class InProcess:
    """Computes one job after another in this process."""

    def check_gpu(self) -> None:
        """Check that torch sees a CUDA device here."""
        if not self.has_gpu():
            raise SpaceprobeError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")

    def has_gpu(self) -> bool:
        """Return whether torch sees a CUDA device here."""
        import torch

        return torch.cuda.is_available()

    def run(self, jobs: Sequence[Job], watch: Watch) -> Generator[tuple[Job, Outcome], None, None]:
        """Compute jobs in order."""
        for job in jobs:
            watch.started(job, here())
            yield job, run_job(job, watch.advance)


def open_executor(place: Place, slurm: SlurmSettings, folder: Path) -> AbstractContextManager[Executor]:
    """Return the executor of a place, to be entered; what it starts ends with it.

    Args:
        place: where.
        slurm: what SLURM is asked for, where it is.
        folder: the study's folder of results.
    """
    is_elsewhere = place.scheduler_address or place.scheduler_file or place.num_slurm_workers
    if place.num_jobs == 1 and not is_elsewhere:
        return nullcontext(InProcess())
    from spaceprobe.study.cluster.opening import open_cluster  # here: it takes a while to import

    return open_cluster(place, slurm, folder)
