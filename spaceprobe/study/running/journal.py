"""What a study's runners did, event by event, and which of them are at it now.

``events.jsonl`` has a line an event. A runner that is at work has a file in ``.running`` that it touches
every few seconds: nobody waits for it, it only lets `spaceprobe status` tell work from what was killed.
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
"""Chosen: how often a runner says that it lives."""

SILENT_AFTER_S = 60.0
"""Chosen: after this time without a word another machine's runner counts as dead."""


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
        """While it lasts, the study counts as being run; what killed runners left is tidied up first."""
        for name, is_at_work in _runners(self._folder).items():
            if not is_at_work:
                _remove(self._folder / RUNNING / name)
        remove_abandoned(self._folder)
        sign = self._folder / RUNNING / f"{self._runner}.json"
        write_whole(sign, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode())
        is_over = threading.Event()
        thread = threading.Thread(target=_keep_touching, args=(sign, is_over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            _remove(sign)


def read_events(folder: Path) -> list[Mapping[str, Any]]:
    """Return the events of a study in order; a line that a crash cut off is left out."""
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
    """Return, by the name of each runner's file, whether it is at work."""
    found = {}
    signs: list[Path] = []
    with suppress(OSError):  # no such folder, or none that can be: whoever writes says so
        signs.extend(path for path in (folder / RUNNING).glob("*.json") if path.is_file())
    for sign in signs:
        try:
            fields = json.loads(sign.read_bytes())
            age_s = time.time() - sign.stat().st_mtime
            is_here = fields["host"] == socket.gethostname()
            found[sign.name] = age_s < SILENT_AFTER_S and (not is_here or is_alive(int(fields["pid"])))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue  # gone meanwhile, or no runner's
    return found


def _keep_touching(sign: Path, is_over: threading.Event) -> None:
    while not is_over.wait(TOUCH_EVERY_S):
        with suppress(OSError):  # the disk is full or gone: whoever writes results says so
            os.utime(sign)  # not touch: a sign that is gone stays so


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
