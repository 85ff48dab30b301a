"""Takes a study through stages for a command, and prints what they have to do and what they did."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spaceprobe.cli.messages import notify, notify_changes, say, say_json
from spaceprobe.cli.options import ALL_FLAGS, StudyCall
from spaceprobe.files import is_writable
from spaceprobe.machine.limits import check_threads
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import Stage
from spaceprobe.study.config import Study
from spaceprobe.tables.text import count

if TYPE_CHECKING:
    from spaceprobe.study.running.planning import StudyPlan
    from spaceprobe.study.running.runner import StudyOutcome

logger = logging.getLogger(__name__)


def run_stages(call: StudyCall, stages: Sequence[Stage] | None = None, *, wants_report: bool = False) -> None:
    """Take a study through stages, print the results, and exit with 1 if a run failed.

    Args:
        call: what the command line says.
        stages: the stages; None for those that the call chooses.
        wants_report: whether to make the report at the end.
    """
    call.show_messages()
    target = call.target()
    check_threads(call.num_jobs)  # before numpy is imported
    options = call.options()
    study, results = call.load()
    stages = _chosen(study, call) if stages is None else stages
    from spaceprobe.study.running.runner import Runner

    def show_plan(plan: "StudyPlan") -> None:
        if plan.busy and not call.is_quiet:
            _print_plan(plan, notify)

    options = replace(options, is_changed_by_call=bool(call.overrides or call.flags))
    runner = Runner(study, results, options, target)
    outcome = runner.run(stages, show_plan)
    say(outcome.text)
    failures = outcome.failures
    is_idle = not outcome.num_computed and not outcome.num_elsewhere
    is_complete = outcome.num_kept > 0 and is_idle and not failures
    notices: list[str] = []
    try:
        notices += _show_report(runner.kept, runner.folder, is_wanted=wants_report, is_complete=is_complete)
    finally:  # after the result, also where the page cannot be made
        _print_notices(outcome, notices, is_complete=is_complete, is_quiet=call.is_quiet)
        _print_failures(outcome, runner.labels)
    if failures:
        sys.exit(1)


def print_plan(call: StudyCall) -> None:
    """Print what a study's stages have to do, and why.

    Raises:
        RefusedError: none of the runs can be done; after the plan, so that `plan` ends as `run` would.
    """
    call.show_messages()
    options = call.options()
    study, results = call.load()
    stages = _chosen(study, call)
    from spaceprobe.study.running.costs import cost_facts, cost_lines
    from spaceprobe.study.running.plan_facts import plan_facts
    from spaceprobe.study.running.runner import Runner
    from spaceprobe.study.running.slurm_facts import slurm_facts, slurm_lines

    runner = Runner(study, results, options)
    plan = runner.plan(stages)
    costs = runner.costs(plan) if call.wants_cost else None
    of_slurm = None if call.num_slurm_workers is None else slurm_facts(plan, study, call.num_slurm_workers)
    if call.is_json:
        facts = plan_facts(plan) | ({} if of_slurm is None else {"slurm": of_slurm})
        say_json(facts | ({} if costs is None else {"costs": cost_facts(costs)}))
    else:
        _print_plan(plan, say, is_cost_told=call.wants_cost)
        for line in cost_lines(costs or ()):
            say(line)
        if of_slurm is not None:
            say("\n".join(slurm_lines(of_slurm)))
    notify_changes(runner.folder)
    plan.check()


def _chosen(study: Study, call: StudyCall) -> list[Stage]:
    """Return the stages of a study, or those of them that are asked for.

    Raises:
        click.UsageError: the study does not have one of them, or a flag belongs to none of them.
    """
    for flag in ALL_FLAGS:
        is_given = any(key in call.flags for key in flag.keys)
        if is_given and not {*flag.stages} & {*study.stages}:
            raise click.UsageError(
                f"{flag.name} belongs to {' and '.join(flag.stages)}, not a stage of {study.name}; its "
                f"stages are {', '.join(study.stages)}"
            )
    for name in call.only_stages:
        if name not in study.stages:
            raise click.UsageError(
                f"--only {name}: not a stage of {study.name}; its stages are {', '.join(study.stages)}"
            )
    return [stage for stage in STAGES if stage.name in (call.only_stages or study.stages)]


def _print_plan(plan: "StudyPlan", print_line: Callable[[str], None], *, is_cost_told: bool = False) -> None:
    for line in plan.lines(is_cost_told=is_cost_told):
        print_line(line)


def _print_notices(
    outcome: "StudyOutcome", of_report: Sequence[str], *, is_complete: bool, is_quiet: bool
) -> None:
    """Print warnings, and what happened beside the computation.

    Args:
        outcome: what the stages did.
        of_report: notices on the page.
        is_complete: whether everything was up to date.
        is_quiet: whether only errors are to be shown.
    """
    for warning in outcome.warnings:
        logger.warning("warning: %s", warning)
    if not is_quiet:
        if is_complete:
            notify("everything was up to date: nothing was computed")
        if outcome.num_elsewhere:
            notify(f"another runner computed {count(outcome.num_elsewhere, 'job')} meanwhile")
        if outcome.narrowing is not None:
            notify(outcome.narrowing)
    for notice in of_report:
        notify(notice)


def _print_failures(outcome: "StudyOutcome", labels: Mapping[str, str]) -> None:
    """Print which runs failed and why, each cause once, and where the log is.

    Args:
        outcome: what the stages did.
        labels: of the runs that were taken through them, by their names.
    """
    failures, logs = outcome.failures, outcome.logs
    runs_of: dict[str, list[str]] = {}
    for run in sorted(failures, key=[*labels].index):
        runs_of.setdefault(failures[run], []).append(run)
    for reason, runs in runs_of.items():
        more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
        log = logs.get(runs[0])
        notify(f"Error: {labels[runs[0]]}{more}: {reason}" + (f" (log: {log})" if log else ""))
    if failures:
        notify(
            f"{len(failures)} of {count(len(labels), 'run')} have no result; `spaceprobe status` shows the "
            "state of all"
        )


def _show_report(study: Study, folder: Path, *, is_wanted: bool, is_complete: bool) -> Iterator[str]:
    """Make the report if it is wanted and not up to date; yield a notice where there is none, or an old one.

    Args:
        study: the study.
        folder: its folder of results.
        is_wanted: whether to make it.
        is_complete: whether everything else was up to date; a folder that cannot be written is then no error.
    """
    from spaceprobe.report.up_to_date import is_current, is_made
    from spaceprobe.study.layout import REPORT

    page = folder / REPORT
    if is_wanted and is_complete and not is_writable(folder) and not is_current(folder):
        state = "is of earlier tables" if is_made(folder) else "is not there"
        yield f"{page} {state}, and cannot be made: the folder is read-only for this user"
    elif is_wanted:
        if not is_current(folder):
            from spaceprobe.report.making import make_report
            from spaceprobe.results.results import NoRunsError
            from spaceprobe.study.running.claims import claimed

            try:
                with claimed(folder, "report"):  # another runner that ended as well may be making it
                    if not is_current(folder):
                        make_report(study, folder)
            except NoRunsError as error:
                yield f"no report: {error}"
                return
        say(f"report   {page}")
    elif is_made(folder) and not is_current(folder):
        yield f"{page} was made from earlier tables: `spaceprobe report` makes it again"
