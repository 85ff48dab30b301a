"""Computes jobs by the workers of a Dask cluster."""

import itertools
import pickle
import queue
import time
import uuid
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import InTheWayError, file_digest, refresh_folder
from spaceprobe.stages.stage import Job
from spaceprobe.study.cluster.deaths import Attempts, Death
from spaceprobe.study.cluster.worker_side import REPORT_EVERY_S, Call
from spaceprobe.study.cluster.workers import GPU, LOOK_EVERY_S, Workers
from spaceprobe.study.jobs.executor import LOOK_AGAIN_S, JobSource, JobWatch
from spaceprobe.study.jobs.run_job import JobOutcome
from spaceprobe.study.jobs.run_log import log_line
from spaceprobe.study.storage.part_files import StoredPart, read_part

SHARED_DISK_S = 30.0
"""Chosen: how long a file written elsewhere may take to be seen; NFS forgets within half of that."""


@dataclass(frozen=True)
class _Message:
    """A report on a job: that it started, how much was done since the last message, or that it ended."""

    number: int
    started: str | None = None
    amount: int = 0
    has_ended: bool = False


class DaskExecutor:
    """Computes jobs by the workers that a client sees.

    A worker holds one job at a time, so that its death costs that job and no other. A job whose worker dies
    is computed again by another one, as often as `deaths` allows; clusters that spaceprobe starts never try
    it by themselves.
    """

    def __init__(self, client: Client, where: str, workers: Workers) -> None:
        """Take a client, its cluster's name in messages, and its workers."""
        self._client = client
        self._where = where
        self._workers = workers
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._topic = f"spaceprobe-{uuid.uuid4().hex}"
        client.subscribe_topic(self._topic, self._receive)

    def check_gpu(self) -> None:
        """Check that a worker has a GPU, after waiting until there is a worker."""
        if not self.has_gpu():
            raise SpaceprobeError(
                f"--device cuda: no worker of {self._where} has the resource {GPU}; start some with "
                f"`dask worker ... --resources {GPU}=1`, or use --device cpu"
            )

    def has_gpu(self) -> bool:
        """Return whether a worker has a GPU, after waiting until there is a worker."""
        return self._workers.has_gpu()

    def why_no_float64_gpu(self) -> str | None:
        """Return why not every GPU of the workers is one on which exact walks of ReLU MLPs pay."""
        return self._workers.why_no_float64_gpu()

    def run(self, jobs: JobSource, watch: JobWatch) -> Generator[tuple[Job, JobOutcome], None, None]:
        """Compute jobs and yield the outcome of each as it ends.

        If it is closed early, jobs that have started go on in their workers, which may still write results.

        Raises:
            ResultsError: results cannot be written.
            SpaceprobeError: the scheduler is gone, or a worker has other code.
        """
        numbers = itertools.count()
        active: dict[int, tuple[Attempts, Future[JobOutcome]]] = {}
        lost: dict[int, Attempts] = {}
        reported: Counter[int] = Counter()
        try:
            while active or lost or not jobs.is_empty:
                # Even while no job waits: new workers may have to be asked for.
                num_slots = self._workers.num_slots(wants_gpu=_wants_gpu(lost, jobs))
                for number, attempts in [*lost.items()]:
                    if attempts.next_step == "give up":
                        del lost[number]
                        watch.advance(attempts.job.amount - reported[number])
                        yield attempts.job, _failed(attempts.job, attempts.problem)
                    elif attempts.next_step == "compute" and len(active) < num_slots:
                        active[number] = lost.pop(number), self._submit(number, attempts.job)
                while len(active) < num_slots and (taken := jobs.take()) is not None:
                    number = next(numbers)
                    active[number] = Attempts(taken), self._submit(number, taken)
                if not active and not lost and jobs.is_empty:
                    break  # another runner has computed the rest
                message = self._next_message()
                if message is None or message.number not in active:
                    continue  # a late message about a job that has ended
                number, (attempts, future) = message.number, active[message.number]
                job = attempts.job
                _note(message, job, reported, watch)
                if message.has_ended:
                    del active[number]
                    ended = self._ended(job, future)
                    future.release()  # or Dask would compute it again when its worker dies
                    if isinstance(ended, Death):
                        attempts.deaths.append(ended)
                        lost[number] = attempts
                        continue
                    watch.advance(job.amount - reported[number])
                    yield job, ended
        finally:
            for _, future in active.values():
                future.release()

    def _submit(self, number: int, job: Job) -> Future[JobOutcome]:
        future: Future[JobOutcome] = self._client.submit(
            pickle.loads,
            pickle.dumps(Call((number, job, self._topic))),
            key=f"{job.stage}-{job.run}-{uuid.uuid4().hex[:8]}",
            pure=False,
            resources={GPU: 1} if job.wants_gpu else None,
        )
        future.add_done_callback(lambda _: self._inbox.put(_Message(number, has_ended=True)))
        return future

    def _next_message(self) -> _Message | None:
        """Return the next message, or None if none came for a while."""
        try:
            return self._inbox.get(timeout=min(LOOK_EVERY_S, LOOK_AGAIN_S))
        except queue.Empty:
            self._workers.check_scheduler()
            return None

    def _ended(self, job: Job, future: Future[JobOutcome]) -> JobOutcome | Death:
        """Return the outcome of a job that has ended, or the death of its worker.

        Raises:
            ResultsError: results cannot be written.
            SpaceprobeError: the scheduler is gone, or a worker has other code.
        """
        try:
            error = future.exception()
            outcome: JobOutcome | None = future.result() if error is None else None
        except (FutureCancelledError, OSError) as lost:
            raise self._workers.gone() from lost
        if outcome is not None:
            return self._once_visible(job, outcome)
        if isinstance(error, SpaceprobeError):
            raise error
        if isinstance(error, ImportError):
            raise SpaceprobeError(
                f"a worker of {self._where} cannot import what the job needs ({error}); install the same "
                "spaceprobe, with all that it needs, on all machines"
            ) from error
        if isinstance(error, KilledWorker):
            return self._workers.died(job.title, error)
        return _failed(job, f"{type(error).__name__}: {error}")

    def _once_visible(self, job: Job, outcome: JobOutcome) -> JobOutcome:
        """Return an outcome once the parts that were written elsewhere can be seen here."""
        deadline = time.monotonic() + SHARED_DISK_S
        for path, digest in outcome.digests.items():
            while file_digest(job.folder / path) != digest and not self._is_there(job, path):
                if time.monotonic() > deadline:
                    return JobOutcome(
                        error=f"{job.folder / path}: was written by a worker but is not there; --results "
                        f"has to lie on a disk that all machines of {self._where} share"
                    )
                refresh_folder((job.folder / path).parent)
                time.sleep(REPORT_EVERY_S)
        return outcome

    def _is_there(self, job: Job, path: str) -> bool:
        """Return whether the part was written by another process as well, with another duration."""
        part = next(part for part in job.parts if part.path == path)
        return isinstance(read_part(job.folder, part, job.code), StoredPart)

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        _, message = event
        self._inbox.put(_Message(message["number"], message.get("started"), message.get("amount", 0)))


def _note(message: _Message, job: Job, reported: Counter[int], watch: JobWatch) -> None:
    """Note what a worker reports of its job."""
    if message.started is not None:
        watch.advance(-reported[message.number])  # by a worker that died
        reported[message.number] = 0
        watch.started(job, message.started)
    reported[message.number] += message.amount
    watch.advance(message.amount)


def _wants_gpu(lost: Mapping[int, Attempts], jobs: JobSource) -> bool:
    """Return whether the next job wants a GPU: one whose worker died comes first."""
    ready = (attempts.job.wants_gpu for attempts in lost.values() if attempts.next_step == "compute")
    return next(ready, jobs.wants_gpu)


def _failed(job: Job, problem: str) -> JobOutcome:
    """Return the outcome of a job that failed, and note it in the log of its run."""
    with suppress(InTheWayError):  # it is in the outcome as well
        log_line(job.folder, f"{job.stage}: failed: {problem}")
    return JobOutcome(error=problem)
