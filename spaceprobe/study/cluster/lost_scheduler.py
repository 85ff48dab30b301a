"""Ends a worker that lost its scheduler, even in the middle of a job: a ``--preload`` of ``dask worker``.

Such a worker closes by itself, but first waits up to 30 s for the task that it computes, whose result nobody
will fetch. One that is just starting, and its nanny before it, looks for its scheduler for as long: therefore
this is a ``--preload-nanny`` as well.
"""

import os
import socket
import threading
import time

from distributed import Nanny, Worker
from distributed.comm.addressing import get_address_host_port
from distributed.core import Status

LOOK_EVERY_S = 0.2
LIMIT_S = 2.0
"""Chosen: how long a worker may take to close, or be refused by its scheduler's machine while it starts.

To close without a task takes a tenth of it.
"""

_STARTING = {Status.undefined, Status.created, Status.init, Status.starting}
_ENDING = {Status.closing, Status.closed, Status.failed}


def dask_setup(server: Worker | Nanny) -> None:
    """Watch a worker or its nanny from a thread, since the event loop may be blocked."""
    threading.Thread(target=_watch, args=(server,), name="spaceprobe-ending", daemon=True).start()


def _watch(server: Worker | Nanny) -> None:
    address = get_address_host_port(server.scheduler.address)
    last_good = time.monotonic()
    while True:
        is_starting = server.status in _STARTING
        is_bad = _is_refused(address) if is_starting else server.status in _ENDING
        if not is_bad:
            last_good = time.monotonic()
        elif time.monotonic() - last_good > LIMIT_S:
            os._exit(1)  # without cleaning up: results are written whole or not at all
        time.sleep(LOOK_EVERY_S)


def _is_refused(address: tuple[str, int]) -> bool:
    """Return whether a machine answers that nothing listens there; a slow network does not count."""
    try:
        socket.create_connection(address, timeout=LIMIT_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
