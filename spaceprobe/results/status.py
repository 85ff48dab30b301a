"""Which runs of a study are done, running, failed or stale, as it was last started."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaceprobe.files import last_line
from spaceprobe.results.folder_size import FolderSize, size_of
from spaceprobe.results.started import find_started
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import FinishedPart, RunStage
from spaceprobe.study.config import Study
from spaceprobe.study.events import job_states
from spaceprobe.study.grid import Run, expand
from spaceprobe.study.layout import RUN_LOG
from spaceprobe.study.parts import Obstacle, StudyParts
from spaceprobe.study.running.heartbeats import runners_at_work
from spaceprobe.tables.text import TextColumn, cut, text_table

STATES = ("done", "running", "failed", "stale", "partly", "to do")
"""Of a run in a stage. Stale: a result is of other settings, inputs or code, or damaged; partly: all results
are up to date, but some are missing."""


@dataclass(frozen=True)
class RunStatus:
    """The progress of a run.

    Attributes:
        run: its name.
        label: the values of its axes.
        states: its state in each stage, by the stage's name.
        last_line: of its log; empty where it has none.
    """

    run: str
    label: str
    states: dict[str, str]
    last_line: str


@dataclass(frozen=True)
class StudyStatus:
    """The progress of a study as it was last started.

    Attributes:
        study: its name.
        folder: its folder of results.
        stages: the names of its stages that compute something for runs.
        runs: the progress of each run.
        num_runners: how many runners are at work.
        size: what its folder occupies.
    """

    study: str
    folder: Path
    stages: Sequence[str]
    runs: Sequence[RunStatus]
    num_runners: int
    size: FolderSize

    def counts(self, stage: str) -> dict[str, int]:
        """Return how many runs are in each state of a stage, without states that none is in."""
        counts = Counter(status.states[stage] for status in self.runs)
        return {state: counts[state] for state in STATES if counts[state]}


def study_status(config: str | None, results: Path) -> StudyStatus:
    """Return the progress of a study without writing anything.

    Args:
        config: the study, as `find_started` takes it.
        results: the folder with one folder for each study.

    Raises:
        SpaceprobeError: the study was never started there.
    """
    study, folder = find_started(config, results)
    runs = run_states(study, folder)
    stages = [stage.name for stage in _stages(study)]
    return StudyStatus(study.name, folder, stages, runs, len(runners_at_work(folder)), size_of(folder))


def status_lines(status: StudyStatus) -> Iterator[str]:
    """Yield lines to print: a table of runs, and what is so of the study as a whole.

    Of runs that are at work or failed, the start of the last line of their logs follows.
    """
    runs = status.runs
    key = TextColumn("run", [run.label for run in runs], is_number=False)
    states = [
        TextColumn(stage, [run.states[stage] for run in runs], is_number=False) for stage in status.stages
    ]
    yield from text_table([key], [*states, TextColumn("folder", [run.run for run in runs], is_number=False)])
    unfinished = [run for run in runs if {"running", "failed"} & {*run.states.values()} and run.last_line]
    if unfinished:
        yield "last lines of the logs of runs that are running or failed:"
    for run in unfinished:
        yield cut(f"  {run.label}: {run.last_line}")
    for stage in status.stages:
        counts = ", ".join(f"{number} {state}" for state, number in status.counts(stage).items())
        yield f"{stage}: {counts}"
    yield f"{status.num_runners or 'no'} runner{'s' * (status.num_runners != 1)} at work"
    yield f"{status.folder} occupies {status.size}"


def status_facts(status: StudyStatus) -> dict[str, Any]:
    """Return the same as values that JSON can hold; docs/running.md, "For scripts" describes them."""
    return {
        "study": status.study,
        "folder": str(status.folder),
        "num_runners": status.num_runners,
        "num_files": status.size.num_files,
        "num_bytes": status.size.num_bytes,
        "counts": {stage: status.counts(stage) for stage in status.stages},
        "runs": [
            {"run": run.run, "label": run.label, "stages": run.states, "last_line": run.last_line}
            for run in status.runs
        ],
    }


def run_states(study: Study, folder: Path) -> list[RunStatus]:
    """Return the progress of each run of a study without writing anything."""
    runs = expand(study)
    parts = StudyParts(folder, runs)
    jobs, at_work = job_states(folder), runners_at_work(folder)
    running = {job for job, runner in jobs.running.items() if runner in at_work}
    failed = {*jobs.failed}
    statuses = []
    for run in runs:
        states = {
            stage.name: _state(parts, stage, run, (stage.name, run.name), running, failed)
            for stage in _stages(study)
        }
        line = last_line(parts.run_folder(run) / RUN_LOG) or ""
        statuses.append(RunStatus(run.name, run.label, states, line.strip()))
    return statuses


def _stages(study: Study) -> Sequence[RunStage]:
    return [stage for stage in STAGES if isinstance(stage, RunStage) and stage.name in study.stages]


def _state(
    parts: StudyParts,
    stage: RunStage,
    run: Run,
    job: tuple[str, str],
    running: set[tuple[str, str]],
    failed: set[tuple[str, str]],
) -> str:
    if job in running:
        return "running"
    variants = [parts.look(stage, run, sections) for sections in run.variants(stage)]
    known = [part for variant in variants if not isinstance(variant, Obstacle) for part in variant]
    finished = [part for part in known if isinstance(part, FinishedPart)]
    is_whole = len(known) == len(finished) and not any(isinstance(variant, Obstacle) for variant in variants)
    if any(part.error for part in finished) or (job in failed and not is_whole):
        return "failed"
    if is_whole:
        return "done"
    if any(not isinstance(part, FinishedPart) and not part.is_missing for part in known):
        return "stale"
    return "partly" if finished else "to do"
