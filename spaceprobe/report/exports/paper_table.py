"""The tables of a study as a paper prints them: the same rows, columns and digits as in its report."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import file_digest
from spaceprobe.report.numbers import Numbers
from spaceprobe.report.page.data_tables import MAX_ROWS, table_rows
from spaceprobe.report.page.table_specs import ARCHITECTURES, CORRELATIONS
from spaceprobe.results.missing import why_missing
from spaceprobe.results.results import Results
from spaceprobe.study.layout import table_path

EMPTY = "–"
"""A cell without a value."""

RESPONSES = ["chi_folded_mean", "chi_max", "chi_row_max_median", "test_accuracy"]
"""Of the correlations that a paper prints: those of the columns of the other table."""

SPECS = (
    replace(ARCHITECTURES, spread={name: f"{name}_sd" for name in ARCHITECTURES.around}),
    replace(CORRELATIONS, where={**CORRELATIONS.where, "response": RESPONSES}),
)
"""The tables that papers print; means come with their standard deviation."""

COUNTS = ("num_seeds", "num_runs", "num_points", "min_accuracy")
"""Columns of numbers that are no result: one that is the same in all rows is said once, as of text."""


@dataclass(frozen=True)
class PaperTable:
    """A table as text.

    Attributes:
        name: of its CSV.
        title: what it shows.
        origin: the study, the CSV and its SHA-256, in one line.
        heads: of its columns.
        numeric: whether a column's cells are numbers.
        rows: the cells of each row.
        marks: the number of each row's note, from 1; 0 for none.
        notes: sentences on rows, each once.
        remarks: sentences on the whole table.
    """

    name: str
    title: str
    origin: str
    heads: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[str]]
    marks: Sequence[int]
    notes: Sequence[str]
    remarks: Sequence[str]


def paper_tables(results: Results) -> tuple[list[PaperTable], list[str]]:
    """Return the tables that papers print of a study, and why others are not there.

    Raises:
        SpaceprobeError: there is none of them, or one is longer than a paper's.
    """
    numbers = Numbers(results.study, results.frames)
    tables, missing = [], []
    for spec in SPECS:
        if reason := why_missing(results, spec.table):
            missing.append(f"{spec.table}: {reason}")
            continue
        shown = table_rows(numbers, spec)
        if not shown["num_rows"]:
            missing.append(f"{spec.table}: {spec.empty}")
            continue
        if shown["num_shown"] < shown["num_rows"]:
            raise SpaceprobeError(
                f"{results.study.name}: {spec.table}.csv has {shown['num_rows']:,} rows to show, allowed: "
                f"{MAX_ROWS} in a table of a paper; take the rows that you need from the CSV"
            )
        path = table_path(results.folder, spec.table)
        origin = f"{results.study.name}, {path.name} with the SHA-256 {file_digest(path)}"
        tables.append(_paper_table(spec.table, origin, shown))
    if not tables:
        raise SpaceprobeError(f"{results.study.name}: there is no table to export: {'; '.join(missing)}")
    return tables, missing


def _paper_table(name: str, origin: str, shown: dict[str, object]) -> PaperTable:
    """Return a table of a page as text, sentences as notes, without columns that are empty."""
    heads: list[dict[str, str]] = shown["heads"]  # type: ignore[assignment]  # as the template takes it
    cells = [[str(cell.striptags()) for cell in row] for row in shown["rows"]]  # type: ignore[attr-defined]
    words = [place for place, head in enumerate(heads) if head["kind"] == "words"]
    shared = {place: cells[0][place] for place in range(len(heads)) if _is_shared(heads[place], cells, place)}
    kept = [
        place
        for place in range(len(heads))
        if place not in (*words, *shared) and any(row[place] != EMPTY for row in cells)
    ]
    notes: dict[str, int] = {}
    marks = []
    for row in cells:
        text = "; ".join(row[place] for place in words if row[place] != EMPTY)
        marks.append(notes.setdefault(text, len(notes) + 1) if text else 0)
    if len(notes) == 1 and all(marks):  # a note on all rows is none on a row
        marks = [0] * len(cells)
    of_all = "; ".join(f"{heads[place]['text']}: {value}" for place, value in shared.items())
    remark = str(shown["remark"].striptags())  # type: ignore[attr-defined]
    return PaperTable(
        name=name,
        title=str(shown["title"]),
        origin=origin,
        heads=[heads[place]["text"] for place in kept],
        numeric=[heads[place]["kind"] == "number" for place in kept],
        rows=[[row[place] for place in kept] for row in cells],
        marks=marks,
        notes=[*notes] if any(marks) else [],
        remarks=[*filter(None, [f"In all rows {of_all}." if of_all else "", *_on_all(notes, marks), remark])],
    )


def _on_all(notes: Collection[str], marks: Sequence[int]) -> list[str]:
    """Return the note that all rows share, as a sentence."""
    return [] if any(marks) else [f"{note[0].upper()}{note[1:]}." for note in notes]


def _is_shared(head: Mapping[str, str], cells: Sequence[Sequence[str]], place: int) -> bool:
    """Return whether a column says the same in all of several rows, and is no result."""
    is_result = head["kind"] == "words" or (head["kind"] == "number" and head["column"] not in COUNTS)
    values = {row[place] for row in cells}
    return not is_result and len(cells) > 1 and len(values) == 1 and values != {EMPTY}
