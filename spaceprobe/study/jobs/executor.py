"""What computes jobs: a job goes out and its outcome comes back, and nothing else depends on where it ran."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.stage import Job
from spaceprobe.study.jobs.run_job import JobOutcome, run_job
from spaceprobe.study.jobs.run_log import here


@dataclass(frozen=True)
class JobWatch:
    """What is called while jobs are computed.

    Attributes:
        started: called with a job and the process that computes it.
        advance: called with the amount of work done, in the stage's unit.
    """

    started: Callable[[Job, str], None]
    advance: Callable[[int], None]


class JobSource(Protocol):
    """Hands out jobs one by one, as there is somebody to compute them."""

    @property
    def is_empty(self) -> bool:
        """Whether no job is left to be handed out, now or later."""

    @property
    def wants_gpu(self) -> bool:
        """Whether the next job wants a GPU."""

    def take(self) -> Job | None:
        """Return the next job, or None if there is none now: ask again in `LOOK_AGAIN_S`."""


LOOK_AGAIN_S = 1.0
"""Chosen: how soon jobs are asked for again where another runner computes all that are left."""


class Executor(Protocol):
    """Computes jobs."""

    def check_gpu(self) -> None:
        """Check that there is a GPU for jobs that need one.

        Raises:
            SpaceprobeError: there is none.
        """

    def has_gpu(self) -> bool:
        """Return whether there is a GPU for jobs that use one if they can."""

    def why_no_float64_gpu(self) -> str | None:
        """Return why there is no GPU on which exact walks of ReLU MLPs pay; None if there is one."""

    def run(self, jobs: JobSource, watch: JobWatch) -> Generator[tuple[Job, JobOutcome], None, None]:
        """Compute jobs and yield the outcome of each as it ends.

        Raises:
            SpaceprobeError: no further job can be computed.
        """


class InProcessExecutor:
    """Computes one job after another in this process."""

    def check_gpu(self) -> None:
        """Check that torch sees a CUDA device."""
        if not self.has_gpu():
            raise SpaceprobeError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")

    def has_gpu(self) -> bool:
        """Return whether torch sees a CUDA device."""
        import torch

        return torch.cuda.is_available()

    def why_no_float64_gpu(self) -> str | None:
        """Return why this process has no such GPU."""
        from spaceprobe.folding.cuda.capability import why_cpu

        return why_cpu()

    def run(self, jobs: JobSource, watch: JobWatch) -> Generator[tuple[Job, JobOutcome], None, None]:
        """Compute jobs in order and yield their outcomes."""
        while not jobs.is_empty:
            job = jobs.take()
            if job is not None:
                watch.started(job, here())
                yield job, run_job(job, watch.advance)
            elif not jobs.is_empty:
                time.sleep(LOOK_AGAIN_S)
