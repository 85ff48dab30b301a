"""Opens a Dask cluster: a new one on this machine or by SLURM, or a running one."""

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distributed import Client, SpecCluster
from distributed.comm.core import connect
from distributed.security import Security

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.reading import read_regular
from spaceprobe.study.cluster.dask_executor import DaskExecutor
from spaceprobe.study.cluster.held_signals import hold_signals
from spaceprobe.study.cluster.local import local_cluster
from spaceprobe.study.cluster.workers import Workers
from spaceprobe.study.jobs.compute_target import ComputeTarget
from spaceprobe.study.layout import SLURM
from spaceprobe.study.slurm_settings import SlurmSettings

CONNECT_TIMEOUT_S = 20
"""Chosen: how long a scheduler may take to answer."""


@contextmanager
def open_cluster(target: ComputeTarget, slurm: SlurmSettings, folder: Path) -> Iterator[DaskExecutor]:
    """Open the cluster of a target, and close what was started.

    Args:
        target: where jobs are computed.
        slurm: what SLURM is asked for, if it is the target.
        folder: the study's folder of results, where SLURM's jobs write their logs.

    Raises:
        SettingsError: the scheduler's file is something else.
        SpaceprobeError: no scheduler answers, or SLURM refuses.
    """
    _redirect_dask_logs()
    slurm_jobs, is_local = None, False
    with ExitStack() as stack:
        if target.scheduler_address is not None or target.scheduler_file is not None:
            client, where = stack.enter_context(_connect(target)), _name(target)
        else:
            if target.num_slurm_workers is not None:
                from spaceprobe.study.cluster.slurm import slurm_cluster  # here: it is an extra
                from spaceprobe.study.cluster.slurm_jobs import SlurmJobs

                where, num_workers = "the SLURM cluster", target.num_slurm_workers
                with hold_signals():
                    of_slurm = stack.enter_context(slurm_cluster(slurm, num_workers, folder / SLURM))
                cluster: SpecCluster = of_slurm
                slurm_jobs = SlurmJobs(of_slurm, num_workers, slurm.folder or folder / SLURM)
            else:
                where, is_local = "this machine", True
                with hold_signals():
                    cluster = stack.enter_context(local_cluster(target.num_jobs, target.dashboard))
            client = stack.enter_context(Client(cluster, set_as_default=False))
        yield DaskExecutor(client, where, Workers(client, where, slurm_jobs, gives_up=is_local))


def _redirect_dask_logs() -> None:
    """Remove the handlers, to stderr, that Dask gave its loggers when it was imported.

    Its messages then go where all messages of the program go.
    """
    for name in (
        "distributed",
        "distributed.client",
        "distributed.gc",
        "bokeh",
        "tornado",
        "tornado.application",
    ):
        log = logging.getLogger(name)
        for handler in [*log.handlers]:
            if type(handler) is logging.StreamHandler:
                log.removeHandler(handler)
        log.propagate = True
    for name in ("distributed.scheduler", "distributed.comm.tcp"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a message of a scheduler in this process is worth showing.

    This program, its only client, closes its connection before the scheduler ends; Dask logs a traceback for
    what the scheduler still sends then. A worker that is killed while it connects, or a stranger without
    credentials, is a handshake that failed: nobody got in.
    """
    return not str(record.msg).startswith(("Closed comm", "Listener on %r: TLS handshake failed"))


def _connect(target: ComputeTarget) -> Client:
    """Return a client of a running scheduler; TLS is set in Dask's own configuration."""
    address = (
        target.scheduler_address if target.scheduler_file is None else _address_in(target.scheduler_file)
    )
    try:
        with ThreadPoolExecutor(1) as thread:  # with an event loop of its own
            thread.submit(asyncio.run, _greet(str(address))).result()
        return Client(
            target.scheduler_address,
            scheduler_file=None if target.scheduler_file is None else os.fspath(target.scheduler_file),
            timeout=CONNECT_TIMEOUT_S,
            set_as_default=False,
        )
    except (OSError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, MemoryError):  # Dask took a text for the length of what follows
            reason = "what answers there is something else"
        raise SpaceprobeError(
            f"{_name(target)}: no Dask scheduler answers ({reason}); start one with `dask scheduler`, or "
            "give the address that it prints. With TLS the address begins with tls://, and Dask finds the "
            "certificates by DASK_DISTRIBUTED__COMM__TLS__... or its own files"
        ) from error


async def _greet(address: str) -> None:
    """Check that a scheduler answers: Dask's client would wait for a silent one for ever.

    Raises:
        OSError: none answers in time.
    """
    options = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=CONNECT_TIMEOUT_S, **options), CONNECT_TIMEOUT_S)
    await comm.close()


def _address_in(path: Path) -> str:
    """Return the address in a scheduler's file."""
    try:
        address = json.loads(read_regular(path))["address"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"--scheduler-file {path}: not a file of a Dask scheduler "
            f"({type(error).__name__}); `dask scheduler --scheduler-file F` writes one"
        ) from error
    if not isinstance(address, str):
        raise SettingsError(f"--scheduler-file {path}: holds no address")
    return address


def _name(target: ComputeTarget) -> str:
    if target.scheduler_file is not None:
        return f"--scheduler-file {target.scheduler_file}"
    return f"--scheduler-address {target.scheduler_address}"
