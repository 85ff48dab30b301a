"""A Dask cluster whose workers are SLURM jobs.

The scheduler runs in the driver's process; each job is one worker process with one thread, and a nanny that
starts it again when it dies. They use TLS with credentials made for this cluster: workers run any code that
the scheduler is sent, and others on the cluster's network could send some.
"""

import logging
import os
import shlex
import shutil
import socket
import sys
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.files import is_alive
from spaceprobe.machine.paths import expanded
from spaceprobe.study.cluster.local import CONFIG
from spaceprobe.study.cluster.slurm_answers import check_accepted
from spaceprobe.study.cluster.workers import GPU
from spaceprobe.study.slurm_settings import SlurmSettings, check_folder

if TYPE_CHECKING:
    from dask_jobqueue.slurm import SLURMCluster
    from distributed.security import Security

DEATH_TIMEOUT_S = 60
"""Chosen: how long a worker looks for its scheduler before its job ends; dask-jobqueue's default."""

HOST = "127.0.0.1"
"""Where scheduler and workers open the port that Dask opens even without a dashboard."""

_KEY_FILES = ("ca_file", "cert", "key")

PRELOAD = "spaceprobe.study.cluster.lost_scheduler"
"""Ends a worker that lost its scheduler."""


def job_script(settings: SlurmSettings, folder: Path) -> str:
    """Return the batch script of a job of `slurm_cluster`; nothing is started or written.

    What only a running cluster has stands in capitals: the scheduler's address, the worker's name, and the
    folder of its keys.

    Args:
        settings: what each job asks for.
        folder: see `slurm_cluster`.

    Raises:
        SpaceprobeError: dask-jobqueue or cryptography is missing.
        SettingsError: the folder's path does not fit into a job script, or no line holds a text of
            ``directives_skip``.
    """
    cluster_class, credentials = _load()
    folder = _checked(settings.folder or folder)
    arguments = _arguments(settings, folder)
    for of_cluster in ("scheduler_options", "silence_logs"):
        del arguments[of_cluster]
    security = _reading(credentials, folder / "KEYS")
    with tempfile.TemporaryDirectory() as logs:  # dask-jobqueue would make the folder
        arguments["log_directory"] = logs
        job = cluster_class.job_cls("tls://SCHEDULER:PORT", "NAME", security=security, **arguments)
        script: str = job.job_script().replace(f"{logs}/", f"{folder}/")
        everything = cluster_class.job_cls(
            "tls://SCHEDULER:PORT", "NAME", security=security, **{**arguments, "job_directives_skip": []}
        )
    for text in settings.directives_skip:
        if text not in str(everything.job_header):
            raise SettingsError(
                f"slurm.directives_skip: no #SBATCH line holds {text!r}; `spaceprobe plan STUDY --slurm N` "
                "without it shows them all"
            )
    return script


def slurm_cluster(settings: SlurmSettings, num_workers: int, folder: Path) -> "SLURMCluster":
    """Return a cluster, which the caller closes; its jobs are submitted and may still wait in SLURM's queue.

    `SlurmJobs` keeps their number.

    Args:
        settings: what each job asks for.
        num_workers: how many jobs; 0 submits none and needs no SLURM.
        folder: for the jobs' logs and, while the cluster runs, its credentials; on a disk that every node
            sees. ``settings.folder`` comes first.

    Raises:
        SpaceprobeError: dask-jobqueue or cryptography is missing, the scheduler does not start (no such
            network interface), there is no SLURM, or SLURM refuses such a job.
        SettingsError: the folder's path does not fit into a job script.
    """
    cluster_class, credentials = _load()
    dask.config.set(CONFIG)
    if num_workers and shutil.which("sbatch") is None:
        raise SpaceprobeError("sbatch was not found: run on a machine that submits to SLURM, or use --jobs")
    script = job_script(settings, folder)
    if num_workers:
        check_accepted(script, settings.queue)  # before anything is written
    folder = _prepare(settings.folder or folder)
    _remove_abandoned(folder)
    keys = Path(tempfile.mkdtemp(prefix=f"keys-{os.getpid()}@{socket.gethostname()}-", dir=folder))
    try:
        cluster = cluster_class(
            n_workers=0, security=_written(credentials, keys), **_arguments(settings, folder)
        )
    except BaseException as error:
        shutil.rmtree(keys, ignore_errors=True)
        if isinstance(error, RuntimeError):  # from Dask, for whatever went wrong in its scheduler
            where = "" if settings.interface is None else f" on slurm.interface {settings.interface}"
            raise SpaceprobeError(f"no scheduler{where}: {error.__cause__ or error}") from error
        raise
    weakref.finalize(cluster, shutil.rmtree, keys, ignore_errors=True)
    try:
        if num_workers:
            cluster.scale(num_workers)
    except BaseException:
        cluster.close()
        raise
    return cluster


