"""What computes jobs, and where it may be.

A job goes out and its outcome comes back, both small; nothing else of a study knows where a job ran.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spaceprobe.stages.stage import Job
from spaceprobe.study.running.job import Outcome


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
        """Check that there is a GPU for jobs that need one.

        Raises:
            SpaceprobeError: there is none.
        """

    def has_gpu(self) -> bool:
        """Return whether there is a GPU for jobs that would take one."""

    def run(self, jobs: Sequence[Job], watch: Watch) -> Generator[tuple[Job, Outcome], None, None]:
        """Compute jobs and yields the outcome of each as it ends.

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
