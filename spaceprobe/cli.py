"""Commands: parse, call, print. Results go to stdout; progress, notices and errors to stderr."""

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.config import load_study
from spaceprobe.study.stage import FileInput, Flag, Stage
from spaceprobe.study.stages import STAGES

INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended


class _Commands(click.Group):
    """Shows what a user can cause as one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; see the class."""
        try:
            return super().invoke(ctx)
        except SpaceprobeError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(
                "Interrupted: what was finished is kept, the same command goes on from there.",
                err=True,
            )
            ctx.exit(INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands in the order of work, not of the alphabet."""
        del ctx
        return list(self.commands)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("spaceprobe"), prog_name="spaceprobe")
def main() -> None:
    """Measure how ReLU networks fold space, and what their weight matrices encode.

    CONFIG is a study: a YAML file, or the name of a shipped one. Without it, spaceprobe.yaml in the
    current folder is taken, else the shipped depth-sweep.

    Example: spaceprobe run quickstart
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)


def _study_parameters() -> list[click.Parameter]:
    """Returns what every command on a study takes."""
    return [
        click.Argument(["config"], required=False, metavar="[CONFIG]"),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a setting; repeatable.",
        ),
    ]


def _work_parameters() -> list[click.Parameter]:
    """Returns what every command that computes takes."""
    return [
        click.Option(
            ["--results"],
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            metavar="DIR",
            help="Where the study's folder of results lies.",
        ),
        click.Option(
            ["--run", "only_runs"], multiple=True, metavar="NAME", help="Only this run; repeatable."
        ),
        click.Option(
            ["--jobs", "num_jobs"],
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            metavar="N",
            help="How many runs are computed at once.",
        ),
    ]


def _take_through(
    stages: tuple[Stage, ...] | None,
    flags: dict[str, tuple[str, str]],
    config: str | None,
    overrides: tuple[str, ...],
    results: Path,
    only_runs: tuple[str, ...],
    num_jobs: int,
) -> None:
    """Takes a study through stages, prints what came out, and exits with 1 where a run failed.

    Without stages they are the study's own.
    """
    study = load_study(config, overrides, flags)
    if stages is None:
        stages = tuple(stage for stage in STAGES if stage.name in study.stages)
    from spaceprobe.study.runner import Runner

    runner = Runner(study, results, only_runs, num_jobs)
    runner.check(stages)
    failures: dict[str, str] = {}
    num_computed = num_kept = 0
    for stage in stages:
        outcome = runner.execute(stage)
        failures = outcome.failures | failures  # the first cause, not what follows from it
        num_computed += outcome.num_computed
        num_kept += outcome.num_kept
    click.echo(runner.closing(stages[-1]))
    if num_kept and not num_computed and not failures:
        click.echo("everything was there already: nothing was computed", err=True)
    runs_of: dict[str, list[str]] = {}
    for run, reason in failures.items():
        runs_of.setdefault(reason, []).append(run)
    for reason, runs in runs_of.items():
        more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
        click.echo(f"Error: {runs[0]}{more}: {reason}", err=True)
    if failures:
        sys.exit(1)


def _stage_command(stage: Stage) -> click.Command:
    """Returns the command of a stage, its flags made from the settings that the stage declares."""
    keys: dict[str, tuple[str, str]] = {}
    options: list[click.Parameter] = []
    for section, model in stage.sections.items():
        for field, info in model.model_fields.items():
            for flag in (item for item in info.metadata if isinstance(item, Flag)):
                name = f"flag_{field}"
                keys[name] = (f"{section}.{field}", flag.name)
                bare: dict[str, Any] = {"is_flag": False, "flag_value": flag.bare} if flag.bare else {}
                help_text = f"{info.description} [{section}.{field}]"
                options.append(click.Option([flag.name, name], help=help_text, metavar="VALUE", **bare))
    of_file = _file_parameters(stage.file_input) if stage.file_input else []

    def callback(**values: Any) -> None:
        file_values = {str(option.name): values.pop(str(option.name)) for option in of_file}
        if stage.file_input and any(value is not None for value in file_values.values()):
            _work_on_file(stage.file_input, file_values, values)
            return
        given = {keys[name]: values.pop(name) for name in list(values) if name in keys}
        flags = {key: (flag, value) for (key, flag), value in given.items() if value is not None}
        _take_through((stage,), flags, **values)

    return click.Command(
        stage.name,
        callback=callback,
        params=[*_study_parameters(), *options, *_work_parameters(), *of_file],
        help=f"{stage.summary}\n\nExample: {stage.example}",
    )


def _file_parameters(file_input: FileInput) -> list[click.Option]:
    """Returns the flag that names a file, and those that go with it."""
    path = click.Path(path_type=Path)
    named = click.Option([file_input.flag, "file"], type=path, metavar="FILE", help=file_input.summary)
    numbers = [
        click.Option([option.name], type=click.IntRange(min=1), metavar="N", help=option.summary)
        for option in file_input.options
    ]
    return [named, *numbers]


def _work_on_file(file_input: FileInput, given: dict[str, Any], study: dict[str, Any]) -> None:
    """Works on a file instead of a study, prints what came out, and exits with 1 where something failed."""
    path = given.pop("file")
    if path is None:
        needless = next(name for name, value in given.items() if value is not None)
        raise click.UsageError(f"--{needless} goes with {file_input.flag} FILE")
    context = click.get_current_context()
    for name in study:
        source = context.get_parameter_source(name)
        if name != "results" and source is not click.core.ParameterSource.DEFAULT:
            parameter = next(p for p in context.command.params if p.name == name)
            shown = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.opts[0].upper()
            raise click.UsageError(f"{shown} belongs to a study; {file_input.flag} takes a file without one")
    outcome = file_input.work(path, study["results"], given)
    click.echo(outcome.text)
    for name, reason in outcome.failures.items():
        click.echo(f"Error: {name}: {reason}", err=True)
    if outcome.failures:
        sys.exit(1)


@click.command(params=[*_study_parameters(), *_work_parameters()])
def run(**values: Any) -> None:
    """Take a study through its stages; what is up to date is skipped.

    Example: spaceprobe run depth-sweep --jobs 2
    """
    _take_through(None, {}, **values)


@click.command(params=_study_parameters())
def validate(config: str | None, overrides: tuple[str, ...]) -> None:
    """Check a study file and print the study as it is resolved.

    Example: spaceprobe validate my-study.yaml --set training.epochs=5
    """
    from spaceprobe.study.config import dump_study
    from spaceprobe.study.grid import expand

    study = load_study(config, overrides)
    num_runs = len(expand(study))
    click.echo(dump_study(study), nl=False)
    click.echo(f"{study.name}: valid, {num_runs} run{'s' * (num_runs != 1)}", err=True)


@click.command()
@click.option("-k", "num_folds", type=click.IntRange(1, 8), default=2, show_default=True, help="Recursions.")
def cantor(num_folds: int) -> None:
    """Walk across CantorNet, whose folding is known, exactly and with 11 points.

    Example: spaceprobe cantor -k 2
    """
    from spaceprobe.study.cantor import describe_cantornet

    click.echo(describe_cantornet(num_folds))


main.add_command(run)
for _stage in STAGES:
    main.add_command(_stage_command(_stage))
main.add_command(validate)
main.add_command(cantor)
