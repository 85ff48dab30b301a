"""Two CSVs of one kind, cell by cell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from spaceprobe.tables.table import RERUN_SCALE, Column, Table

MAX_KEPT = 100
"""Chosen: how many cells and rows of a table that differ are kept to be shown; all are counted."""

NOT_IDENTITY = ("note", "reason", "error")
"""Columns of text that explain a row rather than identify it, where a table declares no key."""


class CellDifference(NamedTuple):
    """One cell that differs.

    Attributes:
        row: the row's key: column and value of each.
        column: the cell's column.
        first: the cell in the first table, as it is written; empty for an empty cell.
        second: the cell in the second.
    """

    row: str
    column: str
    first: str
    second: str


@dataclass
class ColumnAgreement:
    """The cells of one column in the rows that both tables have.

    Attributes:
        column: its name.
        num_differing: cells that differ by more than the tolerance.
        largest: the largest relative difference of two numbers.
        tolerance: the relative tolerance.
    """

    column: str
    num_differing: int
    largest: float
    tolerance: float


@dataclass
class TableAgreement:
    """How far two tables of one name agree.

    Attributes:
        name: of the tables.
        num_rows: rows that both have.
        only_columns: columns that only the first has, and only the second.
        only_rows: the first keys of the rows that only the first has, and only the second.
        num_only_rows: how many rows these are.
        columns: of the columns with a cell that is not written the same way in both.
        cells: the first cells that differ, in the order of the rows.
        problem: why rows cannot be compared; None if they can.
    """

    name: str
    num_rows: int = 0
    only_columns: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    only_rows: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    num_only_rows: list[int] = field(default_factory=lambda: [0, 0])
    columns: list[ColumnAgreement] = field(default_factory=list)
    cells: list[CellDifference] = field(default_factory=list)
    problem: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether all rows and cells agree."""
        return not (self.problem or any(self.only_columns) or any(self.num_only_rows) or self.num_differing)

    @property
    def num_differing(self) -> int:
        """The number of cells that differ."""
        return sum(column.num_differing for column in self.columns)


def compare_cells(
    table: Table, a: pd.DataFrame, b: pd.DataFrame, settings: Sequence[str], rtol: float | None = None
) -> TableAgreement:
    """Return how far two tables agree.

    Args:
        table: their declaration.
        a: the first, all its cells as text, empty ones as empty text.
        b: the second.
        settings: columns of swept settings, which identify rows too.
        rtol: a relative tolerance for all numbers, in place of those declared.
    """
    result = TableAgreement(table.name)
    columns = [str(name) for name in a.columns if name in b.columns]
    result.only_columns = (
        [str(name) for name in a.columns if name not in columns],
        [str(name) for name in b.columns if name not in columns],
    )
    lacking = [name for name in table.key if name not in columns]
    if lacking:
        result.problem = f"the column {lacking[0]} of its key is not in both: another format"
        return result
    keys = _identity(table, columns, settings)
    first, second = (frame[columns].assign(**{_NUMBER: _numbers(frame, keys)}) for frame in (a, b))
    first[_PLACE] = range(len(first))
    both = first.merge(
        second, on=[*keys, _NUMBER], how="outer", suffixes=("", _OTHER), indicator=_SIDE, sort=False
    ).sort_values(_PLACE, kind="stable")
    for number, side in enumerate(("left_only", "right_only")):
        lone = both[both[_SIDE] == side].head(MAX_KEPT)
        result.only_rows[number].extend(_row(row, keys) for _, row in lone.iterrows())
        result.num_only_rows[number] = int((both[_SIDE] == side).sum())
    shared = both[both[_SIDE] == "both"].reset_index(drop=True)
    result.num_rows = len(shared)
    declared = {column.name: column for column in table.columns}
    differing: list[tuple[int, str]] = []
    for name in [name for name in columns if name not in keys]:
        column = declared.get(name, Column(name, "text", "not declared"))
        agreement, far = _compare_column(column, shared, column.tolerance(rtol))
        if agreement is not None:
            result.columns.append(agreement)
            differing += [(place, name) for place in far[:MAX_KEPT]]
    for place, name in sorted(differing, key=lambda cell: cell[0])[:MAX_KEPT]:
        cells = [str(shared[column].iloc[place]) for column in (name, name + _OTHER)]
        result.cells.append(CellDifference(_row(shared.iloc[place], keys), name, *cells))
    return result


def _compare_column(
    column: Column, shared: pd.DataFrame, tolerance: float
) -> tuple[ColumnAgreement | None, list[int]]:
    """Return how far a column agrees, and the places of the rows that do not.

    None if all cells are written the same way, or what they are does not count.
    """
    first, second = shared[column.name], shared[column.name + _OTHER]
    places = [] if math.isinf(tolerance) else (first != second).to_numpy().nonzero()[0].tolist()
    if not places:
        return None, []
    distances = [_distance(column, first.iloc[place], second.iloc[place]) for place in places]
    far = [place for place, distance in zip(places, distances, strict=True) if distance > tolerance]
    return ColumnAgreement(column.name, len(far), max(distances), tolerance), far


_PLACE, _NUMBER, _SIDE, _OTHER = " place", " number", " side", " other"
"""Names that no column has: the place of a row, its number among those with its key, which tables have it;
and the end of a column of the second table."""


def _identity(table: Table, columns: Sequence[str], settings: Sequence[str]) -> list[str]:
    """Return the columns that identify a row; those of text where a table declares none."""
    names = {"run", *table.key, *settings}
    if not table.key and "run" not in columns:
        names |= {column.name for column in table.columns if column.dtype == "text"} - {*NOT_IDENTITY}
    return [name for name in columns if name in names]


def _numbers(frame: pd.DataFrame, keys: Sequence[str]) -> "pd.Series[int] | int":
    """Return the number of each row among those with its key, which a table without a full key has."""
    return frame.groupby([*keys]).cumcount() if keys else pd.Series(range(len(frame)), index=frame.index)


def _row(row: "pd.Series[Any]", keys: Sequence[str]) -> str:
    text = " ".join(f"{key}={row[key]}" for key in keys if row[key] != "")
    number = int(row[_NUMBER])
    return f"{text} (number {number + 1})" if number else text


def _distance(column: Column, x: str, y: str) -> float:
    """Return how far two cells that are not written the same way are from each other; infinite if at all.

    Numbers are relative to the larger of them, or to `RERUN_SCALE` if both are smaller.
    """
    if column.dtype == "boolean":
        return 0.0 if x.lower() == y.lower() else math.inf
    numbers = _float(x), _float(y)
    if column.dtype == "text" or None in numbers:
        return math.inf
    first, second = (value for value in numbers if value is not None)
    if first == second:
        return 0.0
    scale = max(abs(first), abs(second), RERUN_SCALE if column.dtype == "number" else 0.0)
    distance = abs(first - second) / scale
    return distance if math.isfinite(distance) else math.inf


def _float(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
