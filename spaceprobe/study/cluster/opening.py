"""Opens a Dask cluster: one of our own on this machine or by SLURM, or one that is there."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from distributed import Client, SpecCluster

from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.study.cluster.dask_executor import DaskExecutor
from spaceprobe.study.cluster.local import local_cluster
from spaceprobe.study.cluster.settings import SlurmSettings
from spaceprobe.study.executor import Place

CONNECT_TIMEOUT_S = 20
"""Chosen: how long a scheduler may take to answer."""


@contextmanager
def open_cluster(place: Place, slurm: SlurmSettings) -> Iterator[DaskExecutor]:
    """Opens the cluster of a place, and closes what it started.

    Raises:
        SettingsError: the scheduler's file is none.
        SpaceprobeError: nobody answers, or SLURM refuses.
    """
    with ExitStack() as stack:
        if place.scheduler_address is not None or place.scheduler_file is not None:
            client, where = stack.enter_context(_connect(place)), _name(place)
        else:
            if place.num_slurm_workers is not None:
                from spaceprobe.study.cluster.slurm import slurm_cluster  # here: it is an extra

                cluster: SpecCluster = slurm_cluster(slurm, place.num_slurm_workers)
                where = "the SLURM cluster"
            else:
                cluster, where = local_cluster(place.num_jobs, place.dashboard), "this machine"
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster, set_as_default=False))
        yield DaskExecutor(client, where)


def _connect(place: Place) -> Client:
    """Returns a client of a scheduler that is there; TLS is as Dask's own configuration says."""
    if place.scheduler_file is not None:
        _check_file(place)
    try:
        return Client(
            place.scheduler_address,
            scheduler_file=None if place.scheduler_file is None else os.fspath(place.scheduler_file),
            timeout=CONNECT_TIMEOUT_S,
            set_as_default=False,
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise SpaceprobeError(
            f"{_name(place)}: no Dask scheduler answers ({reason}); start one with `dask scheduler`, or give "
            "the address that it prints. With TLS the address begins with tls://, and Dask is told of the "
            "certificates by DASK_DISTRIBUTED__COMM__TLS__... or its own files"
        ) from error


def _check_file(place: Place) -> None:
    try:
        address = json.loads(place.scheduler_file.read_text())["address"] if place.scheduler_file else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"--scheduler-file {place.scheduler_file}: is no file of a Dask scheduler "
            f"({type(error).__name__}); `dask scheduler --scheduler-file F` writes one"
        ) from error
    if not isinstance(address, str):
        raise SettingsError(f"--scheduler-file {place.scheduler_file}: holds no address")


def _name(place: Place) -> str:
    if place.scheduler_file is not None:
        return f"--scheduler-file {place.scheduler_file}"
    return f"--scheduler-address {place.scheduler_address}"
