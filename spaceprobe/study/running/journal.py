"""What the runners of a study did, event by event, and which of them are at work now.

``events.jsonl`` has one line for each event. A runner that is at work has a file in ``.running``, which it
touches every few seconds. This is not a lock: it lets `spaceprobe status` tell a runner at work from one that
was killed.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spaceprobe.files import append_line, is_alive, remove_abandoned, write_whole
from spaceprobe.study.jobs.run_log import now
from spaceprobe.study.layout import EVENTS, RUNNING

TOUCH_EVERY_S = 5.0
"""Chosen: how often a runner touches its file."""

SILENT_AFTER_S = 60.0
"""Chosen: the age of a file at which its runner counts as dead."""


class Journal:
    """The events of one runner on a study."""

    def __init__(self, folder: Path) -> None:
        """Take the study's folder."""
        self._folder = folder
        self._runner = uuid.uuid4().hex[:12]

    def note(self, event: str, **facts: Any) -> None:
        """Append an event.

        Raises:
            ResultsError: it cannot be written.
        """
        fields = {"time": now(), "runner": self._runner, "event": event, **facts}
        append_line(self._folder / EVENTS, json.dumps(fields))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Mark the study as being run during the block; first remove what killed runners left."""
        for name, is_at_work in _runners(self._folder).items():
            if not is_at_work:
                _remove(self._folder / RUNNING / name)
        remove_abandoned(self._folder)
        mark = self._folder / RUNNING / f"{self._runner}.json"
        write_whole(mark, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode())
        is_over = threading.Event()
        thread = threading.Thread(target=_keep_touching, args=(mark, is_over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            _remove(mark)


def read_events(folder: Path) -> list[Mapping[str, Any]]:
    """Return the events of a study in order, without lines that a crash cut off."""
    events: list[Mapping[str, Any]] = []
    try:
        text = (folder / EVENTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                events.append(event)
    return events


def runners_at_work(folder: Path) -> set[str]:
    """Return the runners that are at work on a study now."""
    return {Path(name).stem for name, is_at_work in _runners(folder).items() if is_at_work}


def _runners(folder: Path) -> dict[str, bool]:
    """Return whether each runner is at work, by the name of its file."""
    at_work = {}
    marks: list[Path] = []
    with suppress(OSError):  # no folder, or not readable: an error when results are written
        marks.extend(path for path in (folder / RUNNING).glob("*.json") if path.is_file())
    for mark in marks:
        try:
            fields = json.loads(mark.read_bytes())
            age_s = time.time() - mark.stat().st_mtime
            is_here = fields["host"] == socket.gethostname()
            at_work[mark.name] = age_s < SILENT_AFTER_S and (not is_here or is_alive(int(fields["pid"])))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue  # removed meanwhile, or another file
    return at_work


def _keep_touching(mark: Path, is_over: threading.Event) -> None:
    while not is_over.wait(TOUCH_EVERY_S):
        with suppress(OSError):  # the disk is full or gone: an error when results are written
            os.utime(mark)  # not touch, which would make it anew


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
