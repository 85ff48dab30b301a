"""What the stages of a plan will cost, from a piece of the work of each architecture that is timed here."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from spaceprobe.stages.stage import Cost, RunStage, Sections
from spaceprobe.study.grid import Run
from spaceprobe.study.running.planning import StudyPlan, duration_text
from spaceprobe.tables.text import count, fill
from spaceprobe.user_code import stdout_kept

NOT_OF_COST = "training"
"""The section whose settings do not change what a path costs, as far as an untrained network tells."""


class StageCost(NamedTuple):
    """What a stage costs on runs that cost the same.

    Attributes:
        stage: its name.
        num_runs: how many runs.
        cost: of one of them.
    """

    stage: str
    num_runs: int
    cost: Cost


def predict_costs(plan: StudyPlan, runs: Sequence[Run]) -> list[StageCost]:
    """Time a piece of the work of each stage that has some and can be timed, once for each architecture.

    Args:
        plan: what the stages have to do.
        runs: those of the study that are taken through them.

    Raises:
        SpaceprobeError: the data or a network cannot be had, or code of the user's is not trusted.
    """
    costs = []
    for stage_plan in plan.plans:
        stage = stage_plan.stage
        if stage.cost is None:
            continue
        alike: dict[str, list[Sections]] = {}
        for run in runs:
            for sections in run.variants(stage) if run.name in stage_plan.busy else ():
                alike.setdefault(_what_costs(sections), []).append(sections)
        with stdout_kept():
            costs += [_cost(stage, variants) for variants in alike.values()]
    return costs


def _cost(stage: RunStage, variants: Sequence[Sections]) -> StageCost:
    first = variants[0]
    if stage.check_trust is not None:
        stage.check_trust(first)
    if stage.cost is None:
        raise ValueError(f"{stage.name} has no cost")
    return StageCost(stage.name, len(variants), stage.cost(first))


def _what_costs(sections: Sections) -> str:
    """Return the settings on which the cost of a path depends, as text."""
    told = {name: settings.key() for name, settings in sections.items() if name != NOT_OF_COST}
    return json.dumps(told, sort_keys=True, default=str)


def cost_lines(costs: Sequence[StageCost]) -> Iterator[str]:
    """Yield the costs as lines for a person."""
    for stage, num_runs, cost in costs:
        runs = count(num_runs, "run")
        if cost.seconds is None:
            total = f"{runs}: more than {duration_text(cost.at_least_s * num_runs)} on one core"
        else:
            total = f"{runs}: about {duration_text(cost.seconds * num_runs)} on one core"
        yield from fill(f"{stage:<9}  {cost.work} ({cost.timed}), {total}", " " * 11)


def cost_facts(costs: Sequence[StageCost]) -> list[dict[str, Any]]:
    """Return the costs as values that JSON can hold."""
    return [
        {
            "stage": stage,
            "num_runs": num_runs,
            "work": cost.work,
            "timed": cost.timed,
            "seconds_a_run": cost.seconds,
            "at_least_seconds_a_run": cost.at_least_s if cost.seconds is None else cost.seconds,
        }
        for stage, num_runs, cost in costs
    ]
