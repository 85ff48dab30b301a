"""The answers of a study in a page: sentences and a table, each number with its cell."""

from collections.abc import Collection, Sequence
from itertools import compress
from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.report.answers import ANSWERS
from spaceprobe.report.answers.entry import SETTINGS, AnswerEntry, Shown
from spaceprobe.report.numbers import Numbers
from spaceprobe.results.answers.networks import NOTE
from spaceprobe.stages.train.tables import RUNS

EMPTY = Markup("–")
"""A cell without a number; a column of nothing else is left out."""


def answer_blocks(numbers: Numbers, drawn: Collection[str]) -> list[dict[str, Any]]:
    """Return what the template needs of the answers whose tables are there.

    Args:
        numbers: those of the study, with the tables of its answers.
        drawn: the names of the figures on the page.
    """
    return [_answer(entry, numbers, drawn) for entry in ANSWERS.values() if entry.table in numbers.frames]


def _answer(entry: AnswerEntry, numbers: Numbers, drawn: Collection[str]) -> dict[str, Any]:
    frame = numbers.frames[entry.table]
    named = _named(entry, frame, numbers.frames["runs"])
    once = [shown for shown in entry.shown if shown.once]
    rest = [shown for shown in entry.shown if not shown.once]
    places = _places(entry, frame)
    note = frame[NOTE].iloc[0] if NOTE in frame else ""
    heads = [
        *({"text": name.replace("_", " "), "kind": ""} for name in named),
        *({"text": shown.head, "kind": "number"} for shown in once),
        *(
            {"text": _head(entry, numbers, row, shown, len(rest)), "kind": "number"}
            for row in places
            for shown in rest
        ),
    ]
    lines = [_cells(entry, numbers, line, named, places) for line in _lines(entry, frame, named)]
    is_shown = [any(line[place] != EMPTY for line in lines) for place in range(len(heads))]
    return {
        "id": f"answer-{entry.name}",
        "question": entry.question,
        "says": entry.says(numbers, entry.table),
        "heads": [*compress(heads, is_shown)],
        "lines": [[*compress(line, is_shown)] for line in lines],
        "reading": entry.reading,
        "note": numbers.text(entry.table, 0, NOTE) if note else "",
        "csv": numbers.csv_path(entry.table),
        "sources": [numbers.csv_path(table) for table in entry.needs],
        "figures": [figure for figure in entry.figures if figure in drawn],
        "has_extremes": any(shown.extremes for shown in entry.shown),
    }


def _cells(
    entry: AnswerEntry,
    numbers: Numbers,
    line: pd.DataFrame,
    named: Sequence[str],
    places: Sequence[int | None],
) -> list[Markup]:
    """Return the cells of a line: what names it, and its numbers."""
    first = int(line.index[0])
    across = _rows_across(entry, numbers.frames[entry.table], line, places)
    return [
        *(_name(numbers, entry.table, first, column) for column in named),
        *(_number(numbers, entry.table, first, shown) for shown in entry.shown if shown.once),
        *(
            _number(numbers, entry.table, row, shown)
            for row in across
            for shown in entry.shown
            if not shown.once
        ),
    ]


def _named(entry: AnswerEntry, frame: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Return the columns that name a line, those that vary; the last one where none does."""
    settings = {"architecture", "activation", "dataset", *RUNS.settings(runs)}
    columns: list[str] = []
    for name in entry.lines:
        others = [column for column in frame.columns if column in settings and column not in entry.lines]
        columns += [column for column in others if column != entry.across] if name == SETTINGS else [name]
    varying = [name for name in columns if frame[name].nunique(dropna=False) > 1]
    return varying or columns[-1:]


def _lines(entry: AnswerEntry, frame: pd.DataFrame, named: Sequence[str]) -> list[pd.DataFrame]:
    """Return the rows of each line, in the order of the table."""
    if entry.across is None:
        return [frame.loc[[row]] for row in frame.index]
    return [line for _, line in frame.groupby([*named], dropna=False, sort=False)]


def _places(entry: AnswerEntry, frame: pd.DataFrame) -> list[int | None]:
    """Return the first row with each value of what stands side by side; None where nothing does."""
    if entry.across is None:
        return [None]
    values = frame[entry.across].drop_duplicates()
    if pd.api.types.is_numeric_dtype(values):
        values = values.sort_values()
    return [int(row) for row in values.index]


def _rows_across(
    entry: AnswerEntry, frame: pd.DataFrame, line: pd.DataFrame, places: Sequence[int | None]
) -> list[int | None]:
    """Return the row of a line for each of these values; None where it has none."""
    if entry.across is None:
        return [int(line.index[0])]
    rows = {value: int(str(row)) for row, value in line[entry.across].items()}
    return [rows.get(frame.at[place, entry.across]) for place in places]


def _head(entry: AnswerEntry, numbers: Numbers, row: int | None, shown: Shown, num_shown: int) -> Markup:
    """Return the head of a column: the value that stands side by side with others, and what is shown."""
    if row is None or entry.across is None:
        return Markup("{}").format(shown.head)
    value = _name(numbers, entry.table, row, entry.across)
    if pd.api.types.is_numeric_dtype(numbers.frames[entry.table][entry.across]):
        value = Markup("{} {}").format(entry.across.replace("_", " "), value)
    return Markup("{}: {}").format(value, shown.head) if num_shown > 1 else value


def _name(numbers: Numbers, table: str, row: int, column: str) -> Markup:
    """Return a cell that names something: a number in its shortest form, or text."""
    if pd.isna(numbers.value_at(table, row, column)):
        return EMPTY
    if pd.api.types.is_numeric_dtype(numbers.frames[table][column]):
        return numbers.cell(table, row, column, ",d" if column == "epoch" else "g")
    return numbers.text(table, row, column)


def _number(numbers: Numbers, table: str, row: int | None, shown: Shown) -> Markup:
    """Return a number with its interval or its extremes."""
    if row is None or pd.isna(numbers.value_at(table, row, shown.column)):
        return EMPTY
    cell = numbers.cell(table, row, shown.column, shown.spec)
    if shown.interval is not None:
        interval = numbers.interval(table, row, *shown.interval, shown.spec)
        return _with(cell, interval) if interval else cell
    if shown.extremes is not None:
        least, largest = (numbers.cell(table, row, end, shown.spec) for end in shown.extremes)
        return _with(cell, Markup("({} to {})").format(least, largest))
    return cell


def _with(number: Markup, around: Markup) -> Markup:
    """Return a number with what stands below it."""
    return Markup('{} <span class="interval">{}</span>').format(number, around)
