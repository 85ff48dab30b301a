"""The log of a run: what was computed, when and where, and what its stages logged."""

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
    """Append to the log of a run; further lines of a text are indented.

    Raises:
        ResultsError: it cannot be written.
    """
    append_line(folder / RUN_LOG, f"{now()} {text}".replace("\n", "\n    "))


@contextmanager
def logged(folder: Path, stage: str) -> Iterator[None]:
    """Copy what spaceprobe logs in the block to the log of a run."""
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
    """Return the name of this process and machine, for messages."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class _RunHandler(logging.Handler):
    def __init__(self, folder: Path, stage: str) -> None:
        super().__init__(logging.INFO)
        self._folder = folder
        self._stage = stage

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record, or raise an error: results could not be written either."""
        log_line(self._folder, f"{self._stage}: {record.levelname.lower()}: {record.getMessage()}")
