"""Hands out the jobs of a stage that this runner is to compute: those that no other runner has claimed."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence

from spaceprobe.files import refresh_folder
from spaceprobe.stages import run_stage_named
from spaceprobe.stages.stage import Job
from spaceprobe.study.jobs.executor import LOOK_AGAIN_S
from spaceprobe.study.jobs.run_job import JobOutcome, still_to_do
from spaceprobe.study.running.claims import Claims
from spaceprobe.study.running.journal import Journal
from spaceprobe.study.storage.part_files import StoredPart

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""Chosen: how often one looks who else is at work; a claim is made without looking."""


class JobFeed:
    """The jobs of a stage, handed out one by one as they can be claimed.

    Attributes:
        elsewhere: how the jobs ended that other runners computed meanwhile.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        claims: Claims,
        journal: Journal,
        passed: Callable[[Job], None],
        looked: Callable[[], None],
        *,
        is_fail_fast: bool = False,
    ) -> None:
        """Take jobs.

        Args:
            jobs: in the order in which they are handed out.
            claims: on the study's jobs.
            journal: of this runner, in which it reads what others noted.
            passed: called with each job that another runner computed.
            looked: called when one has looked who else is at work.
            is_fail_fast: whether the first failed job, of whichever runner, is the last.
        """
        self.elsewhere: list[tuple[Job, JobOutcome]] = []
        self._waiting = {number: (job, job_name(job)) for number, job in enumerate(jobs)}
        self._claims = claims
        self._journal = journal
        self._passed = passed
        self._tell = looked
        self._is_fail_fast = is_fail_fast
        self._ended: dict[str, tuple[int, str | None]] = {}
        self._looked = -LOOK_EVERY_S
        self._may_ask = 0.0
        self._is_waiting_told = False

    @property
    def is_empty(self) -> bool:
        """Whether no job is left to be handed out, now or later."""
        return not self._waiting

    @property
    def wants_gpu(self) -> bool:
        """Whether the next job wants a GPU."""
        return next((job.wants_gpu for job, _ in self._waiting.values()), False)

    def take(self) -> Job | None:
        """Return the next job that no other runner has claimed, or None if there is none now.

        Raises:
            ResultsError: a claim cannot be written.
        """
        if time.monotonic() < self._may_ask:
            return None
        self._look()
        for number, (job, name) in [*self._waiting.items()]:
            loser = self._claims.loser(name)
            if number not in self._waiting or not self._claims.take(name):
                continue
            del self._waiting[number]
            if self._is_done_elsewhere(job, name):
                self._claims.release(name)
                continue
            if loser is not None:
                logger.warning("%s: taken over from a runner on %s that is lost", job.title, loser)
            return job
        self._may_ask = time.monotonic() + LOOK_AGAIN_S / 2
        if self._waiting and not self._is_waiting_told:
            self._is_waiting_told = True
            num, stage = len(self._waiting), next(iter(self._waiting.values()))[0].stage
            logger.warning("%s: waiting for %d job%s of another runner", stage, num, "s" * (num > 1))
        return None

    def ended(self, job: Job) -> None:
        """Give the claim on a job up: it was computed, and its end noted."""
        self._claims.release(job_name(job))

    def _look(self) -> None:
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            self._claims.look()
            self._looked = time.monotonic()
            self._tell()

    def _is_done_elsewhere(self, job: Job, name: str) -> bool:
        """Return whether another runner has computed a job since it was planned, and note how it ended."""
        for event in self._journal.news():
            if event["event"] == "job_ended":
                error = event.get("error")
                self._ended[str(event.get("job"))] = (
                    int(event.get("num_parts") or 0),
                    None if error is None else str(error),
                )
        num_parts, error = self._ended.get(name, (0, None))
        errors: list[str] = [] if error is None else [error]
        if not errors:
            if job.is_forced and num_parts < len(job.parts):
                return False
            if self._claims.others() or name in self._ended:
                refresh_folder(job.folder)

            def finished(stored: StoredPart) -> None:
                if stored.content.error is not None:
                    errors.append(stored.content.error)

            if still_to_do(job, finished).parts:
                return False
        self.elsewhere.append((job, JobOutcome(error=errors[-1] if errors else None)))
        self._passed(job)
        if errors and self._is_fail_fast:
            self._waiting.clear()
        return True


def job_name(job: Job) -> str:
    """Return the name of a job: the same for every runner, whichever of its parts are left to compute."""
    identity = {
        name: job.sections[name].identity()
        for name in run_stage_named(job.stage).sections
        if name in job.sections
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{job.stage}-{job.run}-{digest[:8]}"
