"""What is wrong with a study, and where."""

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.config.wording import printable, shorten

MAX_SHOWN = 50
"""Problems printed at once (chosen); all of them are in `ConfigError.errors`."""

_MAX_KEY = 120  # characters of a key that a message repeats (chosen)


@dataclass(frozen=True)
class SourceLocation:
    """Where a value was written.

    Attributes:
        source: the file as the user named it, or the argument of the command line.
        line: in the file, from 1; 0 on the command line.
        column: in the file, from 1.
        rank: 0 for the file, then the position among the arguments of the command line.
    """

    source: str
    line: int = 0
    column: int = 0
    rank: int = 0

    @classmethod
    def at(cls, mark: yaml.Mark) -> "SourceLocation":
        """Return the location of one of PyYAML's marks, which count from 0."""
        return cls(mark.name, mark.line + 1, mark.column + 1)

    @property
    def order(self) -> tuple[int, int, int]:
        """The sort key: the file from top to bottom, then the command line."""
        return self.rank, self.line, self.column

    def __str__(self) -> str:
        """Return ``file:line:column``, or the argument of the command line."""
        source = printable(self.source)
        return f"{source}:{self.line}:{self.column}" if self.line else source


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        location: where.
        key: the dotted key; empty where the location names it or the whole file is meant.
        message: what was found, what is allowed, and how to fix it.
    """

    location: SourceLocation
    key: str
    message: str

    def __str__(self) -> str:
        """Return the problem on one line."""
        key = shorten(printable(self.key), _MAX_KEY)
        return ": ".join(part for part in (str(self.location), key, self.message) if part)


class ConfigError(SpaceprobeError):
    """A study that cannot be read, with everything that is wrong with it.

    Attributes:
        errors: the problems, in the order of the file, then of the command line.
    """

    exit_code = 2

    def __init__(self, errors: Iterable[Problem]) -> None:
        self.errors = tuple(sorted(dict.fromkeys(errors), key=lambda error: error.location.order))
        lines = [str(error) for error in self.errors[:MAX_SHOWN]]
        if len(self.errors) > MAX_SHOWN:
            lines.append(f"and {len(self.errors) - MAX_SHOWN} more")
        super().__init__("\n".join(lines))
