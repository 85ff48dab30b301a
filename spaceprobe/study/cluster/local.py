"""A Dask cluster of worker processes on this machine, closed to others.

It listens on 127.0.0.1 only and uses TLS with credentials made for it: without them, every user of the
machine could run code in the workers. It serves a dashboard only if asked.
"""

import os
import shutil
import socket
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Literal

import dask
from distributed import Nanny, Scheduler, SpecCluster
from distributed.core import Status
from distributed.security import Security

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.machine.cpus import usable_cpus
from spaceprobe.machine.folders import temporary_folder
from spaceprobe.study.cluster.workers import GPU

HOST = "127.0.0.1"
START_TIMEOUT_S = 60
"""Chosen: how long a worker may take to start, or to start anew after its death, before it is given up.

Python and its packages take tens of seconds to load on a busy machine or from a slow shared disk.
"""

CLOSE_TIMEOUT_S = 1.0
"""Chosen: how long a worker may take to close; in the middle of a job it takes as long as it may."""


def local_cluster(num_workers: int, dashboard: str | None = None, num_gpus: int | None = None) -> SpecCluster:
    """Return a running cluster, which the caller closes.

    Args:
        num_workers: its worker processes, each with one thread: Python computes one job a process.
        dashboard: ``host:port`` to serve one at; None for none.
        num_gpus: GPUs of this machine: the first workers get one each. None to ask torch.

    Raises:
        SettingsError: the dashboard's address is not HOST:PORT.
        SpaceprobeError: the dashboard cannot be served, or processes cannot be started.
    """
    if dashboard is not None:
        _check_dashboard(dashboard)
    dask.config.set(CONFIG if dashboard is None else {**CONFIG, **DASHBOARD})
    security = Security.temporary()
    common = {"host": HOST, "protocol": "tls://", "security": security}
    scheduler = {
        "cls": Scheduler,
        "options": {
            **common,
            "dashboard": dashboard is not None,
            # Dask opens a port even without a dashboard; it answers nothing.
            "dashboard_address": dashboard or f"{HOST}:0",
        },
    }
    gpus = _count_gpus() if num_gpus is None else num_gpus
    scratch = os.fspath(temporary_folder("dask"))
    workers = {number: _worker(number, num_workers, gpus, scratch, common) for number in range(num_workers)}
    try:
        return SpecCluster(workers, scheduler, security=security, silence_logs=50, name="spaceprobe")
    except (OSError, RuntimeError) as error:
        raise SpaceprobeError(
            f"--jobs {num_workers}: worker processes cannot be started ({error}); try it again, or with a "
            "smaller number"
        ) from error


CONFIG = {
    "distributed.scheduler.allowed-failures": 0,  # the driver knows better whether to try a job again
    "distributed.scheduler.worker-saturation": 1.0,  # jobs wait at the scheduler, as workers may die
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.daemon": True,
    "distributed.deploy.lost-worker-timeout": f"{START_TIMEOUT_S}s",
    "distributed.comm.timeouts.connect": f"{START_TIMEOUT_S}s",
}
"""Dask's configuration for clusters that spaceprobe starts."""

DASHBOARD = {"distributed.scheduler.http.routes": dask.config.get("distributed.scheduler.http.routes")}
"""What a dashboard changes of it."""


def _worker(
    number: int, num_workers: int, num_gpus: int, scratch: str, common: dict[str, Any]
) -> dict[str, Any]:
    threads = str(max(1, usable_cpus() // num_workers))
    env = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
    resources = {}
    if num_gpus:
        # One device for a worker, and none for the rest: two jobs may not fit on one GPU.
        env["CUDA_VISIBLE_DEVICES"] = _device(number) if number < num_gpus else ""
        resources = {GPU: 1} if number < num_gpus else {}
    options = {
        "nthreads": 1,
        "memory_limit": 0,  # or Dask would kill a worker at its share of the memory, even if there is more
        "dashboard": False,
        "env": env,
        "resources": resources,
        "silence_logs": 50,
        "local_directory": scratch,
        "death_timeout": START_TIMEOUT_S,
    }
    return {"cls": _Nanny, "options": {**common, **options}}


class _Nanny(Nanny):
    """Starts a worker process, and starts it again when it dies, even while it is starting."""

    async def instantiate(self) -> Status:
        """Start the process; once more if it dies meanwhile, at which Dask would give up."""
        status = await super().instantiate()
        return status if status == Status.running else await super().instantiate()

    async def close(  # type: ignore[override]  # as in Nanny itself
        self, timeout: float = CLOSE_TIMEOUT_S, reason: str = "nanny-close"
    ) -> Literal["OK"]:
        """End the process without waiting for its job: results are written whole or not at all."""
        with suppress(TimeoutError):  # it was killed; on a busy machine it takes a while to be gone
            return await super().close(timeout=min(timeout, CLOSE_TIMEOUT_S), reason=reason)
        return "OK"


def _check_dashboard(address: str) -> None:
    """Check that a dashboard can be served: Dask would take another port, or serve none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingsError(f"--dashboard {address}: write HOST:PORT, such as {HOST}:8787")
    if find_spec("bokeh") is None:
        raise SpaceprobeError("--dashboard needs bokeh: pip install bokeh")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        raise SpaceprobeError(
            f"--dashboard {address}: cannot be served there ({error.strerror}); give another HOST:PORT"
        ) from error


def _device(number: int) -> str:
    """Return the name of a GPU of this machine, one of those that are visible."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[number] if visible else str(number)


def _count_gpus() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0  # without importing torch, which takes seconds
    import torch

    return torch.cuda.device_count()
