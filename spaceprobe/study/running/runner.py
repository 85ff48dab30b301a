"""Takes a study through its stages: what is up to date is kept, the rest is computed, tables are written."""

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import ResultsError, check_place, write_whole
from spaceprobe.stages.stage import Job, RunStage, Stage
from spaceprobe.study.config import Study, dump_study
from spaceprobe.study.grid import Run, expand
from spaceprobe.study.layout import PROVENANCE, RUN_LOG, STUDY_FILE
from spaceprobe.study.parts import StudyParts
from spaceprobe.study.running.computing import open_executor
from spaceprobe.study.running.executor import Executor, Place, Watch
from spaceprobe.study.running.journal import Journal
from spaceprobe.study.running.planning import Planner, StagePlan
from spaceprobe.study.running.provenance import provenance
from spaceprobe.study.tables import StudyTables

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How a study is taken through its stages.

    Attributes:
        only_runs: the runs to compute; none means all. Tables always hold all finished runs.
        forces: whether what is up to date is computed all the same.
        trusts_code: whether results count whatever version of the code made them.
        is_fail_fast: whether the first failed run ends it.
        is_quiet: whether no progress is shown.
    """

    only_runs: Sequence[str] = ()
    forces: bool = False
    trusts_code: bool = False
    is_fail_fast: bool = False
    is_quiet: bool = False


@dataclass
class StageOutcome:
    """What a stage did.

    Attributes:
        num_computed: parts computed now.
        num_kept: parts that were up to date.
        failures: why there is no result, by run.
        logs: where more is said of a failure, by run.
    """

    num_computed: int = 0
    num_kept: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)

    def add(self, later: "StageOutcome") -> None:
        """Add what a later stage did; of a run's failures the first cause stays, not what follows."""
        self.num_computed += later.num_computed
        self.num_kept += later.num_kept
        self.failures = later.failures | self.failures
        self.logs = later.logs | self.logs


class UnknownRunError(SpaceprobeError):
    """A run was named that the study does not have."""

    exit_code = 2


