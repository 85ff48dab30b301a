"""What is wrong with a study, and where."""

from collections.abc import Iterable
from typing import NamedTuple

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.config.wording import printable

MAX_SHOWN = 50
"""Problems printed at once (chosen); all of them are in `ConfigError.errors`."""


class SourceLocation(NamedTuple):
    """Where a value was written; in order: each file from top to bottom, then the command line.

    Attributes:
        rank: 0 for the file, -1 for the one that it extends, -2 for that below it and so on; of the command
            line the position among its arguments, from 1.
        line: in the file, from 1; 0 on the command line.
        column: in the file, from 1.
        source: the file as the user named it, or the argument.
    """

    rank: int
    line: int
    column: int
    source: str

    def __str__(self) -> str:
        """Return ``file:line:column``, or the argument of the command line."""
        source = printable(self.source)
        return f"{source}:{self.line}:{self.column}" if self.line else source


Problem = tuple[SourceLocation, str]
"""Where, and what was found, what is allowed and how to fix it, after the dotted key where there is one."""


class ConfigError(SpaceprobeError):
    """A study that cannot be read, with everything that is wrong with it.

    Attributes:
        errors: the problems, in the order of the file; those of what it extends come first, those of the
            command line last.
    """

    exit_code = 2

    def __init__(self, errors: Iterable[Problem]) -> None:
        self.errors = tuple(sorted(set(errors)))
        lines = [f"{location}: {printable(message)}" for location, message in self.errors[:MAX_SHOWN]]
        if len(self.errors) > MAX_SHOWN:
            lines.append(f"and {len(self.errors) - MAX_SHOWN} more")
        super().__init__("\n".join(lines))

    @classmethod
    def of_file(cls, source: object, message: str) -> "ConfigError":
        """Return the error of a file that is wrong as a whole."""
        return cls([(SourceLocation(0, 1, 1, str(source)), message)])
