"""A plan as plain values, for scripts; docs/running.md, "For scripts" describes them."""

from collections.abc import Iterator
from typing import Any

from spaceprobe.study.running.planning import StagePlan, StudyPlan, estimate_s


def plan_facts(plan: StudyPlan) -> dict[str, Any]:
    """Return what the stages of a study have to do as values that JSON can hold."""
    by_stage = {stage_plan.stage.name: stage_plan for stage_plan in plan.plans}
    stages = []
    for stage in plan.stages:
        of_runs = by_stage.get(stage.name)
        if of_runs is None:
            stages.append({"stage": stage.name, "is_up_to_date": stage.name in plan.current})
        else:
            stages.append(_stage_facts(of_runs, plan))
    return {
        "study": plan.study,
        "folder": str(plan.folder),
        "num_runs": plan.num_runs,
        "is_up_to_date": all(facts["is_up_to_date"] for facts in stages),
        "stages": stages,
    }


def _stage_facts(plan: StagePlan, study: StudyPlan) -> dict[str, Any]:
    amount = sum(job.amount for job in plan.jobs)
    return {
        "stage": plan.stage.name,
        "is_up_to_date": not (plan.busy or plan.failures),
        "unit": plan.stage.unit,
        "amount": amount,
        "estimated_s": estimate_s(plan, amount),
        "runs": [*_run_facts(plan, study)],
    }


def _run_facts(plan: StagePlan, study: StudyPlan) -> Iterator[dict[str, Any]]:
    amounts: dict[str, int] = {}
    for job in plan.jobs:
        amounts[job.run] = amounts.get(job.run, 0) + job.amount
    for name, label in study.labels.items():
        state, reasons = "up to date", []
        if name in amounts:
            state, reasons = "to do", plan.reasons[name]
        elif name in plan.waiting:
            state, reasons = "waiting", [f"after {plan.waiting[name]}"]
        elif name in plan.failures:
            state, reasons = "failed", [plan.failures[name]]
        yield {
            "run": name,
            "label": label,
            "state": state,
            "amount": amounts.get(name, 0),
            "reasons": reasons,
        }
