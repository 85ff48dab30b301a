"""Keeps as many jobs in SLURM as workers were asked for, and finds out which workers SLURM ended.

dask-jobqueue submits jobs and looks no further: one that is cancelled before it runs is missing for ever.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.cluster.deaths import ENDS_LIMIT, Death
from spaceprobe.study.cluster.slurm_answers import (
    ENDED_BY_ITSELF,
    ENDED_BY_SLURM,
    ENDING,
    FORGOTTEN,
    RUNNING,
    job_states,
)

if TYPE_CHECKING:
    from dask_jobqueue.slurm import SLURMCluster

    from spaceprobe.study.cluster.slurm_submission import SlurmJob

logger = logging.getLogger(__name__)

ASK_EVERY_S = 10.0
"""Chosen: how often squeue is asked while a worker is missing; controllers of large clusters mind more."""

NEVER_BEGUN_LIMIT = 3
"""Chosen: how many jobs, for each worker, are asked for in place of those that never became a worker."""

REFUSED = "refused"
"""Stands for the state of a job that sbatch refused."""

SHOWN_LIMIT = 5
"""Chosen: how many jobs a message lists."""


class SlurmJobs:
    """The jobs of a SLURM cluster, each of which is a worker."""

    def __init__(self, cluster: "SLURMCluster", num_workers: int, logs: Path) -> None:
        """Take a cluster, how many jobs it should have, and the folder of their logs."""
        self._cluster = cluster
        self._num_workers = num_workers
        self._logs = logs
        self._begun: set[str | None] = set()
        self._num_left = NEVER_BEGUN_LIMIT * num_workers
        self._given_up: set[str] = set()
        self._undecided: list[Death] = []
        self._asked = -ASK_EVERY_S
        self._is_silence_told = False

    def look(self, present: Sequence[str]) -> None:
        """Compare what was asked for with what squeue shows, and ask for jobs in place of those that ended.

        Args:
            present: the names of the workers that are there.

        Raises:
            SpaceprobeError: no job is left, and `NEVER_BEGUN_LIMIT` is reached.
        """
        jobs = self._jobs()
        self._begun |= {jobs[name].job_id for name in present if name in jobs}
        missing = {name: job for name, job in jobs.items() if name not in {*present, *self._given_up}}
        if (missing or self._undecided) and time.monotonic() - self._asked >= ASK_EVERY_S:
            states = self._states()
            self._asked = time.monotonic()
            if states is not None:
                self._decide(states, present)
                self._replace(missing, states)
        self._cluster.scale(self._num_workers)

    def examine(self, death: Death) -> None:
        """Find out, now or at a later look, whether SLURM ended a worker that died."""
        job = self._jobs().get(death.worker)
        if job is not None:  # else it is a worker that somebody started by hand
            death.batch_job, death.ended_as = job.job_id, None
            self._undecided.append(death)
            self._asked = -ASK_EVERY_S

    def _jobs(self) -> "dict[str, SlurmJob]":
        """Return the job of each worker, by the worker's name."""
        return dict([*self._cluster.workers.items()])  # Dask's own thread changes it

    def _states(self) -> dict[str, str] | None:
        """Return what squeue shows; None, with one warning, as long as it does not answer."""
        try:
            states = job_states()
        except SpaceprobeError as error:
            if not self._is_silence_told:
                logger.warning("%s: SLURM is asked again and again", error)
            self._is_silence_told = True
            return None
        self._is_silence_told = False
        return states

    def _decide(self, states: Mapping[str, str], present: Collection[str]) -> None:
        """Find out which of the workers whose death is not understood yet were ended by SLURM."""
        for death in [*self._undecided]:
            state = states.get(str(death.batch_job), FORGOTTEN)
            if state in ENDING or (state == RUNNING and death.worker not in present):
                continue  # how it ends is not told yet, its node is lost, or its nanny starts another process
            self._undecided.remove(death)
            # SLURM changes the state of a job before it ends it, and its workers die after that.
            if state == RUNNING or state in ENDED_BY_ITSELF:
                death.ended_as = ""
                continue
            death.ended_as = "PENDING again" if state == "PENDING" else state
            logger.warning(
                "%s: SLURM ended the worker that computed it (job %s: %s); that does not count as its "
                "failure, up to %d times",
                death.title,
                death.batch_job,
                death.ended_as,
                ENDS_LIMIT,
            )

    def _replace(self, missing: "Mapping[str, SlurmJob]", states: Mapping[str, str]) -> None:
        """Ask for new jobs in place of those that ended.

        Raises:
            SpaceprobeError: no job is left, and `NEVER_BEGUN_LIMIT` is reached.
        """
        found = {
            name: REFUSED if job.job_id is None else states.get(job.job_id, FORGOTTEN)
            for name, job in missing.items()
        }
        ends = {*ENDED_BY_ITSELF, *ENDED_BY_SLURM, FORGOTTEN, REFUSED}
        over = {name: state for name, state in found.items() if state in ends}
        never_begun = [name for name in over if missing[name].job_id not in self._begun]
        given_up = never_begun[self._num_left :]
        self._given_up |= {*given_up}
        self._num_left -= len(never_begun) - len(given_up)
        if never_begun:
            ended = [missing[name].refusal or f"{missing[name].job_id}: {over[name]}" for name in never_begun]
            self._tell(ended, len(given_up))
        replaced = [name for name in over if name not in given_up]
        if replaced:
            self._cluster.sync(self._cluster.scale_down, replaced)  # `scale` makes it up

    def _tell(self, ends: Sequence[str], num_given_up: int) -> None:
        """Say that workers did not come, and what follows.

        Raises:
            SpaceprobeError: no job is left, and `NEVER_BEGUN_LIMIT` is reached.
        """
        several = len(ends) > 1
        listed = [*dict.fromkeys(ends)]
        what = (
            f"{len(ends)} worker{'s' * several} did not come, since {'their jobs' if several else 'its job'} "
            f"ended or {'were' if several else 'was'} refused ({', '.join(listed[:SHOWN_LIMIT])}"
            f"{', ...' * (len(listed) > SHOWN_LIMIT)})"
        )
        num_left = self._num_workers - len(self._given_up)
        if not num_left:
            raise SpaceprobeError(
                f"{what}; no more are asked for after {NEVER_BEGUN_LIMIT} for each worker. Why may stand in "
                f"{self._logs}; what was finished is kept; the same command continues from there"
            )
        if num_given_up:
            logger.warning(
                "%s; no more are asked for after %d for each worker: %d of %d workers are left",
                what,
                NEVER_BEGUN_LIMIT,
                num_left,
                self._num_workers,
            )
        else:
            logger.warning("%s: asked for again, and for at most %d more", what, self._num_left)
