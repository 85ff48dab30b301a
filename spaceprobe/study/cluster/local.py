"""A Dask cluster of worker processes on this machine, for nobody else.

It listens on 127.0.0.1 only and speaks TLS with credentials that are made for it and kept in memory: without
them every user of the machine could have his code run by the workers. It serves no dashboard unless asked.
"""

import os
import shutil
from typing import Any

import dask
from distributed import Nanny, Scheduler, SpecCluster
from distributed.security import Security

from spaceprobe.study.cluster.dask_executor import GPU

HOST = "127.0.0.1"
START_TIMEOUT_S = 60


def local_cluster(num_workers: int, dashboard: str | None = None, num_gpus: int | None = None) -> SpecCluster:
    """Returns a running cluster; to be closed.

    Args:
        num_workers: its worker processes, each with one thread: Python computes one job a process.
        dashboard: ``host:port`` to serve one at; None for none.
        num_gpus: GPUs of this machine: the first workers get one each. None to ask torch.
    """
    dask.config.set(CONFIG if dashboard is None else {**CONFIG, **DASHBOARD})
    security = Security.temporary()
    common = {"host": HOST, "protocol": "tls://", "security": security}
    scheduler = {
        "cls": Scheduler,
        "options": {
            **common,
            "dashboard": dashboard is not None,
            # A port of its own even without: it answers nothing there, but Dask opens it in any case.
            "dashboard_address": dashboard or f"{HOST}:0",
        },
    }
    gpus = _count_gpus() if num_gpus is None else num_gpus
    workers = {number: _worker(number, num_workers, gpus, common) for number in range(num_workers)}
    return SpecCluster(workers, scheduler, security=security, silence_logs=50, name="spaceprobe")


CONFIG = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.0,  # jobs wait at the scheduler, not at a mortal worker
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.daemon": True,
    "distributed.comm.timeouts.connect": f"{START_TIMEOUT_S}s",
}
"""What Dask is told of clusters that spaceprobe starts."""

DASHBOARD = {"distributed.scheduler.http.routes": dask.config.get("distributed.scheduler.http.routes")}
"""What it is told otherwise where a dashboard is asked for."""


def _worker(number: int, num_workers: int, num_gpus: int, common: dict[str, Any]) -> dict[str, Any]:
    threads = str(max(1, (os.cpu_count() or 1) // num_workers))
    env = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
    resources = {}
    if num_gpus:
        # One device a worker, and none for the others: two jobs on one GPU may not fit.
        env["CUDA_VISIBLE_DEVICES"] = _device(number) if number < num_gpus else ""
        resources = {GPU: 1} if number < num_gpus else {}
    options = {
        "nthreads": 1,
        "memory_limit": 0,  # Dask would kill a worker at its share of the memory, whether or not it lacks
        "dashboard": False,
        "env": env,
        "resources": resources,
        "silence_logs": 50,
        "death_timeout": START_TIMEOUT_S,
    }
    return {"cls": Nanny, "options": {**common, **options}}


def _device(number: int) -> str:
    """Returns the name of a GPU of this machine, of those that the user lets us see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[number] if visible else str(number)


def _count_gpus() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0  # torch takes seconds to import, only to say so
    import torch

    return torch.cuda.device_count()
