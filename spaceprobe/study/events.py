"""What the runners of a study did: ``events.jsonl`` has one JSON object a line, one for each event."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaceprobe.reading import read_regular
from spaceprobe.study.layout import EVENTS


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
        return [*parsed(read_regular(folder / EVENTS).split(b"\n"))]
    except OSError:
        return []


def parsed(lines: Sequence[bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield the events on some lines; what is none is left out."""
    for line in lines:
        with suppress(ValueError, RecursionError):
            event = json.loads(line.decode(errors="replace"))
            if isinstance(event, dict) and "event" in event:
                yield event
