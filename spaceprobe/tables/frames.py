"""Tables as DataFrames and as CSVs: UTF-8, newlines, floats by repr, rows by run and key."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import file_digest, write_whole
from spaceprobe.reading import open_regular
from spaceprobe.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

    _ByName = Mapping[str, pd.DataFrame]
else:
    _ByName = Mapping  # settings are checked without pandas, whose import takes a fifth of a second


class Frames(_ByName):
    """The tables of a study by name, with what their columns are."""

    def __init__(self, frames: "Mapping[str, pd.DataFrame]", tables: Iterable[Table]) -> None:
        """Take the tables that are there, and the declarations of those whose columns are asked for."""
        self._frames = dict(frames)
        self.tables = {table.name: table for table in tables}

    def __getitem__(self, name: str) -> "pd.DataFrame":
        """Return a table."""
        return self._frames[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tables that are there."""
        return iter(self._frames)

    def __len__(self) -> int:
        """Return the number of tables that are there."""
        return len(self._frames)

    def settings(self, name: str) -> list[str]:
        """Return the columns of a table that hold swept settings, as `Table.settings`."""
        return self.tables[name].settings(self[name])

    def readings(self, name: str) -> list[str]:
        """Return the columns of a table that tell the ways of measuring one network apart."""
        return self.tables[name].readings(self[name])

    def with_table(self, table: Table, frame: "pd.DataFrame") -> "Frames":
        """Return these tables and one more."""
        return Frames({**self, table.name: frame}, [*self.tables.values(), table])


def read_tables(folder: str | Path) -> "dict[str, pd.DataFrame]":
    """Return the tables of a study by name, such as ``folding``.

    Args:
        folder: the study's folder, such as ``results/depth-sweep``.

    Raises:
        SpaceprobeError: it contains no table.
    """
    import pandas as pd

    paths = sorted(Path(folder).glob("*.csv"))
    if not paths:
        raise SpaceprobeError(
            f"{folder}: contains no table of a study; give a folder such as results/quickstart"
        )
    frames = {}
    for path in paths:
        with open_regular(path) as file:
            frames[path.stem] = pd.read_csv(file)
    return frames


def column_name(key: str) -> str:
    """Return the column of a setting: ``learning_rate`` of ``training.learning_rate``."""
    return key.rpartition(".")[2]


def build_frame(
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    key_columns: Sequence[str] = (),
    settings: Sequence[str] = (),
    orders: Mapping[str, Sequence[object]] | None = None,
) -> "pd.DataFrame":
    """Return rows as a frame with the table's columns, sorted by run and key.

    Args:
        table: its key and columns.
        rows: in any order; what a row lacks becomes an empty cell. A column that is there only where it is
            asked for is left out if no row has it.
        key_columns: further columns of its key, after the run.
        settings: a run's swept settings, which some tables show.
        orders: the values of columns of its key in their order, such as the runs as the sweep has them; the
            other columns are sorted by value.
    """
    import pandas as pd

    own = [
        column.name
        for column in table.columns
        if not column.is_asked or any(column.name in row for row in rows)
    ]
    names = ["run", *(name for name in key_columns if name not in table.names), *own]
    if table.settings_after is not None:
        place = names.index(table.settings_after) + 1
        names[place:place] = [name for name in settings if name not in names]
    frame = pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})
    keys = dict.fromkeys(["run", *key_columns, *table.key])
    places = {
        column: {value: place for place, value in enumerate(values)}
        for column, values in (orders or {}).items()
    }
    return frame.sort_values(
        list(keys),
        key=lambda column: column.map(places[column.name]) if column.name in places else column,
        kind="stable",
        ignore_index=True,
    )


def cell_of(setting: object) -> object:
    """Return a setting as a cell of a table: a list as text, the way that a flag takes it."""
    return ",".join(map(str, setting)) if isinstance(setting, list | tuple) else setting


def _column(values: Sequence[Any]) -> "pd.Series[Any]":
    """Return a column that keeps integers integers where cells are empty."""
    import pandas as pd

    present = [value for value in values if value is not None]
    if len(present) < len(values) and all(type(value) is int for value in present):
        return pd.Series(values, dtype="Int64")
    return pd.Series(values, dtype=None if present else object)


def write_csv(path: Path, frame: "pd.DataFrame") -> str:
    """Write UTF-8, newlines, floats by repr, and return the SHA-256; an equal file is left alone."""
    data = frame.to_csv(index=False, lineterminator="\n").encode()
    digest = hashlib.sha256(data).hexdigest()
    if file_digest(path) != digest:
        write_whole(path, data)
    return digest
