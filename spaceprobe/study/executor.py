"""Where jobs are computed: in this process, or by the workers of a Dask cluster.

A job goes out and its outcome comes back, both small; nothing else of a study knows where a job ran.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.job import Outcome, run_job
from spaceprobe.study.run_log import here
from spaceprobe.study.stage import Job

if TYPE_CHECKING:
    from spaceprobe.study.cluster.settings import SlurmSettings


@dataclass(frozen=True)
class Watch:
    """Is told how jobs go on.

    Attributes:
        started: called with a job and who computes it.
        advance: called with the amount of work done, in the stage's unit.
    """

    started: Callable[[Job, str], None]
    advance: Callable[[int], None]


class Executor(Protocol):
    """Computes jobs."""

    def check_gpu(self) -> None:
        """Checks that there is a GPU for jobs that need one.

        Raises:
            SpaceprobeError: there is none.
        """

    def has_gpu(self) -> bool:
        """Returns whether there is a GPU for jobs that would take one."""

    def run(self, jobs: Sequence[Job], watch: Watch) -> Generator[tuple[Job, Outcome], None, None]:
        """Computes jobs and yields the outcome of each as it ends.

        Raises:
            SpaceprobeError: no further job can be computed.
        """


@dataclass(frozen=True)
class Place:
    """Where a study is computed.

    Attributes:
        num_jobs: how many jobs at once, by worker processes of this machine; 1 for this process.
        scheduler_address: of a Dask cluster that is there, such as ``tcp://host:8786``.
        scheduler_file: of one, as ``dask scheduler --scheduler-file`` writes it.
        num_slurm_workers: how many workers SLURM is asked for.
        dashboard: ``host:port`` of the local cluster's dashboard; None for none.
    """

    num_jobs: int = 1
    scheduler_address: str | None = None
    scheduler_file: Path | None = None
    num_slurm_workers: int | None = None
    dashboard: str | None = None


class InProcess:
    """Computes one job after another in this process."""

    def check_gpu(self) -> None:
        """Checks that torch sees a CUDA device here."""
        if not self.has_gpu():
            raise SpaceprobeError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")

    def has_gpu(self) -> bool:
        """Returns whether torch sees a CUDA device here."""
        import torch

        return torch.cuda.is_available()

    def run(self, jobs: Sequence[Job], watch: Watch) -> Generator[tuple[Job, Outcome], None, None]:
        """Computes jobs in order."""
        for job in jobs:
            watch.started(job, here())
            yield job, run_job(job, watch.advance)


def open_executor(place: Place, slurm: "SlurmSettings", folder: Path) -> AbstractContextManager[Executor]:
    """Returns the executor of a place, to be entered; what it starts ends with it.

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
