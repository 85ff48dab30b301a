"""Whether two folders of results agree, such as those of a rerun on another machine."""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.reading import read_regular
from spaceprobe.recording.folder import read_committed, read_recorded
from spaceprobe.recording.tables import STEP, recorded_tables
from spaceprobe.results.cells import TableAgreement, compare_cells
from spaceprobe.results.declared import TABLES
from spaceprobe.results.settings_differences import DATA_ROOT, SettingDifference, key_differences
from spaceprobe.results.weight_results import declared_tables
from spaceprobe.study.config import Study
from spaceprobe.study.grid import expand
from spaceprobe.study.layout import PROVENANCE, table_path
from spaceprobe.study.provenance import read_provenance
from spaceprobe.tables.frames import column_name

MAX_SHOWN = 10
"""Chosen: how many cells are shown."""

_ORIGINS = (
    ("spaceprobe", "version"),
    ("spaceprobe", "commit"),
    *(("versions", name) for name in ("python", "torch", "numpy", "scipy", "numba")),
    ("machine", "platform"),
    ("machine", "cpu"),
)
"""The facts of provenance.json that explain why last bits differ."""


@dataclass(frozen=True)
class Agreement:
    """How far two folders of results agree.

    Attributes:
        names: what they are called.
        settings: those on which numbers depend, and which differ.
        lone_tables: tables that only the first has, and only the second.
        tables: those that both have.
        origins: facts of their provenance that differ: what, first, second.
        rtol: the relative tolerance of all numbers; None for those that tables declare.
    """

    names: tuple[str, str]
    settings: Sequence[SettingDifference] = ()
    lone_tables: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    tables: Sequence[TableAgreement] = ()
    origins: Sequence[tuple[str, str, str]] = ()
    rtol: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether settings, tables, rows and cells agree."""
        is_whole = not (self.settings or any(self.lone_tables))
        return is_whole and all(table.agrees for table in self.tables)

    def lines(self) -> Iterator[str]:
        """Yield what the terminal prints: what differs, the first cells, and the answer."""
        a, b = self.names
        yield f"A  {a}\nB  {b}"
        for key, first, second in self.settings:
            yield f"setting {key}: {first} in A, {second} in B"
        for name, side in (
            (name, side) for side, names in zip("AB", self.lone_tables, strict=True) for name in names
        ):
            yield f"{name}.csv: only in {side}"
        for table in self.tables:
            yield from _table_lines(table)
        yield from self._cell_lines()
        for what, first, second in self.origins:
            yield f"{what}: {first} in A, {second} in B"
        num_rows = sum(table.num_rows for table in self.tables)
        allowed = "the tolerance of each column" if self.rtol is None else f"{self.rtol:g} of each number"
        if self.agrees:
            yield (
                f"A and B agree: {len(self.tables)} tables with {num_rows:,} rows; identities and counts are "
                f"equal, numbers within {allowed}{self._largest()}"
            )
        else:
            yield f"A and B do not agree (identities and counts exactly, numbers within {allowed})"

    def _cell_lines(self) -> Iterator[str]:
        cells = [(table.name, cell) for table in self.tables for cell in table.cells]
        if cells:
            yield "first cells that differ:"
        for name, cell in cells[:MAX_SHOWN]:
            first, second = (value or "(empty)" for value in (cell.first, cell.second))
            yield f"  {name}.csv  {cell.row}  {cell.column}: {first} in A, {second} in B"
        num_more = sum(table.num_differing for table in self.tables) - len(cells[:MAX_SHOWN])
        if num_more:
            yield f"  and {num_more:,} more"

    def _largest(self) -> str:
        """Return the column whose numbers are farthest apart."""
        columns = [
            (column.largest, table.name, column.column) for table in self.tables for column in table.columns
        ]
        if not columns:
            return "; all cells are equal"
        largest, table, column = max(columns)
        return f"; the largest relative difference is {largest:.1e} ({table}.csv, {column})"


def compare_results(a: tuple[Study, Path], b: tuple[Study, Path], rtol: float | None = None) -> Agreement:
    """Return how far the results of two studies that were started agree.

    Args:
        a: the first study and its folder of results.
        b: the second.
        rtol: a relative tolerance for all numbers, in place of those that columns declare.

    Raises:
        SpaceprobeError: a table cannot be read, or a folder has none.
    """
    tables = [_tables(folder) for _, folder in (a, b)]
    lone = [
        [name for name in TABLES if (name in one) > (name in other)] for one, other in (tables, tables[::-1])
    ]
    runs = _same_runs(a[0], b[0])
    settings = [column_name(key) for key in {**a[0].axes, **b[0].axes}]
    return Agreement(
        names=(str(a[1]), str(b[1])),
        settings=key_differences(a[0], b[0]),
        lone_tables=(lone[0], lone[1]),
        tables=[
            compare_cells(table, tables[0][name], _renamed(tables[1][name], runs), settings, rtol)
            for name, table in TABLES.items()
            if name in tables[0] and name in tables[1]
        ],
        origins=_origins(a[1], b[1]),
        rtol=rtol,
    )


def compare_weight_results(a: Path, b: Path, rtol: float | None = None) -> Agreement:
    """Return how far the results of two files of weights agree; the names of the files do not matter.

    Args:
        a: the folder of the first.
        b: the folder of the second.
        rtol: a relative tolerance for all numbers, in place of those that columns declare.

    Raises:
        SpaceprobeError: a table cannot be read.
    """
    tables = []
    for table in declared_tables(a):
        first, second = (_read_text(table_path(folder, table.name)) for folder in (a, b))
        of_one_run = second.assign(run=first["run"].iloc[0]) if len(first) else second
        tables.append(compare_cells(table, first, of_one_run, (), rtol))
    return Agreement(names=(str(a), str(b)), tables=tables, origins=_origins(a, b), rtol=rtol)


def compare_recorded_results(a: Path, b: Path, rtol: float | None = None) -> Agreement:
    """Return how far two recordings agree; the names of their folders do not matter.

    Args:
        a: the folder of the first.
        b: the folder of the second.
        rtol: a relative tolerance for all numbers, in place of those that columns declare.

    Raises:
        SpaceprobeError: a table cannot be read.
    """
    sides = []
    for folder in (a, b):
        steps = [int(step) for step in read_committed(folder)[STEP.name]]
        names = [table.name for table in recorded_tables(has_lmd=True)]
        there = [name for name in names if os.path.lexists(table_path(folder, name))]
        sides.append({name: read_recorded(folder, name, steps, as_text=True) for name in there})
    lone = [[name for name in one if name not in other] for one, other in (sides, sides[::-1])]
    tables = []
    for table in recorded_tables(has_lmd=True):
        if all(table.name in side for side in sides):
            first, second = (side[table.name].reset_index(drop=True) for side in sides)
            named = "run" in first and "run" in second and len(first) > 0
            second = second.assign(run=first["run"].iloc[0]) if named else second
            tables.append(compare_cells(table, first, second, (), rtol))
    return Agreement(
        names=(str(a), str(b)),
        lone_tables=(lone[0], lone[1]),
        tables=tables,
        origins=_origins(a, b),
        rtol=rtol,
    )


def _table_lines(table: TableAgreement) -> Iterator[str]:
    """Yield how two tables differ: their format, their rows, their columns."""
    if table.problem:
        yield f"{table.name}.csv: {table.problem}"
    sides = zip("AB", table.only_columns, table.only_rows, table.num_only_rows, strict=True)
    for side, columns, rows, num_rows in sides:
        if columns:
            plural = "s" * (len(columns) > 1)
            yield (
                f"{table.name}.csv: another format: only {side} has the column{plural} {', '.join(columns)}"
            )
        if rows:
            yield f"{table.name}.csv: {num_rows:,} row{'s' * (num_rows > 1)} only in {side}: {rows[0]}" + (
                ", ..." if num_rows > 1 else ""
            )
    for column in table.columns:
        if column.num_differing:
            count = f"{column.num_differing:,} of {table.num_rows:,} rows"
            yield (
                f"{table.name}.csv: {column.column} differs in {count}{_by(column.largest, column.tolerance)}"
            )


def _by(largest: float, tolerance: float) -> str:
    if largest == float("inf"):
        return ""
    allowed = f"{tolerance:g} is allowed" if tolerance else "it has to be equal"
    return f", relatively by up to {largest:.1e}; {allowed}"


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a folder, every cell as text."""
    names = [name for name in TABLES if os.path.lexists(table_path(folder, name))]
    if not names:
        raise SpaceprobeError(f"{folder}: contains no table of a study; `spaceprobe run` comes first")
    return {name: _read_text(table_path(folder, name)) for name in names}


