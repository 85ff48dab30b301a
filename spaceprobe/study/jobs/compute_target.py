"""Where the jobs of a study are computed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ComputeTarget:
    """This process, worker processes of this machine, a running Dask cluster, or one that SLURM starts.

    Attributes:
        num_jobs: how many jobs at once, by worker processes of this machine; 1 for this process.
        scheduler_address: of a running Dask cluster, such as ``tcp://host:8786``.
        scheduler_file: of a running Dask cluster, as ``dask scheduler --scheduler-file`` writes it.
        num_slurm_workers: how many workers SLURM is asked for.
        dashboard: ``host:port`` of the local cluster's dashboard; None for none.
    """

    num_jobs: int = 1
    scheduler_address: str | None = None
    scheduler_file: Path | None = None
    num_slurm_workers: int | None = None
    dashboard: str | None = None

    @property
    def is_this_process(self) -> bool:
        """Whether jobs are computed here, one after another."""
        return self == ComputeTarget()
