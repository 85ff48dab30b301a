"""What a system says that lets this user start no more threads or processes, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from spaceprobe.errors import SpaceprobeError

_NO_THREAD = "can't start new thread"
"""All that Python says, in a RuntimeError."""


def limit_sentence(error: BaseException) -> str | None:
    """Return what a user is told where no thread or process could be started; None for another error."""
    is_thread = isinstance(error, RuntimeError) and str(error) == _NO_THREAD
    if not is_thread and not isinstance(error, BlockingIOError):  # EAGAIN, of fork
        return None
    kind = "thread" if is_thread else "process"
    return (
        f"no further {kind} can be started: a limit of this user or container is reached (`ulimit -u`, or "
        "pids.max of its control group); raise it, give a smaller --jobs, or set OMP_NUM_THREADS=1"
    )


@contextmanager
def limits_explained() -> Iterator[None]:
    """Turn the system's refusal of a thread or process in the block into a sentence.

    Raises:
        SpaceprobeError: none could be started.
    """
    try:
        yield
    except (RuntimeError, BlockingIOError) as error:
        sentence = limit_sentence(error)
        if sentence is None:
            raise
        raise SpaceprobeError(sentence) from error