def _read_text(path: Path) -> pd.DataFrame:
    try:
        data = read_regular(path)
        if not data.endswith(b"\n"):
            raise SpaceprobeError(f"{path}: is cut off; `spaceprobe run` writes it again")
        return pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SpaceprobeError(
            f"{path}: cannot be read ({reason}); `spaceprobe run` writes it again"
        ) from None


def _same_runs(a: Study, b: Study) -> Mapping[str, str]:
    """Return the names that runs of the second study have in the first, where data lie elsewhere."""
    names = {_identity(run.identity): run.name for run in expand(a)}
    return {run.name: names.get(_identity(run.identity), run.name) for run in expand(b)}


def _identity(identity: Mapping[str, object]) -> str:
    return repr(sorted((key, repr(value)) for key, value in identity.items() if key != DATA_ROOT))


def _renamed(frame: pd.DataFrame, runs: Mapping[str, str]) -> pd.DataFrame:
    return frame.assign(run=frame["run"].map(lambda name: runs.get(name, name))) if "run" in frame else frame


def _origins(a: Path, b: Path) -> list[tuple[str, str, str]]:
    facts = [read_provenance(folder / PROVENANCE)[0] for folder in (a, b)]
    pairs: list[tuple[str, Any, Any]] = [
        (" ".join(names), *(side.get(names[0], {}).get(names[1]) for side in facts)) for names in _ORIGINS
    ]
    return [(what, str(x or "unknown"), str(y or "unknown")) for what, x, y in pairs if x != y]
