"""Paths on the command line, in which ~ and variables are replaced: a shell does not in --results=~/mine."""

from pathlib import Path
from typing import Any

import click

from spaceprobe.machine.paths import expanded


class UserPath(click.Path):
    """A path."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path that is meant."""
        if value not in ("", None):
            value = expanded(Path(value))
        return super().convert(value, param, ctx)


class UserStudy(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """A study: its file, a folder of results or a name."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the study as it is meant."""
        del param, ctx
        text = str(value)
        return str(expanded(Path(text))) if "~" in text or "$" in text else text