def _load() -> "tuple[type[SLURMCluster], Security]":
    """Return the cluster's class and new credentials, in memory."""
    try:
        import cryptography  # noqa: F401  # Dask needs it for the credentials; its own error is less clear
        import dask_jobqueue  # noqa: F401  # the next line needs it
        from distributed.security import Security

        from spaceprobe.study.cluster.slurm_submission import SlurmCluster
    except ModuleNotFoundError as error:
        raise SpaceprobeError(f"SLURM needs {error.name}: pip install 'spaceprobe[slurm]'") from error
    return SlurmCluster, Security.temporary()


def _written(credentials: "Security", keys: Path) -> "Security":
    """Write credentials to files that only their owner may read, for the jobs, and return them.

    dask-jobqueue would write them as well, but leaves files open, of which newer Pythons warn.
    """
    texts = credentials.get_tls_config_for_role("worker")
    for kind in _KEY_FILES:
        path = keys / f"{kind}.pem"
        path.touch(mode=0o600)
        path.write_text(texts[kind])
    return _reading(credentials, keys)


def _reading(credentials: "Security", keys: Path) -> "Security":
    """Return credentials that lie in files of a folder."""
    paths = {kind: str(keys / f"{kind}.pem") for kind in _KEY_FILES}
    roles = ("client", "scheduler", "worker")
    files = {f"tls_{role}_{kind}": paths[kind] for role in roles for kind in ("cert", "key")}
    return type(credentials)(require_encryption=True, tls_ca_file=paths["ca_file"], **files)


def _checked(folder: Path) -> Path:
    """Return the absolute path of a folder that fits into a job script."""
    folder = expanded(folder).absolute()
    try:
        return check_folder(folder)
    except ValueError as error:
        raise SettingsError(f"slurm.folder: {error}; set slurm.folder to another one") from error


def _prepare(folder: Path) -> Path:
    """Make a folder, closed to others if it is new, and return its absolute path."""
    folder = _checked(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SpaceprobeError(f"slurm.folder: {folder}: {error.strerror}") from error
    return folder


def _remove_abandoned(folder: Path) -> None:
    """Remove the credentials of clusters whose driver on this machine was killed."""
    for keys in folder.glob(f"keys-*@{socket.gethostname()}-*"):
        pid = keys.name.removeprefix("keys-").partition("@")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(keys, ignore_errors=True)


def _arguments(settings: SlurmSettings, folder: Path) -> dict[str, Any]:
    """Return the arguments for dask-jobqueue: all, so that a user's jobqueue.yaml changes little."""
    gpu_lines = [f"--gres=gpu:{settings.gpus}"] if settings.gpus else []
    return {
        "protocol": "tls://",
        "interface": settings.interface,
        "scheduler_options": {"dashboard": False, "dashboard_address": f"{HOST}:0"},
        "queue": settings.queue,
        "account": settings.account,
        "walltime": settings.walltime,
        "job_name": "spaceprobe",
        "cores": 1,  # threads: one job of the study at a time
        "processes": 1,
        "job_cpu": settings.cores,
        "memory": settings.memory,
        "log_directory": str(folder),
        "job_extra_directives": [*gpu_lines, *settings.directives],
        "job_directives_skip": [*settings.directives_skip],
        "job_script_prologue": [*_exports(settings), *settings.prologue],
        "python": shlex.quote(sys.executable),
        "worker_extra_args": _worker_options(settings),
        "death_timeout": DEATH_TIMEOUT_S,
        "silence_logs": logging.CRITICAL,
    }


def _exports(settings: SlurmSettings) -> list[str]:
    """Return the environment of a job; SLURM passes on the driver's, which is another machine's."""
    return [
        f"export OMP_NUM_THREADS={settings.cores}",
        "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]",
    ]


def _worker_options(settings: SlurmSettings) -> list[str]:
    return [
        *("--memory-limit", "0"),  # SLURM's task: Dask would end a worker long before
        *("--no-dashboard", "--dashboard-address", f"{HOST}:0"),  # Dask opens a port even so
        *(("--resources", f"{GPU}={settings.gpus}") if settings.gpus else ()),
        *("--preload", PRELOAD, "--preload-nanny", PRELOAD),
    ]
