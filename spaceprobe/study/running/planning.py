"""What a study's stages have to do, and why."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from spaceprobe.stages.stage import FinishedPart, Job, RunStage, Sections, Stage
from spaceprobe.study.code_version import code_version
from spaceprobe.study.grid import Run
from spaceprobe.study.parts import Obstacle, StudyParts
from spaceprobe.study.running.provenance import numeric_libraries
from spaceprobe.study.storage.part_files import StalePart

FORCED = "--force"

MAX_REASONS = 4
"""Chosen: reasons that are told of a stage."""


@dataclass
class StagePlan:
    """What a stage has to do.

    Attributes:
        stage: the stage.
        jobs: what is computed, in order.
        reasons: why, by run; a run's reasons in order, each once.
        num_kept: the parts that are up to date.
        amount_kept: how much work they were, in the stage's unit.
        duration_kept_s: how long they took, in seconds.
        failures: why there is no result, by run.
        waiting: for which stage a run waits, whose work is planned as well.
    """

    stage: RunStage
    jobs: list[Job] = field(default_factory=list)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    num_kept: int = 0
    amount_kept: int = 0
    duration_kept_s: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)

    @property
    def busy(self) -> set[str]:
        """The runs for which there is something to do, now or later."""
        return {job.run for job in self.jobs} | set(self.waiting)


class Planner:
    """Plans stages on some runs of a study."""

    def __init__(self, parts: StudyParts, runs: Sequence[Run], *, forces: bool = False) -> None:
        """Take where parts are looked up, the runs, and whether what is up to date is done all the same."""
        self._parts = parts
        self._runs = runs
        self._forces = forces

    def plan(self, stage: RunStage, earlier: Sequence[StagePlan] = ()) -> StagePlan:
        """Return what a stage has to do.

        Args:
            stage: the stage.
            earlier: the plans of stages that are carried out before it.
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
        return plan

    def _add(self, plan: StagePlan, run: Run, sections: Sections) -> None:
        stage = plan.stage
        inputs = self._parts.inputs(stage, run, sections)
        found = self._parts.look(stage, run, sections)
        if isinstance(inputs, Obstacle) or isinstance(found, Obstacle):
            lacking = inputs if isinstance(inputs, Obstacle) else found
            plan.failures[run.name] = lacking.reason if isinstance(lacking, Obstacle) else ""
            return
        todo = []
        reasons: dict[str, None] = {}
        is_missing_told = False
        planned = {part.path for job in plan.jobs if job.run == run.name for part in job.parts}
        for part in found:
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
                )
            )


def describe(
    stage: Stage, plan: StagePlan | None, num_runs: int, *, is_current: bool = False
) -> Iterator[str]:
    """Yield what a stage has to do as lines for a person.

    Args:
        stage: the stage.
        plan: what it has to do; None for a stage of the study's tables.
        num_runs: how many runs it was planned for.
        is_current: of a stage of the study's tables, whether they will stay as they are.
    """
    if plan is None and is_current:
        yield f"{stage.name:<9}  up to date"
        return
    if plan is None:
        yield f"{stage.name:<9}  from the tables of {' and '.join(stage.needs)}"
        return
    todo = {job.run for job in plan.jobs}
    if todo:
        amount = sum(job.amount for job in plan.jobs)
        unit = plan.stage.unit + "s" * (amount != 1)
        time = _estimate(plan, amount)
        yield f"{stage.name:<9}  {len(todo)} of {num_runs} runs, {amount:,} {unit}{time}: {_why(plan)}"
    if plan.waiting:
        after = " and ".join(dict.fromkeys(plan.waiting.values()))
        yield f"{stage.name:<9}  {len(plan.waiting)} of {num_runs} runs after {after}"
    if plan.failures:
        reason, count = Counter(plan.failures.values()).most_common(1)[0]
        yield f"{stage.name:<9}  {count} of {num_runs} runs cannot be done: {reason}"
    if not todo and not plan.waiting and not plan.failures:
        yield f"{stage.name:<9}  up to date"


def _why(plan: StagePlan) -> str:
    counts = Counter(reason for reasons in plan.reasons.values() for reason in reasons)
    shown = [
        reason if count == len(plan.reasons) else f"{reason} ({count} run{'s' * (count != 1)})"
        for reason, count in counts.most_common(MAX_REASONS)
    ]
    more = len(counts) - len(shown)
    return "; ".join(shown) + (f"; {more} more reasons" if more else "")


def _estimate(plan: StagePlan, amount: int) -> str:
    """Return how long it may take, on one core, where parts that are there say so."""
    if not plan.amount_kept or plan.duration_kept_s <= 0:
        return ""
    seconds = plan.duration_kept_s / plan.amount_kept * amount
    if seconds < 60:
        return f", about {max(1, round(seconds))} s"
    return f", about {round(seconds / 60)} min" if seconds < 5400 else f", about {seconds / 3600:.1f} h"
