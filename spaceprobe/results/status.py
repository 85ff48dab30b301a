"""Which runs of a study are done, running, failed or stale, as it was last started."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spaceprobe.files import last_line
from spaceprobe.results.started import find_started
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import FinishedPart, RunStage
from spaceprobe.study.config import Study
from spaceprobe.study.events import job_states
from spaceprobe.study.grid import Run, expand
from spaceprobe.study.layout import RUN_LOG
from spaceprobe.study.parts import Obstacle, StudyParts
from spaceprobe.study.running.heartbeats import runners_at_work

STATES = ("done", "running", "failed", "stale", "partly", "to do")
"""Of a run in a stage. Stale: a result is of other settings, inputs or code, or damaged; partly: all results
are up to date, but some are missing."""


@dataclass(frozen=True)
class RunStatus:
    """The progress of a run.

    Attributes:
        run: its name.
        states: its state in each stage, by the stage's name.
        last_line: of its log; empty where it has none.
    """

    run: str
    states: dict[str, str]
    last_line: str


def study_status(config: str | None, results: Path) -> Iterator[str]:
    """Yield lines to print: a table of runs, and the number of runs in each state.

    Args:
        config: the study, as `find_started` takes it.
        results: the folder with one folder for each study.

    Raises:
        SpaceprobeError: the study was never started there.
    """
    study, folder = find_started(config, results)
    runs = run_states(study, folder)
    stages = [stage.name for stage in _stages(study)]
    width = max(len("run"), *(len(status.run) for status in runs))
    yield "  ".join([f"{'run':<{width}}", *(f"{stage:<7}" for stage in stages), "last line of its log"])
    for status in runs:
        cells = [f"{status.states[stage]:<7}" for stage in stages]
        yield "  ".join([f"{status.run:<{width}}", *cells, status.last_line]).rstrip()
    for stage in stages:
        counts = Counter(status.states[stage] for status in runs)
        yield f"{stage}: " + ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    num_runners = len(runners_at_work(folder))
    yield f"{num_runners or 'no'} runner{'s' * (num_runners != 1)} at work"


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
        statuses.append(RunStatus(run.name, states, line.strip()))
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
