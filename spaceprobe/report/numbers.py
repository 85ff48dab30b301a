"""Numbers as pages show them: each names the cell of the CSV that it comes from, so that it can be checked.

A number is an HTML ``data`` element. Its value is the cell as it is in the CSV, its text the same number
rounded for a reader:

- ``data-table``, ``data-row``, ``data-column``: the cell in row ``data-row`` of the CSV, the first being 0;
- ``data-table``, ``data-of`` and perhaps ``data-column``, ``data-where``: the count of rows, or the sum,
  least, largest, median or number of different values of a column, over the rows where other columns have
  the values that a JSON object gives; of a list, one has to be there. The value ``"last"`` of ``epoch``
  means each run's last;
- ``data-file``, ``data-key``: a setting in study.yaml, by its dotted key;
- ``data-folder``: where the CSV lies, if that is not beside the page.

Text with digits that comes from a cell is in a ``span`` with the same three attributes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd
from markupsafe import Markup

from spaceprobe.results.groups import in_sweep_order
from spaceprobe.study.config import Study
from spaceprobe.study.grid import distinct, expand, value_of
from spaceprobe.tables.states import last_epochs
from spaceprobe.tables.text import in_words

Statistic = Literal["count", "sum", "min", "max", "median", "distinct"]

LAST = "last"
"""Of ``epoch`` in a condition: each run's last."""

FIGURES_FOLDER = "figures"
"""The folder of the figures, beside the page."""


class Numbers:
    """The numbers of a study, ready for a page.

    Attributes:
        frames: the tables that they come from.
    """

    def __init__(
        self,
        study: Study | None,
        frames: Mapping[str, pd.DataFrame],
        of_examples: Mapping[str, pd.DataFrame] | None = None,
        elsewhere: Path | None = None,
        only: Mapping[str, Any] | None = None,
    ) -> None:
        """Take tables as they are in their CSVs, rows numbered from 0.

        Args:
            study: the study; None for a file of weights, which has no settings.
            frames: its tables.
            of_examples: tables of example paths and of answers, which lie in the folder of the figures.
            elsewhere: the folder of the tables, if it is not the page's.
            only: the values that columns have in all rows of the tables, where these are not all of the CSVs.
        """
        self.frames = {**frames, **(of_examples or {})}
        self._folders = dict.fromkeys(of_examples or {}, f"{FIGURES_FOLDER}/")
        self._study = study
        self._only = dict(only or {})
        self._elsewhere = {} if elsewhere is None else {"folder": str(elsewhere)}

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table, runs.csv in the order of the sweep; None where there is none."""
        frame = self.frames.get(name)
        return in_sweep_order(frame, self._study) if name == "runs" and frame is not None else frame

    def csv_path(self, table: str) -> str:
        """Return where the CSV of a table lies, relative to the page."""
        return f"{self._folders.get(table, '')}{table}.csv"

    def cell(self, table: str, row: int, column: str, spec: str = ".3f") -> Markup:
        """Return one cell; a dash where it is empty.

        Args:
            table: the name of the table.
            row: its row, from 0.
            column: its column.
            spec: how Python formats it, as ``.3f``.
        """
        value = self.value_at(table, row, column)
        if pd.isna(value):
            return Markup("–")
        place = {"table": table, "row": row, "column": column, **self._elsewhere}
        return _data(value, _formatted(value, spec), place)

    def text(self, table: str, row: int, column: str) -> Markup:
        """Return the text of one cell, with names of settings as words; see `cell`."""
        place = {"table": table, "row": row, "column": column, **self._elsewhere}
        text = in_words(str(self.value_at(table, row, column)))
        return Markup("<span{}>{}</span>").format(_attributes(place), text)

    def value_at(self, table: str, row: int, column: str) -> Any:
        """Return one cell as it is; NaN where it is empty."""
        return self.frames[table].at[row, column]

    def interval(self, table: str, row: int, low: str, high: str, spec: str = ".3f") -> Markup:
        """Return the interval whose ends two columns hold; nothing where there is none."""
        if pd.isna(self.value_at(table, row, low)):
            return Markup()
        return Markup("[{}, {}]").format(*(self.cell(table, row, end, spec) for end in (low, high)))

    def statistic(
        self,
        of: Statistic,
        table: str,
        column: str | None = None,
        where: Mapping[str, Any] | None = None,
        spec: str = ",.0f",
    ) -> Markup:
        """Return a statistic of a column over some rows; a dash where there is none.

        Args:
            of: the statistic; ``count`` needs no column.
            table: the name of the table.
            column: its column.
            where: the values that other columns have in the rows.
            spec: how Python formats it.
        """
        where = {**self._only, **(where or {})}
        value = self.value(of, table, column, where)
        if pd.isna(value):
            return Markup("–")
        place: dict[str, Any] = {"table": table, "of": of, **self._elsewhere}
        place |= {"column": column} if column is not None else {}
        place |= {"where": json.dumps(where, sort_keys=True)} if where else {}
        return _data(value, _formatted(value, spec), place)

    def value(
        self, of: Statistic, table: str, column: str | None = None, where: Mapping[str, Any] | None = None
    ) -> float:
        """Return the value that `statistic` shows."""
        rows = rows_where(self.frames[table], where or {})
        if of == "count":
            return len(rows)
        values = rows[column].dropna()
        if of == "distinct":
            return int(values.nunique())
        return float(cast(float, getattr(values, of)()))

    def run(self, name: str) -> Markup:
        """Return the label of a run of the study and its name.

        Raises:
            ValueError: there is no study.
        """
        if self._study is None:
            raise ValueError(f"{name}: there is no study, so there are no runs")
        (label,) = [run.label for run in expand(self._study) if run.name == name]
        return Markup("<code>{}</code> (<code>{}</code>)").format(label, name)

    def setting(self, key: str) -> Markup:
        """Return a setting by its dotted key, or the values that it is swept over.

        Raises:
            ValueError: there is no study.
        """
        if self._study is None:
            raise ValueError(f"{key}: there is no study, so there are no settings")
        swept = self._study.axes.get(key)
        values = [value_of(self._study.sections, key)] if swept is None else distinct(swept)
        texts = [
            _data(
                value,
                _formatted(value, "," if isinstance(value, int) else "g"),
                {"file": "study.yaml", "key": key},
            )
            if isinstance(value, int | float) and not isinstance(value, bool)
            else Markup("<code>{}</code>").format(_plain(value))
            for value in values
        ]
        return Markup(", ").join(texts)


def rows_where(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of a table where columns have these values, whatever their order."""
    if where.get("epoch") == LAST:  # of all rows of a run, not of those that the other values leave
        frame = last_epochs(frame)
    for column, value in where.items():
        if (column, value) != ("epoch", LAST):
            frame = frame[frame[column].isin(value) if isinstance(value, list) else frame[column] == value]
    return frame


def _data(value: Any, text: str, place: Mapping[str, Any]) -> Markup:
    return Markup('<data value="{}"{}>{}</data>').format(_exact(value), _attributes(place), text)


def _attributes(place: Mapping[str, Any]) -> Markup:
    return Markup("").join(Markup(' data-{}="{}"').format(name, at) for name, at in place.items())


def _exact(value: Any) -> str:
    """Return a number as the CSV has it."""
    value = value.item() if hasattr(value, "item") else value
    return repr(value)


def _formatted(value: Any, spec: str) -> str:
    value = value.item() if hasattr(value, "item") else value
    if spec.endswith("d") and isinstance(value, float):  # of a column of integers with an empty cell
        value = int(value)
    text = format(value, spec)
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
