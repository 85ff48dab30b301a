"""What a CSV declares: its name, the columns that identify a row, and all its columns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Dtype = Literal["integer", "number", "boolean", "text"]
"""What the cells of a column hold, where they are not empty."""

RERUN_RTOL: Mapping[Dtype, float] = {"integer": 0.0, "number": 1e-4, "boolean": 0.0, "text": 0.0}
"""Relative tolerance within which a rerun on another machine agrees, by what a column holds.

Counts and identities agree exactly. Numbers descend from float32 weights, whose last bits depend on the CPU:
five epochs of training computed with and without vector instructions differed by up to 5e-5 in any column
but one (`subspace_sine`, which has a tolerance of its own), and an accuracy by less than one of 10,000 test
points, which is 1e-4.
"""

RERUN_SCALE = 1e-3
"""Numbers closer to 0 than this are compared as if they were this large (chosen): what remains of numbers of
order 1 that cancel is rounding, and has no correct digit to compare."""

_PANDAS: Mapping[Dtype, str] = {"integer": "Int64", "number": "float64", "boolean": "boolean", "text": "str"}

_PYTHON: Mapping[Dtype, type] = {"integer": int, "number": float, "boolean": bool, "text": str}


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
        rerun_rtol: relative tolerance within which a rerun on another machine agrees, where it is not that
            of `RERUN_RTOL`; infinite for what differs from run to run, such as a duration.
        low: the least value that the quantity can have; None where it has none. A row of the state
            ``difference`` is of a difference of two such values; see `Bounds.of_difference`.
        high: the largest value that it can have.
        earlier_name: what an earlier version called it; None where it always had its name.
        earlier_suffix: how values end that only an earlier version wrote; None where there are none.
        is_later: whether an earlier version's table lacks it; such a table is read with empty cells in it.
        is_asked: whether a table has it only where the settings of a run of its study ask for it.
    """

    name: str
    dtype: Dtype
    meaning: str
    is_setting: bool = False
    rerun_rtol: float | None = None

    def tolerance(self, rtol: float | None = None) -> float:
        """Return the relative tolerance within which a rerun on another machine agrees.

        Args:
            rtol: a tolerance for all numbers, in place of those declared; counts, identities and what differs
                from run to run keep theirs.
        """
        declared = RERUN_RTOL[self.dtype] if self.rerun_rtol is None else self.rerun_rtol
        return declared if rtol is None or self.dtype != "number" or math.isinf(declared) else rtol

    low: float | None = None
    high: float | None = None
    earlier_name: str | None = None
    earlier_suffix: str | None = None
    is_later: bool = False
    is_asked: bool = False

    @property
    def bounds(self) -> Bounds:
        """The range of the quantity in one state of a network."""
        return Bounds(self.low, self.high)


@dataclass(frozen=True)
class Table:
    """One CSV of a study.

    Attributes:
        name: the file's name without ``.csv``.
        key: the columns that identify a row; the rows of a run are sorted by them.
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

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def plain_names(self) -> tuple[str, ...]:
        """The names of the columns that are there whatever the settings ask for."""
        return tuple(column.name for column in self.columns if not column.is_asked)

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    def pandas_dtypes(self) -> dict[str, str]:
        """Return what `pandas.read_csv` takes as ``dtype``, by column: whole numbers stay whole beside gaps.

        Swept settings, which no table declares, are not in it; pandas infers their types.
        """
        return {"run": "str", **{column.name: _PANDAS[column.dtype] for column in self.columns}}

    def polars_schema(self) -> dict[str, type]:
        """Return what `polars.read_csv` takes as ``schema_overrides``, by column, as Python's types.

        Swept settings, which no table declares, are not in it; polars infers their types.
        """
        return {"run": str, **{column.name: _PYTHON[column.dtype] for column in self.columns}}

    def lacking(self, frame: "pd.DataFrame") -> list[str]:
        """Return the columns that a frame of this table has to have and lacks."""
        later = {column.name for column in self.columns if column.is_later}
        return [name for name in self.plain_names if name not in frame and name not in later]

    def with_later_columns(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return a frame of this table with empty cells where an earlier version had no column."""
        later = {column.name for column in self.columns if column.is_later} - {*frame.columns}
        return frame.assign(**dict.fromkeys(sorted(later), math.nan)) if later else frame

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
