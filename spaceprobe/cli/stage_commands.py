"""One command for each stage, its flags made from the settings that the stage declares."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from spaceprobe.cli.messages import notify, say
from spaceprobe.cli.options import (
    StudyCall,
    message_parameters,
    selection_parameters,
    study_parameters,
    target_parameters,
)
from spaceprobe.cli.run_stages import run_stages
from spaceprobe.stages.stage import FileInput, Flag, Stage
from spaceprobe.study.file_input import work_on_file


def stage_command(stage: Stage) -> click.Command:
    """Return the command of a stage."""
    settings = list(_flagged_settings(stage))
    file_options = _file_parameters(stage.file_input) if stage.file_input else []

    def callback(**values: Any) -> None:
        of_file = {str(option.name): values.pop(str(option.name)) for option in file_options}
        given = [(setting, values.pop(setting.parameter)) for setting in settings]
        call = StudyCall(**values)
        if stage.file_input and any(value is not None for value in of_file.values()):
            _work_on_file(stage.name, stage.file_input, of_file, call)
        else:
            flags = {setting.key: (setting.flag.name, value) for setting, value in given if value is not None}
            run_stages(call, (stage,), flags)

    return click.Command(
        stage.name,
        callback=callback,
        params=[
            *study_parameters(),
            *(setting.option() for setting in settings),
            *selection_parameters(),
            *target_parameters(),
            *message_parameters(),
            *file_options,
        ],
        help=f"{stage.summary}\n\nExample: {stage.example}",
    )


@dataclass(frozen=True)
class _FlaggedSetting:
    """A setting that a flag sets.

    Attributes:
        key: its dotted key.
        flag: the flag.
        description: of the setting.
    """

    key: str
    flag: Flag
    description: str

    @property
    def parameter(self) -> str:
        """The name of its parameter in click."""
        return f"flag_{self.key.replace('.', '_')}"

    def option(self) -> click.Option:
        """Return the flag as click takes it."""
        bare: dict[str, Any] = {"is_flag": False, "flag_value": self.flag.bare} if self.flag.bare else {}
        help_text = f"{self.description} [{self.key}]"
        return click.Option([self.flag.name, self.parameter], help=help_text, metavar="VALUE", **bare)


def _flagged_settings(stage: Stage) -> Iterator[_FlaggedSetting]:
    for section, model in stage.sections.items():
        for field, info in model.model_fields.items():
            for flag in (item for item in info.metadata if isinstance(item, Flag)):
                yield _FlaggedSetting(f"{section}.{field}", flag, info.description or "")


def _file_parameters(file_input: FileInput) -> list[click.Option]:
    """Return the flag that names a file, and the flags that go with it."""
    path = click.Path(path_type=Path)
    named = click.Option([file_input.flag, "file"], type=path, metavar="FILE", help=file_input.summary)
    numbers = [
        click.Option([option.name], type=click.IntRange(min=1), metavar="N", help=option.summary)
        for option in file_input.options
    ]
    return [named, *numbers]


def _work_on_file(stage_name: str, file_input: FileInput, given: dict[str, Any], call: StudyCall) -> None:
    """Work on a file instead of a study, print the results, and exit with 1 if something failed."""
    path = given.pop("file")
    if path is None:
        needless = next(name for name, value in given.items() if value is not None)
        raise click.UsageError(f"--{needless} goes with {file_input.flag} FILE")
    call.show_messages()
    context = click.get_current_context()
    allowed = {"file", *given, "results", *(option.name for option in message_parameters())}
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in allowed and source is not click.core.ParameterSource.DEFAULT:
            flag = parameter.opts[0]
            name = flag if flag.startswith("-") else flag.upper()
            raise click.UsageError(f"{name} belongs to a study; {file_input.flag} takes a file without one")
    outcome = work_on_file(stage_name, file_input, path, call.results, given)
    say(outcome.text)
    for name, reason in outcome.failures.items():
        notify(f"Error: {name}: {reason}")
    if outcome.failures:
        sys.exit(1)
