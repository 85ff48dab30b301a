"""Holds signals back while a cluster is started, on systems that can."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

from spaceprobe.machine.ending import PATIENCE_S


@contextmanager
def hold_signals() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back during the block: Dask cannot close a cluster that is half open.

    One that comes `PATIENCE_S` after the first acts at once. Processes started in the block never get Ctrl-C,
    which a terminal sends to all processes, where signals can be blocked: the driver ends the workers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    held: list[tuple[int, float]] = []
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold(number: int, frame: FrameType | None) -> None:
        del frame
        held.append((number, time.monotonic()))
        if held[-1][1] - held[0][1] > PATIENCE_S:
            restore()
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, hold)
    try:
        with _blocked() if hasattr(signal, "pthread_sigmask") else nullcontext():
            yield
    finally:
        restore()
        for number, _ in held[:1]:
            signal.raise_signal(number)


@contextmanager
def _blocked() -> Iterator[None]:
    """Block Ctrl-C in this thread, and in the threads and processes that start in the block."""
    from multiprocessing import resource_tracker  # here: Windows has none

    resource_tracker.ensure_running()  # multiprocessing would lift the mask when it starts it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
