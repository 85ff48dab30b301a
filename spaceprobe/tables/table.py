"""What a CSV declares: its name, the columns that identify a row, and all its columns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Dtype = Literal["integer", "number", "boolean", "text"]
"""What the cells of a column hold, where they are not empty."""


@dataclass(frozen=True)
class Bounds:
    """The range of a quantity.

    Attributes:
        low: the least value that it can have; None where it is unbounded below.
        high: the largest value that it can have; None where it is unbounded above.
    """

    low: float | None = None
    high: float | None = None

    def of_difference(self) -> "Bounds":
        """Return the range of the difference of two values of the quantity.

        >>> Bounds(0, 1).of_difference()
        Bounds(low=-1, high=1)
        """
        if self.low is None or self.high is None:
            return Bounds()
        return Bounds(self.low - self.high, self.high - self.low)


UNBOUNDED = Bounds()


@dataclass(frozen=True)
class Column:
    """One column of a CSV.

    Attributes:
        name: its header.
        dtype: what its cells hold.
        meaning: one line for a reader: what it is, its unit or range, and when a cell is empty.
        is_setting: whether it tells how a row was measured, such as ``method``, rather than what came out.
        low: the least value that the quantity can have; None where it has none. A row of the state
            ``difference`` is of a difference of two such values; see `Bounds.of_difference`.
        high: the largest value that it can have.
    """

    name: str
    dtype: Dtype
    meaning: str
    is_setting: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def bounds(self) -> Bounds:
        """The range of the quantity in one state of a network."""
        return Bounds(self.low, self.high)


@dataclass(frozen=True)
class Table:
    """One CSV of a study.

    Attributes:
        name: the file's name without ``.csv``.
        key: the columns that identify a row; rows are sorted by them.
        columns: all columns but the run, in their order in the file.
        settings_after: the column after which a run's other swept settings stand; None for nowhere.
        training_only: the names of settings that only training has: an untrained network does not depend on
            them.
        meaning: one line for a reader: what a row is.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    settings_after: str | None = None
    training_only: tuple[str, ...] = ()
    meaning: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    def settings(self, frame: "pd.DataFrame") -> list[str]:
        """Return the columns of a frame of this table that hold swept settings, in their order.

        They are those that the table does not declare.
        """
        return [str(name) for name in frame.columns if name != "run" and name not in self.names]

    def readings(self, frame: "pd.DataFrame") -> list[str]:
        """Return the columns that tell the ways of measuring one network apart, in their order.

        They are the swept settings, and the declared columns that are settings.
        """
        declared = {column.name for column in self.columns if column.is_setting}
        return [str(name) for name in frame.columns if name in declared or name in self.settings(frame)]
