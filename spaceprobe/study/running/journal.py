"""Notes what a runner of a study does, and reads what other runners note meanwhile."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spaceprobe.files import append_object
from spaceprobe.reading import open_regular
from spaceprobe.study.events import parsed
from spaceprobe.study.jobs.run_log import now
from spaceprobe.study.layout import EVENTS


def new_runner() -> str:
    """Return a name that no other runner has."""
    return uuid.uuid4().hex[:12]


class Journal:
    """The events of one runner on a study, and what others noted since it began.

    Attributes:
        runner: the runner's name.
    """

    def __init__(self, folder: Path) -> None:
        """Take the study's folder."""
        self.runner = new_runner()
        self._path = folder / EVENTS
        self._num_read = _size(self._path)
        self._rest = b""

    def note(self, event: str, **facts: Any) -> None:
        """Append an event.

        Raises:
            ResultsError: it cannot be written.
        """
        append_object(self._path, {"time": now(), "runner": self.runner, "event": event, **facts})

    def news(self) -> list[Mapping[str, Any]]:
        """Return the events that other runners noted since the last call, or since this one began."""
        if _size(self._path) <= self._num_read:
            return []
        try:
            with open_regular(self._path) as file:
                file.seek(self._num_read)
                data = file.read()
        except OSError:
            return []
        self._num_read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for event in parsed(lines) if event.get("runner") != self.runner]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
