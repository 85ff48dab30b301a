"""What the runners of a study did: ``events.jsonl`` has one JSON object a line, one for each event."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaceprobe.files import append_object
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
            with self._path.open("rb") as file:
                file.seek(self._num_read)
                data = file.read()
        except OSError:
            return []
        self._num_read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for event in _parsed(lines) if event.get("runner") != self.runner]


@dataclass(frozen=True)
class JobStates:
    """What events tell of the jobs of a study; a job is a stage and a run.

    Attributes:
        running: the runner of each job that was started and did not end.
        failed: why each job failed that failed when it was last tried.
    """

    running: Mapping[tuple[str, str], str]
    failed: Mapping[tuple[str, str], str]


def job_states(folder: Path) -> JobStates:
    """Return what the events of a study tell of its jobs."""
    running: dict[tuple[str, str], str] = {}
    failed: dict[tuple[str, str], str] = {}
    for event in read_events(folder):
        job = (str(event.get("stage")), str(event.get("run")))
        if event["event"] == "job_started":
            running[job] = str(event.get("runner"))
        elif event["event"] == "job_ended":
            running.pop(job, None)
            failed.pop(job, None)
            if event.get("error"):
                failed[job] = str(event["error"])
    return JobStates(running, failed)


def read_events(folder: Path) -> list[Mapping[str, Any]]:
    """Return the events of a study in order, without lines that a crash cut off."""
    try:
        return [*_parsed((folder / EVENTS).read_bytes().split(b"\n"))]
    except OSError:
        return []


def _parsed(lines: list[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        with suppress(ValueError, RecursionError):
            event = json.loads(line.decode(errors="replace"))
            if isinstance(event, dict) and "event" in event:
                yield event


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