class Runner:
    """One study in one folder of results; a context, which ends what it started."""

    def __init__(
        self, study: Study, results: Path, options: Options | None = None, place: Place | None = None
    ) -> None:
        """Prepare a study; nothing is written yet.

        Args:
            study: what was asked for.
            results: the folder that holds a folder a study.
            options: how; by default all runs, and only what is not up to date.
            place: where jobs are computed; by default in this process.

        Raises:
            UnknownRunError: a run of the options is no run of the study.
            ResultsError: the folder of results is none.
        """
        self.study = study
        self.folder = results / study.name
        check_place(self.folder)
        self.runs = expand(study)
        self.options = options or Options()
        self._place = place or Place()
        self._selected = _selected(study, self.runs, self.options.only_runs)
        self._parts = StudyParts(self.folder, self.runs, trusts_code=self.options.trusts_code)
        self._planner = Planner(self._parts, self._selected, forces=self.options.forces)
        self._tables = StudyTables(study, self.folder, self._parts)
        self._journal = Journal(self.folder)
        self._stack = ExitStack()
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers and says in the journal how it ended."""
        if self._executor is not None:
            with suppress(ResultsError):  # the disk is full, which is why it ends
                self._journal.note(
                    "runner_ended", error=None if kind is None else str(error) or kind.__name__
                )
        self._stack.__exit__(kind, error, trace)

    @property
    def num_selected(self) -> int:
        """The number of runs that are taken through stages."""
        return len(self._selected)

    def check(self, stages: Sequence[Stage]) -> None:
        """Check that the settings of all stages go together, before any of them begins.

        Raises:
            SpaceprobeError: they do not.
        """
        for stage in stages:
            if isinstance(stage, RunStage) and stage.check is not None:
                for run in self._selected:
                    for sections in run.variants(stage):
                        stage.check(sections)

    def plan(self, stages: Sequence[Stage]) -> list[StagePlan]:
        """Return what the stages that compute something for runs have to do; writes nothing."""
        plans: list[StagePlan] = []
        for stage in stages:
            if isinstance(stage, RunStage):
                plans.append(self._planner.plan(stage, plans))
        return plans

    def begin(self, plans: Sequence[StagePlan]) -> None:
        """Keep the study with its results and, where there is something to do, opens what computes it.

        Raises:
            SpaceprobeError: results cannot be written, or there is no place to compute what is asked for.
        """
        stages = [plan.stage for plan in plans if plan.busy]
        if stages:
            executor = self._open()
            if any("cuda" in self._wishes(stage) for stage in stages):
                executor.check_gpu()
        self._keep_study()

    def _keep_study(self) -> None:
        _write_changed(self.folder / STUDY_FILE, dump_study(self.study).encode())

    def _open(self) -> Executor:
        """Return what computes jobs; the first time it is opened, and the study counts as being run."""
        if self._executor is not None:
            return self._executor
        executor = self._stack.enter_context(open_executor(self._place, self.study.slurm, self.folder))
        self._stack.enter_context(self._journal.at_work())
        facts = provenance(sys.argv)
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.folder / PROVENANCE, text.encode(errors="backslashreplace"))
        self._journal.note("runner_started", study=self.study.resolved(), **facts)
        self._executor = executor
        return executor

    def execute(self, stage: Stage) -> StageOutcome:
        """Compute what a stage lacks and writes its tables.

        Raises:
            SpaceprobeError: results cannot be written.
        """
        outcome = StageOutcome()
        if isinstance(stage, RunStage):
            plan = self._planner.plan(stage)
            outcome.num_kept = plan.num_kept
            outcome.failures |= plan.failures
            if plan.jobs:
                self._compute(stage, plan.jobs, outcome)
                self._parts.forget()
        self._tables.write(stage)
        self._keep_study()  # by whoever wrote the tables: another runner may have other settings
        return outcome

    def execute_all(self, stages: Sequence[Stage]) -> tuple[StageOutcome, list[Stage]]:
        """Execute stages in order, up to the first with a failed run where that is to end it.

        The tables of other stages that are there already are written anew where they no longer fit: no table
        stands beside others that come from other networks.

        Returns:
            What they did together, and those that were executed.
        """
        total = StageOutcome()
        executed = []
        for stage in stages:
            total.add(self.execute(stage))
            executed.append(stage)
            if total.failures and self.options.is_fail_fast:
                break
        self._refresh(stages)
        return total, executed

    def _refresh(self, written: Sequence[Stage]) -> None:
        changed = self._tables.refresh(written)
        if changed:
            is_whole = not any(plan.busy for plan in self.plan(changed))
            logger.warning(
                "warning: the tables of %s were written anew: they hold what fits the study as it is now%s",
                ", ".join(stage.name for stage in changed),
                "" if is_whole else "; `spaceprobe run` computes the rest",
            )

    def is_current(self, stage: Stage) -> bool:
        """Return whether the tables of a stage hold what is there now."""
        return self._tables.is_current(stage)

    def closing(self, executed: Sequence[Stage]) -> tuple[str, list[str]]:
        """Return what a command prints at its end, of the last stage, and what the stages warn of."""
        said = [self._tables.said(stage) for stage in executed]
        text, warnings = said[-1][0], [*dict.fromkeys(words for _, some in said for words in some)]
        num_runs = len(self.runs)
        head = f"{self.study.name}: {num_runs} run{'s' * (num_runs != 1)}"
        return f"{head}\n{text}\ntables   {self.folder}/*.csv", warnings

    def _wishes(self, stage: RunStage) -> set[str]:
        """Return which devices the runs of a stage ask for."""
        if stage.asks_gpu is None:
            return set()
        return {stage.asks_gpu(sections) for run in self._selected for sections in run.variants(stage)}

    def _compute(self, stage: RunStage, jobs: Sequence[Job], outcome: StageOutcome) -> None:
        executor = self._open()
        jobs = _with_gpus(stage, jobs, executor)
        # disable=None: nothing is drawn where there is no terminal.
        with tqdm(
            total=sum(job.amount for job in jobs),
            desc=stage.name,
            unit=stage.unit,
            unit_scale=True,
            disable=True if self.options.is_quiet or sys.stderr is None else None,
            file=sys.stderr,
        ) as bar:

            def started(job: Job, where: str) -> None:
                self._journal.note("job_started", stage=job.stage, run=job.run, where=where)
                logger.info("%s %s: started by %s", job.stage, job.run, where)

            def advance(amount: int) -> None:
                bar.update(amount)

            results = executor.run(jobs, Watch(started, advance))
            for number, (job, result) in enumerate(results, start=1):
                bar.set_description(f"{stage.name} {number}/{len(jobs)}")
                outcome.num_computed += len(result.digests)
                facts = {"stage": job.stage, "run": job.run, "num_parts": len(result.digests)}
                self._journal.note("job_ended", **facts, error=result.error)
                is_first_failure = result.error is not None and not outcome.logs
                level = logging.WARNING if is_first_failure else logging.INFO  # all of them at the end
                logger.log(level, "%s %s: %s", job.stage, job.run, result.error or "done")
                if result.error is not None:
                    self._parts.store.forget(job.folder)
                    outcome.failures[job.run] = result.error
                    outcome.logs[job.run] = job.folder / RUN_LOG
                    if self.options.is_fail_fast:
                        results.close()
                        break


def _with_gpus(stage: RunStage, jobs: Sequence[Job], executor: Executor) -> list[Job]:
    """Return jobs that say whether they want a GPU."""
    if stage.asks_gpu is None:
        return [*jobs]
    wishes = [stage.asks_gpu(job.sections) for job in jobs]
    has_gpu = "auto" in wishes and executor.has_gpu()
    return [
        replace(job, wants_gpu=wish == "cuda" or (wish == "auto" and has_gpu))
        for job, wish in zip(jobs, wishes, strict=True)
    ]


def _selected(study: Study, runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    known = [run.name for run in runs]
    for name in names:
        if name not in known:
            shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
            raise UnknownRunError(f"--run {name}: no run of {study.name}; its runs are {shown}")
    return [run for run in runs if not names or run.name in names]


def _write_changed(path: Path, data: bytes) -> None:
    try:
        is_same = path.is_file() and path.read_bytes() == data
    except OSError:
        is_same = False
    if not is_same:
        write_whole(path, data)
