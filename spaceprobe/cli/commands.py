"""The commands."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from spaceprobe.cli.completion import complete_study
from spaceprobe.cli.export_command import export
from spaceprobe.cli.figure_files import check_out, out_parameter
from spaceprobe.cli.messages import notify, say, say_json, show_messages, stdout_watched
from spaceprobe.cli.options import (
    ALL_FLAGS,
    StudyCall,
    config_argument,
    flag_parameters,
    json_parameter,
    message_parameters,
    only_parameter,
    results_parameter,
    selection_parameters,
    slurm_parameter,
    study_parameters,
    target_parameters,
    trust_parameter,
)
from spaceprobe.cli.path_command import draw_path, path
from spaceprobe.cli.report_commands import compare, plot, report
from spaceprobe.cli.run_stages import print_plan, run_stages
from spaceprobe.cli.stage_commands import stage_command
from spaceprobe.cli.stage_flags import take_flags
from spaceprobe.cli.user_paths import UserStudy
from spaceprobe.errors import SettingsError, SpaceprobeError
from spaceprobe.machine.ending import TerminatedError, ended_by_signals, last_words
from spaceprobe.machine.limits import check_threads, limits_explained
from spaceprobe.plugins import untold_problems
from spaceprobe.stages import STAGES
from spaceprobe.study.config.finding import HERE
from spaceprobe.study.shipped_studies import study_lines


class _Commands(click.Group):
    """Shows an error that a user can cause as one sentence, without a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Say which plug-ins are left out, also beside `--help`, and run a command."""
        if "_SPACEPROBE_COMPLETE" not in os.environ:  # else a shell completes a word
            for problem in untold_problems():
                notify(f"warning: {problem}")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; see the class."""
        try:
            with ended_by_signals(), stdout_watched(), limits_explained():
                check_threads()
                return super().invoke(ctx)
        except SpaceprobeError as error:
            notify(f"Error: {error}")
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, TerminatedError) as error:
            sentence, exit_code = last_words(error)
            notify(sentence)
            ctx.exit(exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used."""
        del ctx
        return list(self.commands)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("spaceprobe"), prog_name="spaceprobe")
def main() -> None:
    """Measure how ReLU networks fold space, and what their weight matrices encode.

    CONFIG is a study: a YAML file, the name of a shipped one (`spaceprobe studies` lists them), or a folder
    of results. It defaults to spaceprobe.yaml in the current folder. Where there is none, `run` and `plan`
    list the shipped studies, and the other commands take depth-sweep.

    Example: spaceprobe run quickstart
    """
    show_messages()


@click.command(
    params=[
        *study_parameters(),
        *flag_parameters(ALL_FLAGS),
        *selection_parameters(),
        only_parameter(),
        *target_parameters(),
        *message_parameters(),
        click.Option(["--no-report"], is_flag=True, help="Do not make the report at the end."),
        click.Option(["--dry-run", "is_dry_run"], is_flag=True, help="The same as `spaceprobe plan`."),
    ],
    short_help="Take a study through its stages, and make its report.",
)
def run(**values: Any) -> None:
    """Take a study through its stages and make its report; what is up to date is skipped.

    A flag such as --epochs sets the setting that stands behind it.

    Example: spaceprobe run quickstart --jobs 2
    """
    call = _named_call(values)
    if call.is_dry_run:
        print_plan(call)
    else:
        run_stages(call, wants_report=not (call.only_stages or call.no_report))


@click.command(
    params=[
        *study_parameters(),
        *flag_parameters(ALL_FLAGS),
        *selection_parameters(),
        only_parameter(),
        slurm_parameter("Show what SLURM would be asked for N workers, and the script of each."),
        json_parameter("the plan"),
        click.Option(
            ["--cost", "wants_cost"],
            is_flag=True,
            help="Time a few paths of each architecture, and predict how long folding takes.",
        ),
    ],
    short_help="Show what `run` would do, and why.",
)
def plan(**values: Any) -> None:
    """Show what `run` would do, and why; nothing is computed or written.

    With --cost, networks are built and a few paths timed: some seconds for each architecture.

    Example: spaceprobe plan quickstart --set training.epochs=40 --cost
    """
    print_plan(_named_call(values))


def _named_call(values: dict[str, Any]) -> StudyCall:
    """Return the call of a command that does not guess which study is meant.

    Raises:
        SettingsError: none is named, and there is none in the current folder.
    """
    if values["config"] is None and not os.path.lexists(HERE):
        raise SettingsError(
            f"no study is named, and there is no {HERE} in this folder; give a file, or one of these:\n\n"
            + "\n".join(study_lines())
            + "\n\nsuch as: spaceprobe run quickstart"
        )
    return StudyCall(flags=take_flags(ALL_FLAGS, values), **values)


@click.command()
def studies() -> None:
    """List the studies that come with spaceprobe, with a line each.

    Example: spaceprobe studies
    """
    for line in study_lines():
        say(line)


@click.command(
    params=[config_argument(), results_parameter(), trust_parameter(), json_parameter("the states")],
    short_help="Show what is done, running, failed or stale.",
)
def status(config: str | None, results: Path, is_json: bool) -> None:
    """Show what is done, running, failed or stale of a study as it was last started.

    Example: spaceprobe status quickstart
    """
    from spaceprobe.results.status import status_facts, status_lines, study_status

    found = study_status(config, results)
    if is_json:
        say_json(status_facts(found))
    else:
        say("\n".join(status_lines(found)))


@click.command(
    params=[
        click.Argument(["config"], metavar="CONFIG", type=UserStudy(), shell_complete=complete_study),
        results_parameter(),
        trust_parameter(),
        click.Option(["--yes", "-y", "is_sure"], is_flag=True, help="Remove without a question."),
        click.Option(["--dry-run", "is_dry_run"], is_flag=True, help="Only list what would be removed."),
    ],
    short_help="Remove results that no longer belong to a study.",
)
def clean(config: str, results: Path, *, is_sure: bool, is_dry_run: bool) -> None:
    """Remove results that no longer belong to a study, after a list with sizes and a question.

    They are runs that the study has neither as it was last started nor as its file says now, and what earlier
    versions left: results that the study does not ask for, and files half written.

    Example: spaceprobe clean quickstart --dry-run
    """
    if is_sure and is_dry_run:
        raise click.UsageError("--yes and --dry-run do not go together")
    from spaceprobe.results.cleaning import check_idle, find_leftovers, remove_leftovers

    leftovers = find_leftovers(config, results)
    for line in leftovers.lines():
        say(line)
    if not leftovers.found:
        return
    if is_dry_run:
        say(f"would remove {leftovers.size}")
        return
    check_idle(leftovers.folder)
    if not is_sure and not _agrees(f"Remove {leftovers.size}?"):
        notify("nothing was removed")
        click.get_current_context().exit(1)
    remove_leftovers(leftovers)
    say(f"removed {leftovers.size}")


def _agrees(question: str) -> bool:
    """Return whether the user says yes; nobody who could answer means no."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        return False


@click.command(params=study_parameters())
def validate(config: str | None, overrides: tuple[str, ...]) -> None:
    """Check a study file and print the study as it is resolved.

    Example: spaceprobe validate quickstart --set training.epochs=5
    """
    from spaceprobe.study.config import dump_study
    from spaceprobe.study.grid import check_settings, expand

    study, _ = StudyCall(config, overrides, Path("results")).load()
    runs = expand(study)
    check_settings(runs, [stage for stage in STAGES if stage.name in study.stages])
    num_runs = len(runs)
    say(dump_study(study).rstrip())
    notify(f"{study.name}: valid, {num_runs} run{'s' * (num_runs != 1)}")


@click.command(short_help="Print the JSON Schema of a study, for editors.")
def schema() -> None:
    """Print the JSON Schema of a study file, by which editors complete and check one.

    Example: spaceprobe schema
    """
    from spaceprobe.study.config.schema import study_schema
    from spaceprobe.study.config.sections import fixed_sections, section_models

    say_json(study_schema(section_models(STAGES), fixed_sections(STAGES)))


@click.command(
    short_help="Walk across CantorNet, whose folding is known.",
    params=[
        click.Option(
            ["-k", "num_folds"], type=click.IntRange(1, 8), default=2, show_default=True, help="Recursions."
        ),
        out_parameter(),
    ],
)
def cantor(num_folds: int, out: Path | None) -> None:
    """Walk across CantorNet, whose folding is known, exactly and with 11 points; --out draws the exact path.

    Example: spaceprobe cantor -k 2
    """
    check_out(out)
    from spaceprobe.results.cantor import describe_cantornet, walk_cantornet

    if out is not None:
        draw_path(walk_cantornet(num_folds), out)
    say(describe_cantornet(num_folds))
    if out is not None:
        say(f"figure  {out}")


@click.command(short_help="Print the script by which a shell completes commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands, flags, studies and runs.

    Example: eval "$(spaceprobe completion bash)"
    """
    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise RuntimeError(f"click has no completion for {shell}")
    say(completion_class(main, {}, "spaceprobe", "_SPACEPROBE_COMPLETE").source())


main.add_command(run)
main.add_command(plan)
main.add_command(status)
main.add_command(studies)
for _stage in STAGES:
    main.add_command(stage_command(_stage))
main.add_command(clean)
main.add_command(report)
main.add_command(plot)
main.add_command(compare)
main.add_command(export)
main.add_command(validate)
main.add_command(schema)
main.add_command(path)
main.add_command(cantor)
main.add_command(completion)
