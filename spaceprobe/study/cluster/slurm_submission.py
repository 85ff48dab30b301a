"""dask-jobqueue's cluster, where a job that sbatch refuses is missing, and nothing else is disturbed.

There it would be an error whenever Dask next looks at the cluster, also when it is to be closed.
"""

from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed.core import Status


class SlurmJob(SLURMJob):
    """A job of SLURM, which is a worker.

    Attributes:
        job_id: its number; None where sbatch refused it.
        refusal: why sbatch refused it; "" if it did not.
    """

    job_id: str | None
    refusal = ""

    async def start(self) -> None:
        """Submit the job."""
        try:
            await super().start()  # type: ignore[no-untyped-call]  # dask-jobqueue has no types
        except (OSError, RuntimeError, ValueError) as error:
            self.refusal = " ".join(str(error).partition("stderr:")[2].split()) or str(error)
            self.status = Status.running  # as far as Dask should care

    async def close(self) -> None:
        """Cancel the job, and say that this was done: Dask insists on it when the cluster is closed."""
        await super().close()  # type: ignore[no-untyped-call]  # dask-jobqueue has no types
        self.status = Status.closed


class SlurmCluster(SLURMCluster):
    """A cluster of such jobs."""

    job_cls = SlurmJob
