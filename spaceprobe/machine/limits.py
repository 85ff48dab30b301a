"""A limit on threads and processes, found before it ends libraries in the middle of their work.

OpenBLAS, in numpy and scipy each, starts its threads while it is imported; where it may not, it prints four
lines and sends its process the signal of Ctrl-C. Dask waits for workers that cannot start.
"""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from spaceprobe.errors import SpaceprobeError
from spaceprobe.machine.cpus import usable_cpus

_NO_THREAD = "can't start new thread"
"""All that Python says, in a RuntimeError."""


def check_threads(num_jobs: int = 0) -> None:
    """Check that as many threads can be started as a command needs, by starting them for a moment.

    Processes count like threads: what limits them, counts both.

    Args:
        num_jobs: how many runs are computed at once; 0 for a command that computes none.

    Raises:
        SpaceprobeError: they cannot.
    """
    is_over = threading.Event()
    threads = []
    with limits_explained():
        try:
            for _ in range(_num_threads(num_jobs)):
                thread = threading.Thread(target=is_over.wait, daemon=True)
                thread.start()
                threads.append(thread)
        finally:
            is_over.set()
            for thread in threads:
                thread.join()


def _num_threads(num_jobs: int) -> int:
    """Return how many threads a command starts at most, in all of its processes, as was counted."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    num_cpus = int(asked) if asked.isdecimal() and int(asked) > 0 else usable_cpus()
    of_libraries = 2 * (num_cpus - 1)
    if num_jobs == 0:
        return of_libraries + 1
    if num_jobs == 1:
        return of_libraries + num_cpus + 2  # of the kernel; the heartbeat and the progress bar's
    return of_libraries + 11 + num_jobs * (4 + max(1, num_cpus // num_jobs))


def limit_sentence(error: BaseException) -> str | None:
    """Return what a user is told where a limit of the system is the reason; None for another error."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{error.filename}: the name is too long for this system; give a shorter one"
    is_thread = isinstance(error, RuntimeError) and str(error) == _NO_THREAD
    if not is_thread and not isinstance(error, BlockingIOError):  # EAGAIN, of fork
        return None
    kind = "thread or process" if is_thread else "process"
    return (
        f"no further {kind} can be started: a limit of this user or container is reached (`ulimit -u`, or "
        "pids.max of its control group); raise it, give a smaller --jobs, or set OMP_NUM_THREADS=1"
    )


@contextmanager
def limits_explained() -> Iterator[None]:
    """Turn the system's refusal of a thread, a process or a name in the block into a sentence.

    Raises:
        SpaceprobeError: none could be started, or a name is too long.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        sentence = limit_sentence(error)
        if sentence is None:
            raise
        raise SpaceprobeError(sentence) from error
