"""One command for each stage, its flags made from the settings that the stage declares."""

import sys
from pathlib import Path
from typing import Any

import click

from spaceprobe.cli.messages import notify, say
from spaceprobe.cli.options import (
    message_parameters,
    place_parameters,
    selection_parameters,
    study_parameters,
    take_messages,
)
from spaceprobe.cli.work import take_through
from spaceprobe.stages.stage import FileInput, Flag, Stage
from spaceprobe.study.file_input import work_on_file


def stage_command(stage: Stage) -> click.Command:
    """Return the command of a stage, its flags made from the settings that the stage declares."""
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
            _work_on_file(stage.name, stage.file_input, file_values, values)
            return
        given = {keys[name]: values.pop(name) for name in list(values) if name in keys}
        flags = {key: (flag, value) for (key, flag), value in given.items() if value is not None}
        take_through((stage,), (), flags, values)

    return click.Command(
        stage.name,
        callback=callback,
        params=[
            *study_parameters(),
            *options,
            *selection_parameters(),
            *place_parameters(),
            *message_parameters(),
            *of_file,
        ],
        help=f"{stage.summary}\n\nExample: {stage.example}",
    )


def _file_parameters(file_input: FileInput) -> list[click.Option]:
    """Return the flag that names a file, and those that go with it."""
    path = click.Path(path_type=Path)
    named = click.Option([file_input.flag, "file"], type=path, metavar="FILE", help=file_input.summary)
    numbers = [
        click.Option([option.name], type=click.IntRange(min=1), metavar="N", help=option.summary)
        for option in file_input.options
    ]
    return [named, *numbers]


def _work_on_file(
    stage_name: str, file_input: FileInput, given: dict[str, Any], study: dict[str, Any]
) -> None:
    """Work on a file instead of a study, print what came out, and exit with 1 where something failed."""
    path = given.pop("file")
    if path is None:
        needless = next(name for name, value in given.items() if value is not None)
        raise click.UsageError(f"--{needless} goes with {file_input.flag} FILE")
    context = click.get_current_context()
    take_messages(study)
    for name in study:
        source = context.get_parameter_source(name)
        if name != "results" and source is not click.core.ParameterSource.DEFAULT:
            parameter = next(p for p in context.command.params if p.name == name)
            shown = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.opts[0].upper()
            raise click.UsageError(f"{shown} belongs to a study; {file_input.flag} takes a file without one")
    outcome = work_on_file(stage_name, file_input, path, study["results"], given)
    say(outcome.text)
    for name, reason in outcome.failures.items():
        notify(f"Error: {name}: {reason}")
    if outcome.failures:
        sys.exit(1)
