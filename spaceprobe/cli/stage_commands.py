"""One command for each stage, its flags made from the settings that the stage declares."""

import itertools
import shlex
import sys
from typing import Any

import click

from spaceprobe.cli.file_outcomes import show_outcome
from spaceprobe.cli.messages import say
from spaceprobe.cli.model_commands import MODEL_WORK, is_model_asked
from spaceprobe.cli.model_options import refuse_others
from spaceprobe.cli.options import (
    StudyCall,
    flag_parameters,
    message_parameters,
    selection_parameters,
    study_parameters,
    target_parameters,
)
from spaceprobe.cli.run_stages import run_stages
from spaceprobe.cli.stage_flags import stage_flags, take_flags
from spaceprobe.cli.user_paths import UserPath
from spaceprobe.stages.stage import FileInput, Stage
from spaceprobe.study.file_input import work_on_file


def stage_command(stage: Stage) -> click.Command:
    """Return the command of a stage."""
    flags = stage_flags([stage])
    file_options = _file_parameters(stage.file_input) if stage.file_input else []
    model_work = MODEL_WORK.get(stage.name)
    model_options = model_work.parameters() if model_work else []

    def callback(**values: Any) -> None:
        of_model = {str(option.name): values.pop(str(option.name)) for option in model_options}
        if model_work and is_model_asked(of_model):
            given = take_flags(flags, values)
            model_work.run(stage, of_model, given, values)
            return
        of_file = {str(option.name): values.pop(str(option.name)) for option in file_options}
        of_file = {name: None if value == () else value for name, value in of_file.items()}
        call = StudyCall(flags=take_flags(flags, values), **values)
        if stage.file_input and any(value is not None for value in of_file.values()):
            _work_on_file(stage.name, stage.file_input, of_file, call)
        else:
            run_stages(call, (stage,))

    return click.Command(
        stage.name,
        callback=callback,
        params=[
            *study_parameters(),
            *flag_parameters(flags),
            *selection_parameters(),
            *target_parameters(),
            *message_parameters(),
            *file_options,
            *model_options,
        ],
        help=f"{stage.summary}\n\nExample: {stage.example}",
    )


def _file_parameters(file_input: FileInput) -> list[click.Option]:
    """Return the flag that names a file, and the flags that go with it."""
    path = UserPath()
    named = click.Option(
        [file_input.flag, "files"], type=path, metavar="FILE", multiple=True, help=file_input.summary
    )
    plain = click.Option(
        ["--no-report"], is_flag=True, default=None, help=f"With {file_input.flag}: do not make the page."
    )
    others = [
        click.Option(
            [option.name],
            type=str if option.is_text else click.IntRange(min=1),
            metavar=option.metavar,
            multiple=option.is_repeatable,
            help=option.summary,
        )
        for option in file_input.options
    ]
    return [named, *others, plain]


def _work_on_file(stage_name: str, file_input: FileInput, given: dict[str, Any], call: StudyCall) -> None:
    """Work on files instead of a study, print the results, and exit with 1 if something failed."""
    paths = given.pop("files")
    if paths is None:
        needless = next(name for name, value in given.items() if value is not None)
        raise click.UsageError(f"--{needless.replace('_', '-')} goes with {file_input.flag} FILE")
    is_report_wanted = not given.pop("no_report")
    call.show_messages()
    allowed = {"files", *given, "no_report", "results", *(option.name for option in message_parameters())}
    refuse_others(map(str, allowed), f"{file_input.flag} takes a file without one")
    if len(paths) > 1:
        for path in paths:  # what is wrong with the last is told before the first is computed
            file_input.open(path, given)
    folders = []
    has_failed = False
    for path in paths:
        outcome = work_on_file(stage_name, file_input, path, call.results, given)
        folders.append(outcome.folder)
        show_outcome(outcome, is_report_wanted=is_report_wanted)
        has_failed = has_failed or bool(outcome.failures)
    for first, second in itertools.pairwise(dict.fromkeys(folders)):
        say(f"compare  spaceprobe compare {shlex.quote(str(first))} {shlex.quote(str(second))}")
    if has_failed:
        sys.exit(1)
