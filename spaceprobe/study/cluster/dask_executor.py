"""Computes jobs by the workers of a Dask cluster."""

import queue
import time
import uuid
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Future, get_worker
from distributed.scheduler import KilledWorker

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.executor import Watch
from spaceprobe.study.files import file_digest
from spaceprobe.study.job import Outcome, run_job
from spaceprobe.study.run_log import here, log_line
from spaceprobe.study.stage import Job

GPU = "GPU"
"""The Dask resource that a worker with a GPU declares: ``dask worker --resources GPU=1``."""

REPORT_EVERY_S = 0.5
"""Chosen: how often a worker tells how far it is."""

LOOK_EVERY_S = 1.0
"""Chosen: how often the driver looks whether workers came or the scheduler went."""

SHARED_DISK_S = 30.0
"""Chosen: how long a file written elsewhere may take to be seen; NFS forgets within half of that."""


@dataclass(frozen=True)
class _Message:
    """What a worker tells: that it began a job, or how much work it did since it last told."""

    number: int
    started: str | None = None
    amount: int = 0


class DaskExecutor:
    """Computes jobs by the workers that a client sees.

    A worker holds one job at a time, so that a worker's death costs the job that it computed and no other.
    A job whose worker dies is tried on another one, as often as the cluster's ``allowed-failures`` says:
    once, on clusters that spaceprobe starts.
    """

    def __init__(self, client: Client, where: str) -> None:
        """Takes a client and what to call its cluster in messages."""
        self._client = client
        self._where = where
        self._inbox: queue.SimpleQueue[_Message | Future[Outcome]] = queue.SimpleQueue()
        self._topic = f"spaceprobe-{uuid.uuid4().hex}"
        client.subscribe_topic(self._topic, self._receive)

    def check_gpu(self) -> None:
        """Checks that a worker has a GPU."""
        if not self.has_gpu():
            raise SpaceprobeError(
                f"--device cuda: no worker of {self._where} has the resource {GPU}; start some with "
                f"`dask worker ... --resources {GPU}=1`, or use --device cpu"
            )

    def has_gpu(self) -> bool:
        """Returns whether a worker has a GPU."""
        return self._num_gpus() > 0

    def run(self, jobs: Sequence[Job], watch: Watch) -> Generator[tuple[Job, Outcome], None, None]:
        """Computes jobs and yields the outcome of each as it ends.

        Raises:
            ResultsError: results cannot be written.
            SpaceprobeError: the scheduler is gone.
        """
        waiting = deque(enumerate(jobs))
        active: dict[object, tuple[int, Future[Outcome]]] = {}
        reported = dict.fromkeys(range(len(jobs)), 0)
        try:
            while waiting or active:
                while waiting and len(active) < self._num_slots(waiting[0][1]):
                    number, job = waiting.popleft()
                    future = self._submit(number, job)
                    active[future.key] = number, future
                    future.add_done_callback(self._inbox.put)
                message = self._next_message()
                if isinstance(message, _Message):
                    if message.number in {number for number, _ in active.values()}:
                        if message.started is not None:
                            watch.started(jobs[message.number], message.started)
                        reported[message.number] += message.amount
                        watch.advance(message.amount)
                elif isinstance(message, Future) and message.key in active:
                    number, future = active.pop(message.key)
                    outcome = self._outcome(jobs[number], future)
                    future.release()  # else finished work is computed again when its worker dies
                    watch.advance(jobs[number].amount - reported[number])
                    yield jobs[number], outcome
        finally:
            for _, future in active.values():
                with suppress(Exception):  # the cluster may be gone, which is why this is reached
                    future.cancel()

    def _submit(self, number: int, job: Job) -> Future[Outcome]:
        return self._client.submit(
            _compute,
            *(number, job, self._topic),
            key=f"{job.stage}-{job.run}-{uuid.uuid4().hex[:8]}",
            pure=False,
            resources={GPU: 1} if job.wants_gpu else None,
        )

    def _next_message(self) -> _Message | Future[Outcome] | None:
        try:
            return self._inbox.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            if self._client.status not in ("running", "connecting"):
                raise SpaceprobeError(self._gone()) from None
            return None

    def _outcome(self, job: Job, future: Future[Outcome]) -> Outcome:
        """Returns the outcome of a job, or why there is none.

        Raises:
            ResultsError: results cannot be written.
            SpaceprobeError: the scheduler is gone, or a worker has other code.
        """
        if future.status == "cancelled":
            raise SpaceprobeError(self._gone())
        error = future.exception()
        if error is None:
            outcome: Outcome = future.result()
            return self._seen(job, outcome)
        if isinstance(error, SpaceprobeError):
            raise error
        if isinstance(error, ImportError):
            raise SpaceprobeError(
                f"a worker of {self._where} cannot import spaceprobe ({error}); install the same spaceprobe "
                "on all machines"
            ) from error
        if isinstance(error, KilledWorker):
            problem = (
                f"killed every worker that computed it, the last one {error.last_worker.address} (out of "
                "memory?); what it had finished is kept, the same command tries it again"
            )
        else:
            problem = f"{type(error).__name__}: {error}"
        log_line(job.folder, f"{job.stage}: failed: {problem}")
        return Outcome(error=problem)

    def _seen(self, job: Job, outcome: Outcome) -> Outcome:
        """Returns an outcome once the parts that were written elsewhere are seen here."""
        deadline = time.monotonic() + SHARED_DISK_S
        for path, digest in outcome.digests.items():
            while file_digest(job.folder / path) != digest:
                if time.monotonic() > deadline:
                    return Outcome(
                        error=f"{job.folder / path}: was written by a worker but is not there; --results "
                        f"has to lie on a disk that all machines of {self._where} share"
                    )
                _look_into(job.folder / path)
                time.sleep(REPORT_EVERY_S)
        return outcome

    def _gone(self) -> str:
        return (
            f"the scheduler of {self._where} is gone; what was finished is kept, the same command goes on "
            "from there"
        )

    def _num_slots(self, job: Job) -> int:
        if job.wants_gpu:
            return max(1, self._num_gpus())
        return max(1, sum(self._client.nthreads().values()))

    def _num_gpus(self) -> int:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        num_gpus: float = sum(worker["resources"].get(GPU, 0) for worker in workers)
        return int(num_gpus)

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        _, message = event
        self._inbox.put(_Message(message["number"], message.get("started"), message.get("amount", 0)))


def _compute(number: int, job: Job, topic: str) -> Outcome:
    """Computes a job in a worker, and tells the driver how it goes on."""
    tell = _Teller(number, topic)
    tell.send(started=here())
    return run_job(job, tell.advance)


class _Teller:
    """Tells the driver about a job, not more often than it cares."""

    def __init__(self, number: int, topic: str) -> None:
        self._number = number
        self._topic = topic
        self._amount = 0
        self._told = time.monotonic()

    def advance(self, amount: int) -> None:
        self._amount += amount
        if time.monotonic() - self._told > REPORT_EVERY_S:
            self.send(amount=self._amount)
            self._amount, self._told = 0, time.monotonic()

    def send(self, **message: Any) -> None:
        get_worker().log_event(self._topic, {"number": self._number, **message})


def _look_into(path: Path) -> None:
    """Lists a file's folder: that is when an NFS client asks the server anew."""
    with suppress(OSError):
        for _ in path.parent.iterdir():
            pass
