"""How often a job is computed again whose worker died: that depends on who ended the worker."""

from dataclasses import dataclass, field
from typing import Literal

from spaceprobe.stages.stage import Job

FAULTS_LIMIT = 1
"""Chosen: how often a job is computed again whose worker died without anybody ending it."""

ENDS_LIMIT = 5
"""Chosen: how often a job is computed again whose worker the batch system ended.

Every time may cost a whole wall time, and a job that needs more than one never ends.
"""


@dataclass
class Death:
    """The death of a worker, or of several one after the other, in the middle of a job.

    Attributes:
        title: of the job, in messages.
        worker: Dask's name of the worker.
        address: the worker's.
        num_workers: how many died: a scheduler that others started may try a job again by itself.
        batch_job: the number of the worker's job at the batch system; None if it is not known.
        ended_as: how the batch system ended that job, such as "TIMEOUT"; "" if it did not; None if that
            is not known yet.
    """

    title: str
    worker: str
    address: str
    num_workers: int = 1
    batch_job: str | None = None
    ended_as: str | None = ""


@dataclass
class Attempts:
    """A job and the deaths of the workers that computed it."""

    job: Job
    deaths: list[Death] = field(default_factory=list)

    @property
    def next_step(self) -> Literal["compute", "wait", "give up"]:
        """What to do with the job now: it waits while an unknown cause decides."""
        num_faults = sum(death.num_workers for death in self.deaths if death.ended_as == "")
        num_unknown = sum(death.num_workers for death in self.deaths if death.ended_as is None)
        if num_faults > FAULTS_LIMIT or len(self._ends) > ENDS_LIMIT:
            return "give up"
        return "compute" if num_faults + num_unknown <= FAULTS_LIMIT else "wait"

    @property
    def problem(self) -> str:
        """Why the job was given up."""
        what_now = "what it had finished is kept; the same command tries it again"
        if len(self._ends) > ENDS_LIMIT:
            too_short = " (perhaps with a longer slurm.walltime)" if "TIMEOUT" in self._ends else ""
            return (
                f"SLURM ended {len(self._ends)} workers that computed it ({', '.join(self._ends)}): it is "
                f"computed again {ENDS_LIMIT} times at most; {what_now}{too_short}"
            )
        last = self.deaths[-1]
        is_known = last.batch_job is not None
        return (
            f"killed every worker that computed it, the last one {last.address} "
            f"({'out of memory?' if is_known else 'out of memory, or ended from outside?'}); {what_now}"
        )

    @property
    def _ends(self) -> list[str]:
        return [death.ended_as for death in self.deaths if death.ended_as]
