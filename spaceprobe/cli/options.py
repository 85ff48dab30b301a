"""What several commands take."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from spaceprobe.cli.messages import show_messages
from spaceprobe.stages import STAGES
from spaceprobe.study.running.executor import Place

if TYPE_CHECKING:
    from spaceprobe.study.running.runner import Options


class _Folder(click.Path):
    """A folder, by a name that is not empty: a variable of the shell that is not set gives such."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the folder's path."""
        if value == "":
            self.fail("it is empty; give a folder, or . for the current one", param, ctx)
        return super().convert(value, param, ctx)


def study_parameters() -> list[click.Parameter]:
    """Return what every command on a study takes."""
    return [
        click.Argument(["config"], required=False, metavar="[CONFIG]", shell_complete=_complete_study),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a setting; repeatable.",
        ),
    ]


def results_parameter() -> click.Parameter:
    """Return the folder of results."""
    return click.Option(
        ["--results"],
        type=_Folder(path_type=Path),
        default=Path("results"),
        show_default=True,
        metavar="DIR",
        help="Where the study's folder of results lies.",
    )


def selection_parameters() -> list[click.Parameter]:
    """Return what says which runs are computed, and when again."""
    return [
        results_parameter(),
        click.Option(
            ["--run", "only_runs"],
            multiple=True,
            metavar="NAME",
            help="Only this run; repeatable.",
            shell_complete=_complete_run,
        ),
        click.Option(["--force", "forces"], is_flag=True, help="Compute what is up to date all the same."),
        click.Option(
            ["--trust-code", "trusts_code"],
            is_flag=True,
            help="Take results for up to date whatever version of the code made them, and whatever a setting "
            "stood for that is newer than they are.",
        ),
    ]


def only_parameter() -> click.Parameter:
    """Return the choice of stages, for commands that go through several."""
    return click.Option(
        ["--only", "only_stages"],
        multiple=True,
        type=click.Choice([stage.name for stage in STAGES]),
        help="Only this stage; repeatable.",
    )


def place_parameters() -> list[click.Parameter]:
    """Return what says where runs are computed."""
    return [
        click.Option(
            ["--jobs", "num_jobs"],
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            metavar="N",
            help="How many runs are computed at once, by N processes of this machine.",
        ),
        click.Option(
            ["--scheduler-address"],
            metavar="HOST:PORT",
            help="Compute on the Dask cluster of this scheduler; its workers share the folder of results.",
        ),
        click.Option(
            ["--scheduler-file"],
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="FILE",
            help="The same, by the file that `dask scheduler --scheduler-file` writes.",
        ),
        click.Option(
            ["--slurm", "num_slurm_workers"],
            type=click.IntRange(min=1),
            metavar="N",
            help="Compute by N workers that SLURM is asked for, as the section slurm says.",
        ),
        click.Option(
            ["--dashboard"],
            metavar="HOST:PORT",
            help="Serve Dask's dashboard of --jobs there (needs bokeh); whoever reaches it sees the study.",
        ),
        click.Option(["--fail-fast", "is_fail_fast"], is_flag=True, help="End at the first failed run."),
    ]


def message_parameters() -> list[click.Parameter]:
    """Return what says which messages are shown; they are taken out by `take_messages`."""
    return [
        click.Option(["-q", "--quiet", "is_quiet"], is_flag=True, help="No progress and no notices."),
        click.Option(["-v", "--verbose", "is_verbose"], is_flag=True, help="Say what each run does."),
        click.Option(
            ["--log-file"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Append all messages to a file, with the time.",
        ),
    ]


def take_messages(values: dict[str, Any]) -> bool:
    """Take the values of `message_parameters` and follows them. Returns whether to be quiet.

    Raises:
        click.UsageError: they contradict each other.
    """
    is_quiet, is_verbose, log_file = (values.pop(n) for n in ("is_quiet", "is_verbose", "log_file"))
    if is_quiet and is_verbose:
        raise click.UsageError("--quiet and --verbose do not go together")
    show_messages(is_quiet=is_quiet, is_verbose=is_verbose, log_file=log_file)
    return bool(is_quiet)


def take_place(values: dict[str, Any]) -> Place:
    """Take the values that say where runs are computed.

    Raises:
        click.UsageError: they name several places.
    """
    place = Place(
        **{
            name: values.pop(name)
            for name in ("num_jobs", "scheduler_address", "scheduler_file", "num_slurm_workers", "dashboard")
        }
    )
    named = [
        flag
        for flag, is_given in (
            ("--jobs", place.num_jobs > 1),
            ("--scheduler-address", place.scheduler_address is not None),
            ("--scheduler-file", place.scheduler_file is not None),
            ("--slurm", place.num_slurm_workers is not None),
        )
        if is_given
    ]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} do not go together: each says where runs are computed")
    if place.dashboard is not None and place.num_jobs == 1:
        raise click.UsageError("--dashboard goes with --jobs N: other clusters have their own")
    return place


def take_options(values: dict[str, Any], *, is_quiet: bool = False) -> "Options":
    """Take the values that say which runs are computed, and when again.

    Raises:
        click.UsageError: they contradict each other.
    """
    from spaceprobe.study.running.runner import Options  # here: pandas takes a while to import

    if values.get("forces") and values.get("trusts_code"):
        raise click.UsageError("--force and --trust-code do not go together: the one does all again")
    names = ("only_runs", "forces", "trusts_code", "is_fail_fast")
    return Options(**{name: values.pop(name) for name in names if name in values}, is_quiet=is_quiet)


def _complete_study(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a shipped study, or a file."""
    del context, parameter
    from spaceprobe.study.config.finding import shipped_configs

    names = [name for name in shipped_configs() if name.startswith(start)]
    # Files first: where they come, click's script for bash forgets what came before.
    return [CompletionItem(start, type="file"), *(CompletionItem(name) for name in names)]


def _complete_run(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a run of the study that is named before."""
    del parameter
    from spaceprobe.errors import SpaceprobeError
    from spaceprobe.study.config import load_study
    from spaceprobe.study.grid import expand

    values: Mapping[str, Any] = context.params
    try:
        # An option that lacks its value keeps click from naming what it has parsed.
        config = values.get("config") or next(iter(context.args), None)
        runs = expand(load_study(config, values.get("overrides") or ()))
    except SpaceprobeError:
        return []  # the study has to be mended first: running it says how
    return [CompletionItem(run.name) for run in runs if run.name.startswith(start)]
