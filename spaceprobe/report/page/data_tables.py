"""Tables of a study in a page: rows of a CSV, each number with the cell that it comes from."""

from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.report.numbers import Numbers, rows_where
from spaceprobe.report.page.run_names import RunNames
from spaceprobe.report.page.table_specs import TableSpec
from spaceprobe.results.readings import DECLARED

WORDS = ("note", "reason", "error")
"""Columns of sentences."""

MAX_ROWS = 400
"""Chosen: of a table in a page; the CSV has all."""


LABEL = "network"
"""The head of the column of labels, which stands before that of the names of runs."""


def table_rows(numbers: Numbers, spec: TableSpec, names: RunNames | None = None) -> dict[str, Any]:
    """Return what the template of a page needs of a table: heads, rows of cells, and their numbers.

    Args:
        numbers: those of the page.
        spec: which rows and columns to show.
        names: of runs, which give the rows their order, and runs their labels; None for its own order.
    """
    frame = numbers.frames[spec.table]
    rows = rows_where(frame, spec.where)
    num_rows = len(rows)
    if spec.numbers_only:
        rows = rows.dropna(subset=[*spec.numbers_only], how="all")
    if names is not None:
        rows = names.in_sweep_order(rows)
    columns = _columns(frame, rows, spec)
    first_rows = rows.index[:MAX_ROWS]
    heads = [
        {"text": name, "kind": _kind(frame, column), "column": column} for column, name in columns.items()
    ]
    cells = [[_cell(numbers, spec, int(row), column) for column in columns] for row in first_rows]
    if names is not None and "run" in columns:
        place = [*columns].index("run")
        heads.insert(place, {"text": LABEL, "kind": "label", "column": ""})
        for row, of_row in zip(first_rows, cells, strict=True):
            run = str(frame.at[row, "run"])
            of_row[place : place + 1] = [Markup("{}").format(names.labels.get(run, "–")), names.linked(run)]
    return {
        "id": f"table-{spec.table}",
        "title": spec.title,
        "csv": numbers.csv_path(spec.table),
        "heads": heads,
        "rows": cells,
        "num_rows": len(rows),
        "num_shown": len(first_rows),
        "has_others": len(rows) < num_rows,
        "remark": spec.remark(numbers),
    }


def _columns(frame: pd.DataFrame, rows: pd.DataFrame, spec: TableSpec) -> dict[str, str]:
    """Return the columns shown: ``*`` stands for what is swept, and constant settings are left out."""
    columns: dict[str, str] = {}
    for column, name in spec.columns.items():
        if column == "*":
            columns |= {other: other.replace("_", " ") for other in _swept(frame, spec)}
        elif column in ("activation", "dataset", "method", "num_points", "at"):
            if column in rows and rows[column].nunique(dropna=False) > 1:
                columns[column] = name
        elif column in WORDS and column in rows and rows[column].isna().all():
            continue  # an empty column takes room from the numbers
        elif column in frame or f"{column}_mean" in frame:
            columns[column] = name
    if {"architecture", "model"} <= columns.keys() and (rows["architecture"] == rows["model"]).all():
        del columns["model"]  # of networks that are not of our own kinds, whose name stands in both
    return columns


def _swept(frame: pd.DataFrame, spec: TableSpec) -> list[str]:
    """Return the columns of a CSV that are there because the study sweeps them."""
    declared = DECLARED[spec.table].names if spec.table in DECLARED else ()
    return [name for name in frame.columns if name not in {"run", *spec.columns, *spec.computed, *declared}]


def _kind(frame: pd.DataFrame, column: str) -> str:
    """Return what a column's cells look like: numbers, sentences, or neither."""
    if _is_number(frame, column):
        return "number"
    return "words" if column in WORDS else ""


def _is_number(frame: pd.DataFrame, column: str) -> bool:
    name = column if column in frame else f"{column}_mean"
    return pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])


def _cell(numbers: Numbers, spec: TableSpec, row: int, column: str) -> Markup:
    frame = numbers.frames[spec.table]
    name = column if column in frame else f"{column}_mean"
    value = numbers.value_at(spec.table, row, name)
    if not _is_number(frame, column):
        return Markup("–") if pd.isna(value) else Markup("{}").format(str(value))
    default = "d" if pd.api.types.is_integer_dtype(frame[name]) else _default(frame[name])
    if default != "d" and name not in spec.formats:
        default = "g" if column in _swept(frame, spec) else ".3f" if column in spec.around else default
    form = spec.formats.get(column, default)
    parts = [numbers.cell(spec.table, row, name, form)]
    if column in spec.spread and not pd.isna(numbers.value_at(spec.table, row, spec.spread[column])):
        parts.append(Markup("± {}").format(numbers.cell(spec.table, row, spec.spread[column], form)))
    if column in spec.around:
        parts.append(numbers.interval(spec.table, row, *spec.around[column]))
    return Markup(" ").join(filter(None, parts))


def _default(values: "pd.Series[Any]") -> str:
    """Return the format of a column for which none is declared."""
    return ".0f" if (values.dropna() % 1 == 0).all() else ".3f"
