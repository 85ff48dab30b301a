"""The log of a run: what was done to it, when and where, and what its stages had to say."""

import datetime
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spaceprobe.files import append_line
from spaceprobe.study.layout import RUN_LOG


def log_line(folder: Path, text: str) -> None:
    """Append to the log of a run; what has several lines is indented.

    Raises:
        ResultsError: it cannot be written.
    """
    append_line(folder / RUN_LOG, f"{now()} {text}".replace("\n", "\n    "))


@contextmanager
def logged(folder: Path, stage: str) -> Iterator[None]:
    """While it lasts, what spaceprobe warns of goes to the log of a run as well."""
    logger = logging.getLogger("spaceprobe")
    handler = _RunHandler(folder, stage)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def now() -> str:
    """Return the time to the second, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def here() -> str:
    """Return which process of which machine this is."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class _RunHandler(logging.Handler):
    def __init__(self, folder: Path, stage: str) -> None:
        super().__init__(logging.INFO)
        self._folder = folder
        self._stage = stage

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record; an error is raised, not printed: results could not be written either."""
        log_line(self._folder, f"{self._stage}: {record.levelname.lower()}: {record.getMessage()}")
