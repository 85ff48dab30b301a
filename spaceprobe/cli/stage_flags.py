"""Flags that set settings of stages, made from what the stages declare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from click.shell_completion import CompletionItem

from spaceprobe.cli.completion import completed_choices
from spaceprobe.stages.stage import Flag, Stage

Flags = Mapping[str, tuple[str, str]]
"""Flags that were given, as written, with their values, by the dotted key of the setting that they set."""


@dataclass
class StageFlag:
    """A flag, and the settings that it sets: one of each stage that has a flag of that name.

    Attributes:
        name: the flag, such as ``--epoch``.
        bare: see `Flag`.
        description: of the setting.
        annotation: its type.
        keys: the dotted keys of the settings.
        stages: the names of the stages.
    """

    name: str
    bare: str | None
    description: str
    annotation: Any
    keys: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    @property
    def parameter(self) -> str:
        """The name of its parameter in click."""
        return f"flag_{self.name.strip('-').replace('-', '_')}"

    def option(self) -> click.Option:
        """Return the flag as click takes it."""
        bare: dict[str, Any] = {"is_flag": False, "flag_value": self.bare} if self.bare else {}
        return click.Option(
            [self.name, self.parameter],
            help=f"{self.description} [{', '.join(self.keys)}]",
            metavar="VALUE",
            shell_complete=self._complete,
            **bare,
        )

    def _complete(
        self, context: click.Context, parameter: click.Parameter, start: str
    ) -> list[CompletionItem]:
        del context, parameter
        return [CompletionItem(choice) for choice in completed_choices(self.annotation, start)]


def stage_flags(stages: Sequence[Stage]) -> list[StageFlag]:
    """Return the flags of stages, each once: stages that have a flag of one name share it."""
    flags: dict[str, StageFlag] = {}
    for stage in stages:
        for section, model in stage.sections.items():
            for name, info in model.model_fields.items():
                for flag in (item for item in info.metadata if isinstance(item, Flag)):
                    new = StageFlag(flag.name, flag.bare, info.description or "", info.annotation)
                    shared = flags.setdefault(flag.name, new)
                    shared.keys += [key for key in [f"{section}.{name}"] if key not in shared.keys]
                    shared.stages += [one for one in [stage.name] if one not in shared.stages]
    return [*flags.values()]


def take_flags(flags: Sequence[StageFlag], values: dict[str, Any]) -> Flags:
    """Remove what click parsed of flags from its values, and return those that were given."""
    given = [(flag, values.pop(flag.parameter)) for flag in flags]
    return {key: (flag.name, value) for flag, value in given if value is not None for key in flag.keys}
