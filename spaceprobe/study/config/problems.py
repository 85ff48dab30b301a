"""What is wrong with a study, where, in plain words."""

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spaceprobe.errors import SpaceprobeError

MAX_SHOWN = 50
"""Problems printed at once (chosen); all of them are in `ConfigError.errors`."""

_MAX_TEXT = 60  # characters of a value that a message repeats (chosen)
_MAX_KEY = 120  # characters of a key
_MAX_GUESSED = 60  # difflib is quadratic, and nobody mistypes a longer name


@dataclass(frozen=True)
class Place:
    """Where a setting comes from.

    Attributes:
        source: the file as the user named it, or the words of the command line.
        line: in the file, from 1; 0 on the command line.
        column: in the file, from 1.
        rank: 0 for the file, then the position among the words of the command line.
    """

    source: str
    line: int = 0
    column: int = 0
    rank: int = 0

    def __str__(self) -> str:
        """Returns ``file:line:column``, or the words of the command line."""
        source = printable(self.source)
        return f"{source}:{self.line}:{self.column}" if self.line else source


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: where.
        key: the dotted key; empty where the place says it or the whole file is meant.
        message: what was found, what is allowed, and the way out.
    """

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        """Returns the problem on one line."""
        key = shorten(printable(self.key), _MAX_KEY)
        return ": ".join(part for part in (str(self.place), key, self.message) if part)


class ConfigError(SpaceprobeError):
    """A study that cannot be read, with everything that is wrong with it.

    Attributes:
        errors: the problems, in the order of the file, then of the command line.
    """

    exit_code = 2

    def __init__(self, errors: Iterable[Problem]) -> None:
        distinct = dict.fromkeys(errors)
        self.errors: tuple[Problem, ...] = tuple(
            sorted(distinct, key=lambda e: (e.place.rank, e.place.line, e.place.column))
        )
        lines = [str(error) for error in self.errors[:MAX_SHOWN]]
        if len(self.errors) > MAX_SHOWN:
            lines.append(f"and {len(self.errors) - MAX_SHOWN} more")
        super().__init__("\n".join(lines))


def printable(text: str) -> str:
    """Returns a text with whatever a terminal might choke on written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, limit: int = _MAX_TEXT) -> str:
    """Returns a text cut to a length that fits a message."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def describe(value: object) -> str:
    """Returns how a message names a value that was found.

    >>> describe("yes"), describe(True), describe(None), describe([1, 2]), describe(1.5)
    ("'yes' (text)", 'true', 'nothing (null)', 'a list of 2', '1.5')
    """
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return str(value).lower()
        case str():
            return f"{shorten(value)!r} (text)"
        case float() if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ("-.inf" if value < 0 else ".inf")
        case int() | float():
            return shorten(repr(value))
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return "a mapping"
        case _:
            return shorten(repr(value))


def listed(words: Sequence[str], last: str = "or") -> str:
    """Returns words as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b or c')
    """
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """Returns ``, did you mean …`` for the choice nearest to a mistyped word, or nothing."""
    near = nearest(word, choices)
    return f", did you mean {near[0]}" if near else ""


def nearest(word: object, choices: Iterable[str]) -> list[str]:
    """Returns the choice nearest to a mistyped word, or none."""
    if not isinstance(word, str) or len(word) > _MAX_GUESSED:
        return []
    exact = {choice.casefold(): choice for choice in choices}
    return [exact[near] for near in difflib.get_close_matches(word.casefold(), exact, n=1)]
