"""Takes a study through stages for a command, and says what came of it."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spaceprobe.cli.messages import notify, say
from spaceprobe.cli.options import take_messages, take_options, take_place
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import Stage
from spaceprobe.study.config import Study, load_study

if TYPE_CHECKING:
    from spaceprobe.study.running.planning import StagePlan
    from spaceprobe.study.running.runner import Options, Runner, StageOutcome

logger = logging.getLogger(__name__)


def take_through(
    stages: Sequence[Stage] | None,
    only_stages: Sequence[str],
    flags: Mapping[str, tuple[str, str]],
    values: dict[str, Any],
    *,
    wants_report: bool = False,
) -> None:
    """Take a study through stages, prints what came out, and exits with 1 where a run failed.

    Args:
        stages: which; None for the study's own.
        only_stages: those among them that are asked for; none means all.
        flags: by dotted key, a flag as the user wrote it and its value.
        values: what the command line says otherwise, by the names of `spaceprobe.cli.options`.
        wants_report: whether it ends with the report.
    """
    is_quiet = take_messages(values)
    place = take_place(values)
    options = take_options(values, is_quiet=is_quiet)
    study = load_study(values["config"], values["overrides"], flags)
    stages = _chosen(study, only_stages) if stages is None else stages
    from spaceprobe.study.running.runner import Runner

    with Runner(study, values["results"], options, place) as runner:
        runner.check(stages)
        plans = runner.plan(stages)
        if any(plan.busy for plan in plans) and not is_quiet:
            _echo_plan(runner, stages, plans, err=True)
        runner.begin(plans)
        outcome, executed = runner.execute_all(stages)
        text, warnings = runner.closing(executed)
    say(text)
    for warning in warnings:
        logger.warning("warning: %s", warning)
    if outcome.num_kept and not outcome.num_computed and not outcome.failures and not is_quiet:
        notify("everything was there already: nothing was computed")
    _echo_failures(outcome, runner.num_selected)
    _show_report(study, runner.folder, is_wanted=wants_report)
    if outcome.failures:
        sys.exit(1)


def _show_report(study: Study, folder: Path, *, is_wanted: bool) -> None:
    """Make the report where it is wanted and not there yet; else says so where one is out of date."""
    from spaceprobe.report.up_to_date import is_current, is_made
    from spaceprobe.study.layout import REPORT

    if is_wanted:
        if not is_current(folder):
            from spaceprobe.report.making import make_report
            from spaceprobe.results.results import NoRunsError

            try:
                make_report(study, folder)
            except NoRunsError as error:  # all failed, and it was said why
                notify(f"no report: {error}")
                return
        say(f"report   {folder / REPORT}")
    elif is_made(folder) and not is_current(folder):
        notify(f"{folder / REPORT} is of earlier tables: `spaceprobe report` makes it anew")


def print_plan(study: Study, only_stages: Sequence[str], results: Path, options: "Options") -> None:
    """Print what a study's stages have to do, and why."""
    from spaceprobe.study.running.runner import Runner

    stages = _chosen(study, only_stages)
    runner = Runner(study, results, options)
    runner.check(stages)
    _echo_plan(runner, stages, runner.plan(stages), err=False)


def _chosen(study: Study, only_stages: Sequence[str]) -> list[Stage]:
    """Return the stages of a study, or those among them that are asked for.

    Raises:
        click.UsageError: one of them is none of the study's.
    """
    for name in only_stages:
        if name not in study.stages:
            raise click.UsageError(
                f"--only {name}: is no stage of {study.name}; its stages are {', '.join(study.stages)}"
            )
    return [stage for stage in STAGES if stage.name in (only_stages or study.stages)]


def _echo_plan(runner: "Runner", stages: Sequence[Stage], plans: Sequence["StagePlan"], *, err: bool) -> None:
    from spaceprobe.study.running.planning import describe

    by_stage = {plan.stage.name: plan for plan in plans}
    num_runs = runner.num_selected
    show = notify if err else say
    show(f"{runner.study.name}: {num_runs} run{'s' * (num_runs != 1)} in {runner.folder}")
    is_busy = any(plan.busy for plan in plans)
    for stage in stages:
        plan = by_stage.get(stage.name)
        is_current = plan is None and not is_busy and runner.is_current(stage)
        for line in describe(stage, plan, num_runs, is_current=is_current):
            show(line)


def _echo_failures(outcome: "StageOutcome", num_runs: int) -> None:
    """Describe which runs failed and why, each cause once, and where the log is."""
    runs_of: dict[str, list[str]] = {}
    for run, reason in outcome.failures.items():
        runs_of.setdefault(reason, []).append(run)
    for reason, runs in runs_of.items():
        more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
        log = outcome.logs.get(runs[0])
        notify(f"Error: {runs[0]}{more}: {reason}" + (f" (log: {log})" if log else ""))
    if outcome.failures:
        notify(
            f"{len(outcome.failures)} of {num_runs} runs have no result; `spaceprobe status` shows how far "
            "all are"
        )
