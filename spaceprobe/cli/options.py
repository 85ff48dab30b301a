"""The arguments and flags that several commands share."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spaceprobe.cli.completion import complete_run, complete_setting, complete_study
from spaceprobe.cli.messages import show_messages
from spaceprobe.cli.stage_flags import Flags, StageFlag, stage_flags
from spaceprobe.cli.user_paths import UserPath, UserStudy
from spaceprobe.stages import STAGES
from spaceprobe.study.jobs.compute_target import ComputeTarget
from spaceprobe.user_code import trusting

if TYPE_CHECKING:
    from spaceprobe.study.config import Study
    from spaceprobe.study.running.runner import RunOptions


class _Folder(UserPath):
    """A folder whose name is not empty, as that of a shell variable that is not set would be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the folder's path."""
        if value == "":
            self.fail("it is empty; give a folder, or . for the current one", param, ctx)
        return super().convert(value, param, ctx)


@dataclass(frozen=True)
class StudyCall:
    """What a command line says about a study; its fields bear the names of the parameters below.

    Attributes:
        config: the study: a file, the name of a shipped one, or None to look for one.
        overrides: of its settings, as ``KEY=VALUE``.
        results: the folder that holds a folder for each study.
        only_stages: the stages to take it through; none means the study's own.
        only_runs: see `RunOptions`.
        forces: see `RunOptions`.
        trusts_code: see `RunOptions`.
        is_fail_fast: see `RunOptions`.
        num_jobs: see `ComputeTarget`.
        scheduler_address: see `ComputeTarget`.
        scheduler_file: see `ComputeTarget`.
        num_slurm_workers: see `ComputeTarget`.
        dashboard: see `ComputeTarget`.
        is_quiet: whether to show errors only.
        is_verbose: whether to show what each run does.
        log_file: where all messages are appended.
        no_report: whether not to make the report at the end.
        is_dry_run: whether to print what there is to do instead.
        is_json: whether to print that as JSON.
        wants_cost: whether to time a piece of the work of each architecture, and predict how long it takes.
        flags: flags of stages that were given.
    """

    config: str | None
    overrides: tuple[str, ...]
    results: Path
    only_stages: tuple[str, ...] = ()
    only_runs: tuple[str, ...] = ()
    forces: bool = False
    trusts_code: bool = False
    is_fail_fast: bool = False
    num_jobs: int = 1
    scheduler_address: str | None = None
    scheduler_file: Path | None = None
    num_slurm_workers: int | None = None
    dashboard: str | None = None
    is_quiet: bool = False
    is_verbose: bool = False
    log_file: Path | None = None
    no_report: bool = False
    is_dry_run: bool = False
    is_json: bool = False
    wants_cost: bool = False
    flags: Flags = field(default_factory=dict)

    def show_messages(self) -> None:
        """Show the messages that are asked for, from now on; see `show_chosen_messages`."""
        show_chosen_messages(is_quiet=self.is_quiet, is_verbose=self.is_verbose, log_file=self.log_file)

    def load(self) -> "tuple[Study, Path]":
        """Return the study, and the folder that holds its folder of results.

        Raises:
            click.UsageError: it is a folder of results, and another one is given.
            SpaceprobeError: it cannot be read, or a name in a registry has two meanings.
        """
        from spaceprobe.plugins import check_names
        from spaceprobe.results.started import kept_folder, load_kept, refuse_folder
        from spaceprobe.study.config import load_study

        check_names()
        folder = kept_folder(self.config, self.results)
        if folder is None:
            refuse_folder(self.config, self.results)
            return load_study(self.config, self.overrides, self.flags), self.results
        results = Path(os.path.normpath(folder)).parent if folder.name else Path("..")
        if _is_given("results") and not _is_same(results, self.results):
            raise click.UsageError(
                f"--results {self.results}: {self.config} is itself a folder of results, where its study "
                "stays; leave --results out, or give the study's file or name"
            )
        return load_kept(folder, self.overrides, self.flags), results

    def target(self) -> ComputeTarget:
        """Return where runs are computed.

        Raises:
            click.UsageError: the flags name several places.
        """
        target = ComputeTarget(
            self.num_jobs,
            self.scheduler_address,
            self.scheduler_file,
            self.num_slurm_workers,
            self.dashboard,
        )
        given = {
            "--jobs": self.num_jobs > 1,
            "--scheduler-address": self.scheduler_address is not None,
            "--scheduler-file": self.scheduler_file is not None,
            "--slurm": self.num_slurm_workers is not None,
        }
        flags = [flag for flag, is_given in given.items() if is_given]
        if len(flags) > 1:
            raise click.UsageError(
                f"{' and '.join(flags)} do not go together: each says where runs are computed"
            )
        if self.dashboard is not None and self.num_jobs == 1:
            raise click.UsageError("--dashboard goes with --jobs N: other clusters have their own")
        return target

    def options(self) -> "RunOptions":
        """Return which runs are computed, and when again.

        Raises:
            click.UsageError: the flags contradict each other.
        """
        from spaceprobe.study.running.runner import RunOptions  # here: pandas takes a while to import

        if self.forces and self.trusts_code:
            raise click.UsageError("--force and --trust-code do not go together: --force computes everything")
        return RunOptions(self.only_runs, self.forces, self.trusts_code, self.is_fail_fast, self.is_quiet)


