"""The workers that a cluster has now: they come late, die and come back."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from distributed import Client
from distributed.scheduler import KilledWorker

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.cluster.deaths import Death

logger = logging.getLogger(__name__)

GPU = "GPU"
"""The Dask resource that a worker with a GPU declares: ``dask worker --resources GPU=1``."""

LOOK_EVERY_S = 1.0
"""Chosen: how often the driver asks which workers there are, and whether the scheduler is."""

PATIENCE_S = 5.0
"""Chosen: after how long without a worker the user is warned; one that died is back within two."""

LIMIT_S = 60.0
"""Chosen: after how long without a worker a cluster of processes of this machine is given up."""


class BatchSystem(Protocol):
    """What starts the workers of a cluster, each in a job, and ends them."""

    def look(self, present: Sequence[str]) -> None:
        """Ask for new workers in place of lost ones; called whenever workers are looked up.

        Args:
            present: Dask's names of the workers that are there.

        Raises:
            SpaceprobeError: there is none, and none will come.
        """

    def examine(self, death: Death) -> None:
        """Find out, now or at a later look, whether the batch system ended a worker that died."""


class Workers:
    """The workers of a cluster, as its scheduler sees them."""

    def __init__(
        self,
        client: Client,
        where: str,
        batch_system: BatchSystem | None = None,
        *,
        gives_up: bool = False,
    ) -> None:
        """Take a client and how to treat its workers.

        Args:
            client: of the cluster's scheduler.
            where: the cluster's name in messages.
            batch_system: where they are jobs of one; it ends them when their time is over.
            gives_up: whether it is an error to have no worker for a while: if none can come from elsewhere.
        """
        self._client = client
        self._batch_system = batch_system
        self._gives_up = gives_up
        self._where = where
        self._workers: Mapping[str, Mapping[str, Any]] = {}
        self._looked = -LOOK_EVERY_S
        self._without_since: float | None = None
        self._is_told = False

    def num_slots(self, *, wants_gpu: bool) -> int:
        """Return how many jobs they can take, one each; at least 1, for the next worker to come.

        Raises:
            SpaceprobeError: the scheduler is gone.
        """
        num = self._num_fit(wants_gpu=wants_gpu)
        self._tell(num, "with the resource GPU" if wants_gpu else "")
        return max(1, num)

    def has_gpu(self) -> bool:
        """Return whether one of them has a GPU, after waiting until there is a worker at all.

        Raises:
            SpaceprobeError: the scheduler is gone.
        """
        while not self._num_fit(wants_gpu=False):
            self._tell(0, "")
            time.sleep(LOOK_EVERY_S / 5)
        return self._num_fit(wants_gpu=True) > 0

    def why_no_float64_gpu(self) -> str | None:
        """Return why exact walks of ReLU MLPs do not pay on each GPU of theirs; None if they do.

        Raises:
            SpaceprobeError: the scheduler is gone.
        """
        from spaceprobe.folding.cuda.capability import why_cpu

        if not self.has_gpu():
            return f"no worker of {self._where} has the resource {GPU}"
        with_gpu = [address for address, worker in self._workers.items() if worker["resources"].get(GPU, 0)]
        answers = self._client.run(why_cpu, workers=with_gpu, on_error="return")
        reasons = [
            f"{address}: {answer}" for address, answer in sorted(answers.items()) if answer is not None
        ]
        return reasons[0] if reasons or not answers else None

    def died(self, title: str, error: KilledWorker) -> Death:
        """Return the death of a worker; who ended it may become known later.

        Args:
            title: of the job that it computed.
            error: Dask's.
        """
        self._looked = -LOOK_EVERY_S  # or its slot would still count
        worker = error.last_worker
        death = Death(title, str(worker.name), worker.address, error.allowed_failures + 1)
        if self._batch_system is not None:
            self._batch_system.examine(death)
        return death

    def check_scheduler(self) -> None:
        """Check that the scheduler is there; Dask would look for a lost one again, but its jobs are lost.

        Raises:
            SpaceprobeError: it is gone.
        """
        if self._client.status != "running":
            raise self.gone()

    def gone(self) -> SpaceprobeError:
        """Return the error for a lost scheduler."""
        return SpaceprobeError(
            f"the scheduler of {self._where} is gone; what was finished is kept; the same command continues "
            "from there"
        )

    def _num_fit(self, *, wants_gpu: bool) -> int:
        self.check_scheduler()
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            self._workers = self._client.scheduler_info(n_workers=-1).get("workers", {})
            if self._batch_system is not None:
                self._batch_system.look([str(worker["name"]) for worker in self._workers.values()])
            self._looked = time.monotonic()
        if wants_gpu:
            return int(sum(worker["resources"].get(GPU, 0) for worker in self._workers.values()))
        return len(self._workers)

    def _tell(self, num: int, kind: str) -> None:
        """Warn once if there has been no worker for a while.

        Raises:
            SpaceprobeError: for so long that none will come.
        """
        if num:
            self._without_since, self._is_told = None, False
        elif self._without_since is None:
            self._without_since = time.monotonic()
        elif self._gives_up and time.monotonic() - self._without_since > LIMIT_S:
            raise SpaceprobeError(
                f"{self._where} has had no worker for {LIMIT_S:.0f} s: its processes die as they start (out "
                "of memory?); what was finished is kept; the same command continues from there, perhaps with "
                "a smaller --jobs"
            )
        elif not self._is_told and time.monotonic() - self._without_since > PATIENCE_S:
            self._is_told = True
            logger.warning("%s has no worker%s: waiting for one", self._where, f" {kind}" if kind else "")
