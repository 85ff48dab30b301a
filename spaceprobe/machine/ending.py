"""End the program by a signal: in good order at the first one, and never with a traceback.

A terminal sends Ctrl-C to a program that is closing its workers as well, and a user who is in a hurry sends
five: each would be a traceback from another exit handler. So the first signal is an exception, those of the
next seconds are ignored, and one that comes later ends the process at once. Nothing is lost by that: results
are written whole or not at all, and workers end with their driver. Only Python's own library is needed.
"""

import atexit
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

INTERRUPTED = 130  # a shell's exit code for a program that Ctrl-C ended
TERMINATED = 143  # and for one that SIGTERM ended, as a batch system sends it

PATIENCE_S = 5.0
"""Chosen: how long closing may take until another signal ends the process at once; workers take two."""

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""The signals that end a program, of those that this system has: Windows has no SIGHUP."""

_began: list[float] = []  # when the first signal came
_told: list[str] = []  # what was said of it
_taken: list[bool] = []  # whether signals are this module's for as long as the process lasts


class TerminatedError(BaseException):
    """The program was asked to end."""


def take_signals() -> None:
    """Let signals end this process as described above, exit handlers included, for as long as it lasts."""
    _taken.append(True)
    _install()
    atexit.register(_ignore_signals)  # registered first, called last


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let signals end the block as described above; outside of it they act as before.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        TerminatedError: another signal.
    """
    if _taken:
        yield
        return
    _began.clear()
    _told.clear()
    before = _install()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def last_words(error: BaseException) -> tuple[str, int]:
    """Return what a user is told whose command was ended by a signal, once, and its exit code."""
    word, code = (
        ("Terminated", TERMINATED) if isinstance(error, TerminatedError) else ("Interrupted", INTERRUPTED)
    )
    _told.append(word)
    return f"{word}: what was finished is kept; the same command continues from there.", code


def end_at_once(error: BaseException) -> None:
    """End this process without its exit handlers, with one line in all that says why."""
    is_told = bool(_told)
    text, code = last_words(error)
    if not is_told:
        with suppress(OSError):  # stderr is closed
            os.write(2, f"{text}\n".encode())
    os._exit(code)


def _install() -> dict[int, Any]:
    """Install the handler, and return those of before by the number of the signal."""
    before: dict[int, Any] = {}
    with suppress(ValueError):  # only the main thread may, and only it gets signals
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, _end)
                before[number] = handler
    return before


def _ignore_signals() -> None:
    """Let no signal change the exit code of a program that one has ended already."""
    if _began:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    """End the program in good order, or at once if it does not manage."""
    del frame
    error = KeyboardInterrupt() if number == signal.SIGINT else TerminatedError("terminated")
    if not _began:
        _began.append(time.monotonic())
        raise error
    if time.monotonic() - _began[0] > PATIENCE_S:
        end_at_once(error)
