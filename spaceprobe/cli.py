"""Commands: parse, call, print. Results go to stdout; progress, notices and errors to stderr."""

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.config import load_study
from spaceprobe.study.stage import Flag, Stage
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
    stages: tuple[Stage, ...],
    flags: dict[str, tuple[str, str]],
    config: str | None,
    overrides: tuple[str, ...],
    results: Path,
    only_runs: tuple[str, ...],
    num_jobs: int,
) -> None:
    """Takes a study through stages, prints what came out, and exits with 1 where a run failed."""
    study = load_study(config, overrides, flags)
    from spaceprobe.study.runner import Runner

    runner = Runner(study, results, only_runs, num_jobs)
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

    def callback(**values: Any) -> None:
        given = {keys[name]: values.pop(name) for name in list(values) if name in keys}
        flags = {key: (flag, value) for (key, flag), value in given.items() if value is not None}
        _take_through((stage,), flags, **values)

    return click.Command(
        stage.name,
        callback=callback,
        params=[*_study_parameters(), *options, *_work_parameters()],
        help=f"{stage.summary}\n\nExample: {stage.example}",
    )


@click.command(params=[*_study_parameters(), *_work_parameters()])
def run(**values: Any) -> None:
    """Take a study through all stages; what is up to date is skipped.

    Example: spaceprobe run depth-sweep --jobs 2
    """
    _take_through(STAGES, {}, **values)


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
