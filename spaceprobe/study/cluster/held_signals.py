"""Holds signals back while a cluster is started."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType


@contextmanager
def hold_signals() -> Iterator[None]:
    """Hold Ctrl-C and the first SIGTERM back during the block: Dask cannot close a cluster that is half open.

    Processes started in the block never get Ctrl-C, which a terminal sends to all processes: the driver ends
    the workers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    held: list[int] = []
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold(number: int, frame: FrameType | None) -> None:
        del frame
        held.append(number)
        restore()  # the second signal acts at once

    for number in before:
        signal.signal(number, hold)
    resource_tracker.ensure_running()  # multiprocessing would lift the mask when it starts it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # threads and processes inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        restore()
        for number in held:
            signal.raise_signal(number)
