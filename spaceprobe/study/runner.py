"""Takes a study through its stages: what is up to date is kept, the rest is computed, tables are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from spaceprobe.data.idx_files import DataError
from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.config import Study, dump_study
from spaceprobe.study.executor import run_jobs
from spaceprobe.study.grid import Run, expand
from spaceprobe.study.results import Stale, read_part, write_whole
from spaceprobe.study.stage import Frames, Inputs, Job, RunStage, Sections, Stage
from spaceprobe.study.tables import StudyTables, run_stage_named


@dataclass
class StageOutcome:
    """What a stage did.

    Attributes:
        num_computed: parts computed now.
        num_kept: parts that were up to date.
        failures: why there is no result, by run.
    """

    num_computed: int = 0
    num_kept: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class UnknownRunError(SpaceprobeError):
    """A run was named that the study does not have."""

    exit_code = 2


class Runner:
    """One study in one folder of results."""

    def __init__(self, study: Study, results: Path, only_runs: Sequence[str] = (), num_jobs: int = 1) -> None:
        """Prepares a study; nothing is read or written yet.

        Args:
            study: what was asked for.
            results: the folder that holds a folder a study.
            only_runs: the runs to compute; none means all. Tables always hold all finished runs.
            num_jobs: how many runs are computed at once.

        Raises:
            UnknownRunError: one of ``only_runs`` is no run of the study.
        """
        self.study = study
        self.folder = results / study.name
        self.runs = expand(study)
        self._tables = StudyTables(study, self.folder, self.runs)
        self._num_jobs = num_jobs
        names = [run.name for run in self.runs]
        for name in only_runs:
            if name not in names:
                shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
                raise UnknownRunError(f"--run {name}: no run of {study.name}; its runs are {shown}")
        self._selected = [run for run in self.runs if not only_runs or run.name in only_runs]

    def execute(self, stage: Stage) -> StageOutcome:
        """Computes what a stage lacks and writes its tables.

        Raises:
            SpaceprobeError: results cannot be written.
        """
        outcome = StageOutcome()
        if isinstance(stage, RunStage):
            write_whole(self.folder / "study.yaml", dump_study(self.study).encode())
            self._compute(stage, list(self._plan(stage, outcome)), outcome)
        self._tables.write(stage)
        return outcome

    def tables(self, stage: Stage) -> Frames:
        """Returns the tables of a stage and of the stages that it needs, from the finished parts."""
        return self._tables.frames(stage)

    def check(self, stages: Sequence[Stage]) -> None:
        """Checks that this machine can do what stages are asked for, before any of them begins.

        Raises:
            SpaceprobeError: it cannot, or the settings do not go together.
        """
        for stage in stages:
            if isinstance(stage, RunStage) and stage.check is not None:
                for run in self._selected:
                    for sections in run.variants(stage):
                        stage.check(sections)

    def _plan(self, stage: RunStage, outcome: StageOutcome) -> Iterator[Job]:
        """Yields the jobs that are not up to date, and notes what is kept and what cannot be done."""
        for run in self._selected:
            folder = self._tables.run_folder(run)
            for sections in run.variants(stage):
                inputs, problem = self._inputs(stage, run, sections)
                if problem is not None:
                    outcome.failures[run.name] = problem
                    continue
                todo = []
                try:
                    parts = stage.plan(sections, inputs)
                except DataError as error:  # of this run's dataset: others may have theirs
                    outcome.failures[run.name] = str(error)
                    continue
                for stored in (read_part(folder, part) for part in parts):
                    if isinstance(stored, Stale):
                        todo.append(stored.part)
                        continue
                    outcome.num_kept += 1
                    if stored.content.error is not None:
                        outcome.failures[run.name] = stored.content.error
                if todo:
                    yield Job(stage.name, run.name, folder, sections, inputs, todo)

    def _inputs(self, stage: RunStage, run: Run, sections: Sections) -> tuple[Inputs, str | None]:
        """Returns the parts that a stage needs of a run, or why they cannot be had."""
        inputs = {}
        for name in stage.needs:
            contents = []
            for found in self._tables.stored(run_stage_named(name), run, sections):
                if isinstance(found, Stale):
                    return {}, f"{found.reason}: `spaceprobe {name}` comes first"
                if found.content.error is not None:
                    return {}, found.content.error
                contents.append(found.content)
            if not contents:
                return {}, f"`spaceprobe {name}` has nothing of it"
            inputs[name] = contents
        return inputs, None

    def _compute(self, stage: RunStage, jobs: Sequence[Job], outcome: StageOutcome) -> None:
        total = sum(part.amount for job in jobs for part in job.parts)
        # disable=None: nothing is drawn where there is no terminal.
        with tqdm(
            total=total,
            desc=stage.name,
            unit=stage.unit,
            unit_scale=True,
            disable=None if jobs else True,
        ) as bar:

            def advance(amount: int) -> None:
                bar.update(amount)

            results = run_jobs(jobs, self._num_jobs, advance)
            for number, result in enumerate(results, start=1):
                bar.set_description(f"{stage.name} {number}/{len(jobs)}")
                outcome.num_computed += result.num_parts
                if result.error is not None:
                    outcome.failures[result.job.run] = result.error

    def closing(self, stage: Stage) -> str:
        """Returns what a command prints at its end: what came out of a stage, and where the tables are."""
        frames = self._tables.frames(stage)
        num_runs = len(self.runs)
        return "\n".join(
            [
                f"{self.study.name}: {num_runs} run{'s' * (num_runs != 1)}",
                stage.present(frames),
                f"tables   {self.folder}/*.csv",
            ]
        )
