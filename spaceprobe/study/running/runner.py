"""Takes a study through its stages: keeps what is up to date, computes the rest, and writes the tables."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import (
    InTheWayError,
    ResultsError,
    check_place,
    is_writable,
    remove_abandoned,
    repair_objects,
    write_whole,
)
from spaceprobe.machine.folders import remove_abandoned_folders
from spaceprobe.reading import read_regular
from spaceprobe.stages.data_origins import data_origins
from spaceprobe.stages.stage import Job, RunStage, Stage
from spaceprobe.study.config import Study, dump_study
from spaceprobe.study.events import job_states
from spaceprobe.study.grid import Run, check_settings, expand
from spaceprobe.study.jobs.compute_target import ComputeTarget
from spaceprobe.study.jobs.executor import Executor, JobWatch
from spaceprobe.study.jobs.run_job import JobOutcome
from spaceprobe.study.jobs.run_log import log_line
from spaceprobe.study.layout import EVENTS, PROVENANCE, RUN_LOG, STUDY_FILE
from spaceprobe.study.parts import StudyParts
from spaceprobe.study.provenance import provenance, read_provenance
from spaceprobe.study.running.claims import Claims
from spaceprobe.study.running.costs import StageCost, predict_costs
from spaceprobe.study.running.gpu_jobs import with_gpus
from spaceprobe.study.running.job_feed import JobFeed, job_name
from spaceprobe.study.running.journal import Journal
from spaceprobe.study.running.narrowing import narrowing
from spaceprobe.study.running.open_executor import open_executor
from spaceprobe.study.running.planning import Planner, StudyPlan
from spaceprobe.study.tables import StudyTables

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """How a study is taken through its stages.

    Attributes:
        only_runs: the runs to compute; none means all. Tables always hold all finished runs.
        forces: whether to compute what is up to date as well.
        trusts_code: whether results count whatever version of the code computed them.
        is_fail_fast: whether the first failed run ends it.
        is_quiet: whether to show no progress.
        is_changed_by_call: whether the command line changed settings of the study: where it asks for less
            than the tables hold, they keep it.
    """

    only_runs: Sequence[str] = ()
    forces: bool = False
    trusts_code: bool = False
    is_fail_fast: bool = False
    is_quiet: bool = False
    is_changed_by_call: bool = False


@dataclass
class StageOutcome:
    """What a stage did.

    Attributes:
        num_computed: parts computed now.
        num_kept: parts that were up to date.
        num_elsewhere: jobs that another runner computed meanwhile.
        failures: why there is no result, by run.
        logs: the log that tells more about a failure, by run.
    """

    num_computed: int = 0
    num_kept: int = 0
    num_elsewhere: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyOutcome:
    """What the stages of a study did.

    Attributes:
        stages: the outcome of each stage that was executed.
        text: what a command prints at its end: the summary of the last of these stages.
        warnings: what a reader of the tables should be warned of.
        narrowing: what the tables hold, where the study is asked for in part; else None.
    """

    stages: Mapping[str, StageOutcome]
    text: str
    warnings: Sequence[str]
    narrowing: str | None = None

    @property
    def num_computed(self) -> int:
        """The parts that were computed."""
        return sum(stage.num_computed for stage in self.stages.values())

    @property
    def num_kept(self) -> int:
        """The parts that were up to date."""
        return sum(stage.num_kept for stage in self.stages.values())

    @property
    def num_elsewhere(self) -> int:
        """The jobs that another runner computed meanwhile."""
        return sum(stage.num_elsewhere for stage in self.stages.values())

    @property
    def failures(self) -> dict[str, str]:
        """Why there is no result, by run: the first cause, not what follows from it."""
        return {run: why for stage in self._last_first() for run, why in stage.failures.items()}

    @property
    def logs(self) -> dict[str, Path]:
        """The log that tells more about a failure, by run."""
        return {run: log for stage in self._last_first() for run, log in stage.logs.items()}

    def _last_first(self) -> list[StageOutcome]:
        return [*self.stages.values()][::-1]


class UnknownRunError(SpaceprobeError):
    """A run was named that the study does not have."""

    exit_code = 2


class Runner:
    """One study in one folder of results.

    Attributes:
        study: the study as it is asked for.
        kept: the study whose results its tables hold: the same, or more where a call asks for less.
        folder: its folder of results.
    """

    def __init__(
        self,
        study: Study,
        results: Path,
        options: RunOptions | None = None,
        target: ComputeTarget | None = None,
    ) -> None:
        """Prepare a study; nothing is written yet.

        Args:
            study: the study.
            results: the folder that holds a folder for each study.
            options: how to run it; by default all runs, and only what is not up to date.
            target: where jobs are computed; by default in this process.

        Raises:
            UnknownRunError: the study does not have a run of the options.
            ResultsError: the folder of results is something else.
        """
        self.study = study
        self.folder = results / study.name
        check_place(self.folder)
        self._runs = expand(study)
        self._options = options or RunOptions()
        self._target = target or ComputeTarget()
        self._selected = _selected(study, self._runs, self._options.only_runs)
        trusts_code = self._options.trusts_code
        self._parts = StudyParts(self.folder, self._runs, trusts_code=trusts_code)
        self._narrowing = narrowing(study, self.folder, is_by_call=self._options.is_changed_by_call)
        self.kept = self._narrowing.kept
        self._kept_parts = self._parts
        if self.kept != study:
            kept_runs, store = expand(self.kept), self._parts.store
            self._kept_parts = StudyParts(self.folder, kept_runs, trusts_code=trusts_code, store=store)
        self._planner = Planner(self._parts, self._selected, forces=self._options.forces)
        self._tables = StudyTables(self.kept, self.folder, self._kept_parts)
        self._journal = Journal(self.folder)
        self._claims = Claims(self.folder, self._journal.runner)
        self._others: set[str] = set()
        self._written: list[Stage] = []
        self._stack = ExitStack()  # what `run` opens
        self._executor: Executor | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What readers call the runs that are taken through stages, by their names."""
        return {run.name: run.label for run in self._selected}

    def plan(self, stages: Sequence[Stage]) -> StudyPlan:
        """Return what stages have to do; nothing is written.

        Raises:
            SpaceprobeError: the settings of one of them do not go together.
        """
        check_settings(self._selected, stages)
        plans = self._planner.plan_all(stages)
        is_idle = not any(plan.busy for plan in plans)
        of_tables = [stage for stage in stages if not isinstance(stage, RunStage)]
        current = {stage.name for stage in of_tables if is_idle and self._tables.is_current(stage)}
        num_runs = len(self._selected)
        return StudyPlan(self.study.name, self.folder, num_runs, stages, plans, current, self.labels)

    def costs(self, plan: StudyPlan) -> list[StageCost]:
        """Return what the stages of a plan will cost; see `predict_costs`."""
        return predict_costs(plan, self._selected)

    def run(self, stages: Sequence[Stage], on_plan: Callable[[StudyPlan], None]) -> StudyOutcome:
        """Take the study through stages, up to the first with a failed run if that is to end it.

        The tables of other stages are written anew if they no longer fit: no table stands beside others that
        come from other networks.

        Args:
            stages: the stages, in order.
            on_plan: called with what they have to do, before anything is computed or written.

        Raises:
            SpaceprobeError: settings do not go together, none of the runs can be done, results cannot be
                written, or there is nothing to compute with.
        """
        remove_abandoned_folders()
        plan = self.plan(stages)
        plan.check()
        plan.check_trust()
        on_plan(plan)
        outcomes: dict[str, StageOutcome] = {}
        with self._stack:
            self._begin(plan)
            for stage in stages:
                outcomes[stage.name] = self._execute(stage)
                if outcomes[stage.name].failures and self._options.is_fail_fast:
                    break
            refreshed = [*self._refresh(stages)]
        executed = [stage for stage in stages if stage.name in outcomes]
        summaries = [self._tables.summary(stage) for stage in executed]
        warnings = dict.fromkeys(warning for _, warnings in summaries for warning in warnings)
        num = len(self._kept_parts.runs)
        num_runs = f"{num} run{'s' * (num != 1)}"
        text = f"{self.study.name}: {num_runs}\n{summaries[-1][0]}\ntables   {self.folder}/*.csv"
        return StudyOutcome(outcomes, text, [*warnings, *refreshed], self._narrowing.sentence)

    def _begin(self, plan: StudyPlan) -> None:
        """Write the study file and, if there is something to do, open what computes it."""
        if plan.busy:
            executor = self._open()
            if any("cuda" in self._wishes(stage) for stage in plan.busy):
                executor.check_gpu()
        self._keep_study()

    def _keep_study(self) -> None:
        path, data = self.folder / STUDY_FILE, dump_study(self.kept).encode()
        with suppress(OSError):
            if read_regular(path) == data:
                return
        write_whole(path, data)

    def _open(self) -> Executor:
        """Return what computes jobs; from the first call on, the study counts as being run."""
        if self._executor is None:
            executor = self._stack.enter_context(open_executor(self._target, self.study.slurm, self.folder))
            self._stack.enter_context(self._claims.at_work())
            remove_abandoned(self.folder)
            repair_objects(self.folder / EVENTS)
            read_provenance(self.folder / PROVENANCE)  # sets aside what cannot be read, before it is replaced
            facts = provenance(sys.argv, data_origins([run.sections for run in self._runs]))
            text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
            write_whole(self.folder / PROVENANCE, text.encode(errors="backslashreplace"))
            self._journal.note("runner_started", study=self.study.resolved(), **facts)
            self._stack.push(self._note_end)
            self._executor = executor
        return self._executor

    def _note_end(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._executor = None
        with suppress(ResultsError):  # the disk is full, which is why it ends
            self._journal.note("runner_ended", error=None if kind is None else str(error) or kind.__name__)

    def _execute(self, stage: Stage) -> StageOutcome:
        """Compute what a stage lacks and write its tables."""
        outcome = StageOutcome()
        if isinstance(stage, RunStage):
            plan = self._planner.plan(stage)
            outcome.num_kept = plan.num_kept
            outcome.failures |= plan.failures
            self._note_refused(stage, plan.refused, outcome)
            if plan.jobs:
                self._compute(stage, plan.jobs, outcome)
                self._parts.forget()
                self._kept_parts.forget()
        self._tables.write(stage)
        for earlier in self._written:  # the table of runs tells why later stages failed
            self._tables.write(earlier)
        if isinstance(stage, RunStage) and stage.tabulate_failed is not None:
            self._written.append(stage)
        self._keep_study()  # with the tables: another runner may have written other settings meanwhile
        return outcome

    def _note_refused(self, stage: RunStage, refused: Mapping[str, str], outcome: StageOutcome) -> None:
        """Note why runs cannot be started, in their logs and the events, unless that is noted already."""
        noted = job_states(self.folder).failed if refused else {}
        for run in self._selected:
            reason = refused.get(run.name)
            if reason is None:
                continue
            folder = self._parts.run_folder(run)
            outcome.logs[run.name] = folder / RUN_LOG
            if noted.get((stage.name, run.name)) != reason and is_writable(self.folder):
                with suppress(InTheWayError):  # of this run's log; the reason is in the outcome as well
                    log_line(folder, f"{stage.name}: not started: {reason}")
                facts = {"stage": stage.name, "run": run.name, "num_parts": 0}
                self._journal.note("job_ended", **facts, error=reason)

    def _refresh(self, written: Sequence[Stage]) -> Iterator[str]:
        """Write the tables of other stages anew that no longer fit, and yield a warning that says so."""
        changed = self._tables.refresh(written)
        if changed:
            is_whole = not any(plan.busy for plan in self._planner.plan_all(changed))
            names = ", ".join(stage.name for stage in changed)
            rest = "" if is_whole else "; `spaceprobe run` computes the rest"
            yield f"the tables of {names} were written anew: they hold what fits the study as it is now{rest}"

    def _wishes(self, stage: RunStage) -> set[str]:
        """Return which devices the runs of a stage ask for."""
        if stage.asks_gpu is None:
            return set()
        return {stage.asks_gpu(sections) for run in self._selected for sections in run.variants(stage)}

    def _compute(self, stage: RunStage, jobs: Sequence[Job], outcome: StageOutcome) -> None:
        executor = self._open()
        jobs = with_gpus(stage, jobs, executor)
        # disable=None: nothing is drawn where there is no terminal.
        with tqdm(
            total=sum(job.amount for job in jobs),
            desc=stage.name,
            unit=stage.unit,
            unit_scale=True,
            disable=True if self._options.is_quiet or sys.stderr is None else None,
            file=sys.stderr,
        ) as bar:

            def started(job: Job, where: str) -> None:
                facts = {"stage": job.stage, "run": job.run, "job": job_name(job)}
                self._journal.note("job_started", **facts, where=where)
                logger.info("%s: started by %s", job.title, where)

            def advance(amount: int) -> None:
                bar.update(amount)

            def passed(job: Job) -> None:
                bar.update(job.amount)

            is_fail_fast = self._options.is_fail_fast
            feed = JobFeed(
                jobs, self._claims, self._journal, passed, self._tell_others, is_fail_fast=is_fail_fast
            )
            self._claims.look()
            self._tell_others()
            results = executor.run(feed, JobWatch(started, advance))
            for number, (job, result) in enumerate(results, start=1):
                bar.set_description(f"{stage.name} {number + len(feed.elsewhere)}/{len(jobs)}")
                outcome.num_computed += len(result.digests)
                facts = {"stage": job.stage, "run": job.run, "job": job_name(job)}
                self._journal.note("job_ended", **facts, num_parts=len(result.digests), error=result.error)
                feed.ended(job)
                if result.error is not None and not outcome.logs and number < len(jobs):
                    log = job.folder / RUN_LOG
                    logger.warning("%s: failed (log: %s); the reason follows at the end", job.title, log)
                logger.info("%s: %s", job.title, result.error or "done")
                self._note_failure(job, result, outcome)
                if result.error is not None and is_fail_fast:
                    results.close()
                    break
            outcome.num_elsewhere = len(feed.elsewhere)
            for job, result in feed.elsewhere:
                self._note_failure(job, result, outcome)
            self._claims.look()
            self._tell_others()

    def _note_failure(self, job: Job, result: JobOutcome, outcome: StageOutcome) -> None:
        if result.error is not None:
            self._parts.store.forget(job.folder)
            outcome.failures[job.run] = result.error
            outcome.logs[job.run] = job.folder / RUN_LOG

    def _tell_others(self) -> None:
        """Tell once of each other runner that is at work on the study, as last looked."""
        for runner, host in self._claims.others().items():
            if runner not in self._others:
                self._others.add(runner)
                logger.warning("another runner, on %s, is at work on this study: they share the jobs", host)


def _selected(study: Study, runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    known = [run.name for run in runs]
    for name in names:
        if name not in known:
            examples = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
            raise UnknownRunError(f"--run {name}: no run of {study.name}; its runs are {examples}")
    return [run for run in runs if not names or run.name in names]
