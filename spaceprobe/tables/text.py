"""Tables and prose as text for a terminal: no line is wider than 80 columns."""

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH = 80
"""Columns of a terminal that a table and its notes fit into."""

NOTHING = "-"
"""A cell without a value."""

SHORT_NAMES = {"learning_rate": "lr"}
"""What settings are called where there is little room."""

_GAP = "  "


@dataclass(frozen=True)
class TextColumn:
    """A column of a table in the terminal.

    Attributes:
        head: its header.
        cells: its cells, from top to bottom.
        is_number: whether cells are aligned on the right, with the header over them.
    """

    head: str
    cells: Sequence[str]
    is_number: bool = True

    @property
    def width(self) -> int:
        """The columns of a terminal that it takes."""
        return max(map(display_width, [self.head, *self.cells]))

    @property
    def is_empty(self) -> bool:
        """Whether no cell has a value."""
        return all(cell in ("", NOTHING) for cell in self.cells)

    def lines(self) -> list[str]:
        """Return the header and the cells, each as wide as the column."""
        return [pad(text, self.width, is_right=self.is_number) for text in (self.head, *self.cells)]


def text_table(
    key: Sequence[TextColumn], values: Sequence[TextColumn] = (), width: int = WIDTH
) -> Iterator[str]:
    r"""Yield the lines of a table that fits a terminal.

    Columns of values without a value are left out. Where the others do not fit, they follow in blocks below
    each other, the key first in each; where not even one of them fits beside the key, each row is a block of
    its own with a line for each column.

    >>> names = TextColumn("name", ["a", "bc"], is_number=False)
    >>> print("\n".join(text_table([names], [TextColumn("n", ["5", "12"])])))
    name   n
    a      5
    bc    12

    Args:
        key: the columns that say what a row is of.
        values: the others.
        width: the columns of the terminal.
    """
    values = [column for column in values if not column.is_empty]
    of_key = sum(column.width + len(_GAP) for column in key)
    if any(of_key + column.width > width for column in values) or of_key - len(_GAP) > width:
        yield from _records(key, values, width)
        return
    block: list[TextColumn] = []
    used = of_key
    for column in values:
        if block and used + column.width > width:
            yield from _block([*key, *block])
            block, used = [], of_key
        block.append(column)
        used += column.width + len(_GAP)
    yield from _block([*key, *block])


def is_fitting(key: Sequence[TextColumn], values: Sequence[TextColumn], width: int = WIDTH) -> bool:
    """Return whether `text_table` would need one block only."""
    columns = [*key, *(column for column in values if not column.is_empty)]
    return sum(column.width + len(_GAP) for column in columns) - len(_GAP) <= width


def fill(text: str, indent: str = "", width: int = WIDTH) -> list[str]:
    """Return a text as lines that fit a terminal, those after the first indented; no word is broken.

    >>> fill("one two three", indent="  ", width=8)
    ['one two', '  three']
    """
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def cut(text: str, width: int = WIDTH) -> str:
    """Return the start of a text that fits a terminal, with "…" for the rest.

    >>> cut("one two", width=5), cut("one", width=3)
    ('one …', 'one')
    """
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return text + "…"


def in_short(text: str) -> str:
    """Return a text with the short names of settings.

    >>> in_short("learning_rate 0.001, epochs 3")
    'lr 0.001, epochs 3'
    """
    for name, short in SHORT_NAMES.items():
        text = re.sub(rf"\b{name}\b", short, text)
    return text


def in_words(text: str) -> str:
    """Return a text with the names of settings as a sentence has them.

    >>> in_words("learning_rate 0.001, chi_max: 2 seeds left out")
    'learning rate 0.001, chi_max: 2 seeds left out'
    """
    for name in SHORT_NAMES:
        text = re.sub(rf"\b{name}\b", name.replace("_", " "), text)
    return text


def display_width(text: str) -> int:
    r"""Return how many columns of a terminal a text takes.

    >>> display_width("χ ± σ"), display_width("深い"), display_width("e\u0301")
    (5, 4, 1)
    """
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """Return a text with blanks before or behind it, so that it takes a number of columns.

    >>> pad("χ", 3, is_right=True), pad("深", 3)
    ('  χ', '深 ')
    """
    blanks = " " * (width - display_width(text))
    return blanks + text if is_right else text + blanks


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration(0.0123), duration(0.2), duration(9.87), duration(200), duration(9000)
    ('12 ms', '200 ms', '9.9 s', '3.3 min', '2.5 h')
    """
    if seconds < 1:
        number, unit = 1000 * seconds, "ms"
    elif seconds < 120:
        number, unit = seconds, "s"
    elif seconds < 7200:
        number, unit = seconds / 60, "min"
    else:
        number, unit = seconds / 3600, "h"
    return f"{float(f'{number:.2g}'):,g} {unit}"


def count(number: int, noun: str) -> str:
    """Return a number with what it counts.

    >>> count(1, "seed"), count(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _block(columns: Sequence[TextColumn]) -> Iterator[str]:
    for cells in zip(*(column.lines() for column in columns), strict=True):
        yield _GAP.join(cells).rstrip()


def _records(key: Sequence[TextColumn], values: Sequence[TextColumn], width: int) -> Iterator[str]:
    """Yield a block of lines for each row: its key, and under it each value with its header."""
    heads = max((display_width(column.head) for column in values), default=0)
    for number in range(len(key[0].cells)):
        yield from fill(" · ".join(f"{column.head} {column.cells[number]}" for column in key), "  ", width)
        for column in values:
            cell = column.cells[number]
            if cell:
                head = f"  {pad(column.head, heads)}  "
                yield from fill(head + cell, " " * display_width(head), width)
