"""What runs in the worker of a cluster: it computes a job and reports on it."""

import time
from dataclasses import dataclass
from typing import Any

from distributed import get_worker

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.stage import Job
from spaceprobe.study.jobs.run_job import JobOutcome, run_job
from spaceprobe.study.jobs.run_log import here

REPORT_EVERY_S = 0.5
"""Chosen: how often a worker reports its progress."""


@dataclass(frozen=True)
class Call:
    """A call that computes a job and reports its progress under a topic, made when it is unpickled.

    A worker without spaceprobe then fails this task with a clear error. Given the job itself, it would lose
    its connection while reading it, look as if the job had killed it, and take the next.
    """

    arguments: tuple[int, Job, str]

    def __reduce__(self) -> tuple[Any, ...]:
        return _compute, self.arguments


def _compute(number: int, job: Job, topic: str) -> JobOutcome:
    """Compute a job in a worker, and report its progress to the driver."""
    num_threads = get_worker().state.nthreads
    if num_threads > 1:  # its death would cost as many jobs, and warnings would mix in the logs
        raise SpaceprobeError(
            f"{here()} is a Dask worker with {num_threads} threads; start workers with `dask worker ... "
            f"--nthreads 1 --nworkers {num_threads}`"
        )
    reporter = _Reporter(number, topic)
    reporter.send(started=here())
    return run_job(job, reporter.advance)


class _Reporter:
    """Reports the progress of a job to the driver, throttled."""

    def __init__(self, number: int, topic: str) -> None:
        self._number = number
        self._topic = topic
        self._amount = 0
        self._last_sent = time.monotonic()

    def advance(self, amount: int) -> None:
        self._amount += amount
        if time.monotonic() - self._last_sent > REPORT_EVERY_S:
            self.send(amount=self._amount)
            self._amount, self._last_sent = 0, time.monotonic()

    def send(self, **message: Any) -> None:
        get_worker().log_event(self._topic, {"number": self._number, **message})