def _is_same(folder: Path, other: Path) -> bool:
    return os.path.realpath(folder) == os.path.realpath(other)


def _is_given(parameter: str) -> bool:
    """Return whether a parameter of the command stands on the command line."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source not in (None, click.core.ParameterSource.DEFAULT)


def config_argument() -> click.Argument:
    """Return the study that a command is about."""
    return click.Argument(
        ["config"], required=False, metavar="[CONFIG]", type=UserStudy(), shell_complete=complete_study
    )


def trust_parameter() -> click.Option:
    """Return the flag that lets code of the user's run; no command has to take its value."""
    return click.Option(
        ["--trust", "trusted_modules"],
        multiple=True,
        metavar="MODULE",
        expose_value=False,
        callback=_trust,
        help="Let this module of your own, in this folder, run where the study names it; repeatable.",
    )


def _trust(context: click.Context, parameter: click.Parameter, modules: tuple[str, ...]) -> None:
    """Let modules run until the command ends."""
    del parameter
    context.with_resource(trusting(modules))


def study_parameters() -> list[click.Parameter]:
    """Return the study that a command is about, and overrides of its settings."""
    return [
        config_argument(),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="KEY=VALUE",
            shell_complete=complete_setting,
            help="Override a setting; repeatable.",
        ),
        trust_parameter(),
    ]


def results_parameter() -> click.Parameter:
    """Return the folder of results, as an option."""
    return click.Option(
        ["--results"],
        type=_Folder(),
        default="results",
        show_default=True,
        metavar="DIR",
        help="Where the study's folder of results lies.",
    )


def selection_parameters() -> list[click.Parameter]:
    """Return the flags for which runs are computed, and when again."""
    return [
        results_parameter(),
        click.Option(
            ["--run", "only_runs"],
            multiple=True,
            metavar="NAME",
            help="Only this run; repeatable.",
            shell_complete=complete_run,
        ),
        click.Option(["--force", "forces"], is_flag=True, help="Compute what is up to date as well."),
        click.Option(
            ["--trust-code", "trusts_code"],
            is_flag=True,
            help="Count results as up to date whatever version of the code computed them; a setting that is "
            "newer than they are counts as its default.",
        ),
    ]


def only_parameter() -> click.Parameter:
    """Return the choice of stages, for commands on several."""
    return click.Option(
        ["--only", "only_stages"],
        multiple=True,
        type=click.Choice([stage.name for stage in STAGES]),
        help="Only this stage; repeatable.",
    )


def json_parameter(what: str) -> click.Parameter:
    """Return the flag for JSON on stdout instead of lines.

    Args:
        what: what is printed.
    """
    return click.Option(["--json", "is_json"], is_flag=True, help=f"Print {what} as JSON, for scripts.")


ALL_FLAGS = stage_flags(STAGES)
"""The flags of all stages, for commands on several."""


def flag_parameters(flags: Sequence[StageFlag]) -> list[click.Parameter]:
    """Return flags of stages as click takes them."""
    return [flag.option() for flag in flags]


def target_parameters() -> list[click.Parameter]:
    """Return the flags for where runs are computed."""
    return [
        click.Option(
            ["--jobs", "num_jobs"],
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            metavar="N",
            help="Compute N runs at once, by processes of this machine.",
        ),
        click.Option(
            ["--scheduler-address"],
            metavar="HOST:PORT",
            help="Compute on the Dask cluster of this scheduler; its workers share the folder of results.",
        ),
        click.Option(
            ["--scheduler-file"],
            type=UserPath(exists=True, dir_okay=False),
            metavar="FILE",
            help="The same, given the file that `dask scheduler --scheduler-file` writes.",
        ),
        slurm_parameter("Compute by N workers that SLURM starts, with the settings of the section slurm."),
        click.Option(
            ["--dashboard"],
            metavar="HOST:PORT",
            help="Serve Dask's dashboard of --jobs there (needs bokeh); all who can reach it see the study.",
        ),
        click.Option(["--fail-fast", "is_fail_fast"], is_flag=True, help="End at the first failed run."),
    ]


def slurm_parameter(summary: str) -> click.Option:
    """Return the flag for workers of SLURM."""
    return click.Option(
        ["--slurm", "num_slurm_workers"], type=click.IntRange(min=1), metavar="N", help=summary
    )


def message_parameters() -> list[click.Parameter]:
    """Return the flags for which messages are shown."""
    return [
        click.Option(["-q", "--quiet", "is_quiet"], is_flag=True, help="No progress and no notices."),
        click.Option(["-v", "--verbose", "is_verbose"], is_flag=True, help="Show what each run does."),
        click.Option(
            ["--log-file"],
            type=UserPath(dir_okay=False),
            metavar="FILE",
            help="Append all messages to a file, with the time.",
        ),
    ]


def show_chosen_messages(*, is_quiet: bool, is_verbose: bool, log_file: Path | None) -> None:
    """Show the messages that the flags of `message_parameters` choose, from now on.

    Raises:
        click.UsageError: the flags contradict each other.
    """
    if is_quiet and is_verbose:
        raise click.UsageError("--quiet and --verbose do not go together")
    show_messages(is_quiet=is_quiet, is_verbose=is_verbose, log_file=log_file)
