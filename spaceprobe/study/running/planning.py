"""What the stages of a study have to do, and why."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spaceprobe.errors import SpaceprobeError
from spaceprobe.stages.stage import FinishedPart, Job, RunStage, Sections, Stage
from spaceprobe.study.code_version import code_version
from spaceprobe.study.grid import Run
from spaceprobe.study.parts import Obstacle, StudyParts
from spaceprobe.study.provenance import numeric_libraries
from spaceprobe.study.storage.part_files import StalePart
from spaceprobe.tables.text import fill
from spaceprobe.user_code import trusted_modules

FORCED = "--force"

ASK_FOR_COST = (
    "may take long: `spaceprobe plan CONFIG --cost` times a path of each architecture and predicts all"
)

MAX_REASONS = 4
"""Chosen: how many reasons are reported for a stage."""


class RefusedError(SpaceprobeError):
    """None of the runs that are asked for can be done."""

    exit_code = 2


@dataclass
class StagePlan:
    """What a stage has to do.

    Attributes:
        stage: the stage.
        jobs: what to compute, in order.
        reasons: why, by run; a run's reasons in order, each once.
        num_kept: how many parts are up to date.
        amount_kept: how much work they were, in the stage's unit.
        duration_kept_s: how long they took to compute, in seconds.
        failures: why there is no result, by run.
        refused: those of them that lie in this stage itself, such as data that are not there.
        blocked: those of them that are not results, but lie in what the stage needs: it cannot be started.
        waiting: the stage that has to be computed first, by run.
        remarks: what a reader should know of what the settings of these runs leave open.
        is_costly: whether what is to be done may take long (`RunStage.is_costly`).
    """

    stage: RunStage
    jobs: list[Job] = field(default_factory=list)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    num_kept: int = 0
    amount_kept: int = 0
    duration_kept_s: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    is_costly: bool = False

    @property
    def busy(self) -> set[str]:
        """The runs for which there is something to do, now or later."""
        return {job.run for job in self.jobs} | set(self.waiting)


@dataclass(frozen=True)
class StudyPlan:
    """What the stages of a study have to do.

    Attributes:
        study: the study's name.
        folder: its folder of results.
        num_runs: how many runs are taken through the stages.
        stages: the stages, in order.
        plans: what those of them that compute something for runs have to do.
        current: the names of the other stages, those of tables, whose tables will not change.
        labels: of the runs, by their names.
    """

    study: str
    folder: Path
    num_runs: int
    stages: Sequence[Stage]
    plans: Sequence[StagePlan]
    current: Collection[str]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def busy(self) -> list[RunStage]:
        """The stages that have something to compute, now or later."""
        return [plan.stage for plan in self.plans if plan.busy]

    def check(self) -> None:
        """Check that some run can be done, before tables that hold results are replaced by empty ones.

        Raises:
            RefusedError: none can.
        """
        blocked = {run: reason for plan in self.plans[::-1] for run, reason in plan.blocked.items()}
        if self.busy or not blocked or len(blocked) < self.num_runs:
            return
        what = "its run cannot" if self.num_runs == 1 else f"none of its {self.num_runs} runs can"
        raise RefusedError(
            f"{self.study}: {what} be done, so nothing is computed or written: "
            f"{_most_common([*blocked.values()])}"
        )

    def check_trust(self) -> None:
        """Check that the user's code that the jobs run is trusted.

        Raises:
            UserCodeError: some is not.
        """
        for plan in self.plans:
            if plan.stage.check_trust is not None:
                for job in plan.jobs:
                    plan.stage.check_trust(job.sections)

    def lines(self, *, is_cost_told: bool = False) -> Iterator[str]:
        """Yield the plan as lines for a person.

        Args:
            is_cost_told: whether what it costs follows, so that no line says how to ask for it.
        """
        yield f"{self.study}: {self.num_runs} run{'s' * (self.num_runs != 1)} in {self.folder}"
        by_stage = {plan.stage.name: plan for plan in self.plans}
        width = max(9, *(len(stage.name) for stage in self.stages))
        for stage in self.stages:
            plan = by_stage.get(stage.name)
            lines = [*(self._table_lines(stage) if plan is None else self._run_lines(plan))]
            if plan is not None and plan.is_costly and not is_cost_told:
                lines.append(ASK_FOR_COST)
            for line in lines:
                yield from fill(f"{stage.name:<{width}}  {line}", " " * (width + 2))

    def _table_lines(self, stage: Stage) -> Iterator[str]:
        is_current = stage.name in self.current
        *first, final = stage.needs
        needed = f"{', '.join(first)} and {final}" if first else final
        yield "up to date" if is_current else f"from the tables of {needed}"

    def _run_lines(self, plan: StagePlan) -> Iterator[str]:
        runs = {job.run for job in plan.jobs}
        if runs:
            amount = sum(job.amount for job in plan.jobs)
            work = f"{amount:,} {plan.stage.unit}{'s' * (amount != 1)}{_estimate(plan, amount)}"
            yield f"{len(runs)} of {self.num_runs} runs, {work}: {_why(plan)}"
        if plan.waiting:
            after = " and ".join(dict.fromkeys(plan.waiting.values()))
            yield f"{len(plan.waiting)} of {self.num_runs} runs after {after}"
        yield from plan.remarks
        if plan.failures:
            reason, count = Counter(plan.failures.values()).most_common(1)[0]
            yield f"{count} of {self.num_runs} runs cannot be done: {reason}"
        if not runs and not plan.waiting and not plan.failures:
            yield "up to date"


class Planner:
    """Plans stages on some runs of a study."""

    def __init__(self, parts: StudyParts, runs: Sequence[Run], *, forces: bool = False) -> None:
        """Take the parts of the study, the runs, and whether to compute what is up to date as well."""
        self._parts = parts
        self._runs = runs
        self._forces = forces

    def plan_all(self, stages: Sequence[Stage]) -> list[StagePlan]:
        """Return what those of some stages have to do that compute something for runs."""
        plans: list[StagePlan] = []
        for stage in stages:
            if isinstance(stage, RunStage):
                plans.append(self.plan(stage, plans))
        return plans

    def plan(self, stage: RunStage, earlier: Sequence[StagePlan] = ()) -> StagePlan:
        """Return what a stage has to do.

        Args:
            stage: the stage.
            earlier: the plans of the stages that are computed before it.
        """
        plan = StagePlan(stage)
        busy = {other.stage.name: other.busy for other in earlier}
        for run in self._runs:
            waits_for = next((name for name in stage.needs if run.name in busy.get(name, ())), None)
            if waits_for is not None:
                plan.waiting[run.name] = waits_for
                continue
            for sections in run.variants(stage):
                self._add(plan, run, sections)
        variants = [
            sections for run in self._runs if run.name in plan.busy for sections in run.variants(stage)
        ]
        if stage.is_costly is not None and not plan.amount_kept:  # finished parts tell how long others take
            plan.is_costly = any(map(stage.is_costly, variants))
        if stage.remark is not None:
            plan.remarks = [*dict.fromkeys(filter(None, map(stage.remark, variants)))]
        return plan

    def _add(self, plan: StagePlan, run: Run, sections: Sections) -> None:
        stage = plan.stage
        inputs = self._parts.inputs(stage, run, sections)
        parts = self._parts.look(stage, run, sections)
        if isinstance(inputs, Obstacle):
            plan.failures[run.name] = inputs.reason
            if not inputs.is_result:
                plan.blocked[run.name] = inputs.reason
            return
        if isinstance(parts, Obstacle):
            plan.failures[run.name] = plan.refused[run.name] = plan.blocked[run.name] = parts.reason
            return
        todo = []
        reasons: dict[str, None] = {}
        is_missing_told = False
        planned = {part.path for job in plan.jobs if job.run == run.name for part in job.parts}
        for part in parts:
            if part.part.path in planned:
                continue  # by settings that differ in what does nothing here, such as num_points of exact
            if isinstance(part, FinishedPart) and not self._forces:
                plan.num_kept += 1
                plan.amount_kept += part.part.amount
                plan.duration_kept_s += part.duration_s
                if part.error is not None:
                    plan.failures[run.name] = part.error
                continue
            todo.append(part.part)
            if self._forces:
                reasons[FORCED] = None
            elif isinstance(part, StalePart) and not (part.is_missing and is_missing_told):
                reasons[self._parts.why(run, part)] = None
                is_missing_told |= part.is_missing  # the others are missing for the same reason
        if todo:
            plan.reasons[run.name] = [*dict.fromkeys([*plan.reasons.get(run.name, []), *reasons])]
            plan.jobs.append(
                Job(
                    stage=stage.name,
                    run=run.name,
                    folder=self._parts.run_folder(run).absolute(),
                    sections=sections,
                    inputs=inputs,
                    parts=todo,
                    code=code_version(stage, sections),
                    is_forced=self._forces,
                    libraries=numeric_libraries(),
                    label=run.label,
                    trusted=trusted_modules(),
                )
            )


def _why(plan: StagePlan) -> str:
    reasons = [reason for run_reasons in plan.reasons.values() for reason in run_reasons]
    return _most_common(reasons, len(plan.reasons))


def _most_common(all_reasons: Sequence[str], num_runs: int | None = None) -> str:
    """Return the reasons that most runs have, with how many where not all have one.

    Args:
        all_reasons: of each run.
        num_runs: how many runs there are; None for as many as reasons.
    """
    num_runs = len(all_reasons) if num_runs is None else num_runs
    counts = Counter(all_reasons)
    reasons = [
        reason if count == num_runs else f"{reason} ({count} run{'s' * (count != 1)})"
        for reason, count in counts.most_common(MAX_REASONS)
    ]
    more = len(counts) - len(reasons)
    return "; ".join(reasons) + (f"; {more} more reasons" if more else "")


def _estimate(plan: StagePlan, amount: int) -> str:
    """Return how long it may take, on one core, as far as finished parts tell."""
    seconds = estimate_s(plan, amount)
    return "" if seconds is None else f", about {duration_text(seconds)}"


def duration_text(seconds: float) -> str:
    """Return a duration as a plan shows it.

    >>> duration_text(0.2), duration_text(100), duration_text(9000)
    ('1 s', '2 min', '2.5 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def estimate_s(plan: StagePlan, amount: int) -> float | None:
    """Return how many seconds an amount of work may take on one core; None if no finished part tells."""
    if not plan.amount_kept or plan.duration_kept_s <= 0:
        return None
    return plan.duration_kept_s / plan.amount_kept * amount
