"""Puts the matrices of two files of weights side by side: a page, its table, and the figures of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spaceprobe.files import write_whole
from spaceprobe.report.drawing.style import render
from spaceprobe.report.numbers import Numbers
from spaceprobe.report.page.data_tables import table_rows
from spaceprobe.report.page.inline_svg import inline_svg
from spaceprobe.report.page.page import render_page
from spaceprobe.report.page.table_specs import MATRICES
from spaceprobe.report.weights.figures import FIGURES
from spaceprobe.results.results import read_csv
from spaceprobe.results.weight_folders import LAYERS
from spaceprobe.results.weight_results import WeightResults, put_weights_side_by_side
from spaceprobe.stages.summary_text import Notes
from spaceprobe.tables.frames import write_csv
from spaceprobe.tables.text import NOTHING, TextColumn, fill, text_table
from spaceprobe.weights.quoting import quote_if_needed

TABLE = MATRICES.table


@dataclass(frozen=True)
class WeightComparison:
    """What was made of two files of weights.

    Attributes:
        page: the page.
        table: their matrices side by side.
        names: what the two are called.
        options: with which options of the call each was made; empty for none.
    """

    page: Path
    table: pd.DataFrame
    names: list[str]
    options: list[str]


def make_weight_comparison(a: WeightResults, b: WeightResults, folder: Path) -> WeightComparison:
    """Write a page that puts two files of weights side by side, with its table.

    Args:
        a: the first file.
        b: the second file; differences are second minus first.
        folder: where the page goes.

    Raises:
        ResultsError: it cannot be written.
    """
    ends = a.at_last_step(), b.at_last_step()
    write_csv(folder / f"{TABLE}.csv", put_weights_side_by_side(*ends))
    table = read_csv(folder / f"{TABLE}.csv")
    names = [a.name, b.name] if a.name != b.name else [str(a.folder), str(b.folder)]
    options = [side.options for side in ends]
    page = folder / "compare.html"
    text = render_page(
        "compare_weights.html",
        names=names,
        folders=[str(a.folder), str(b.folder)],
        files=[a.file, b.file],
        options=options,
        num_matrices=[
            Numbers(None, side.frames, elsewhere=side.folder, only=side.only).statistic("count", LAYERS)
            for side in ends
        ],
        matrices=table_rows(Numbers(None, {TABLE: table}), MATRICES),
        figures=list(_side_by_side(a, b, names)),
        warnings=[(name, w) for name, side in zip(names, (a, b), strict=True) for w in side.warnings],
    )
    write_whole(page, text.encode())
    return WeightComparison(page, table, names, options)


def weight_comparison_lines(made: WeightComparison) -> Iterator[str]:
    """Yield what the terminal prints of a comparison."""
    table, notes = made.table, Notes()
    marks = ["" if pd.isna(note) else notes.mark(note) for note in table["note"]]
    names = [*table["name"].astype(str).map(quote_if_needed)]
    columns = [
        TextColumn(f"{head}, {end}", [_cell(value) for value in table[f"{name}_{letter}"]])
        for name, head in (("rank", "rank"), ("spectral_norm", "σ₁"))
        for letter, end in (("a", "A"), ("b", "B"), ("difference", "diff."))
    ]
    columns.append(TextColumn("note", marks, is_number=False))
    for letter, name, options in zip("AB", made.names, made.options, strict=True):
        yield from fill(f"{letter}  {name}{f' ({options})' if options else ''}", "   ")
    yield from text_table([TextColumn("matrix", names, is_number=False)], columns)
    yield from notes.lines()
    yield from fill("differences are B minus A; without an interval: each file is one network", "  ")
    yield f"compare  {made.page}"


def _cell(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:.4g}"


def _side_by_side(a: WeightResults, b: WeightResults, names: list[str]) -> Iterator[dict[str, object]]:
    """Yield each figure of both files, or why one of them has none; not those that neither has."""
    for entry in FIGURES.values():
        reasons = [entry.lacks(side) for side in (a, b)]
        if None not in reasons:
            continue
        sides = []
        for letter, side, name, reason in zip("ab", (a, b), names, reasons, strict=True):
            drawing = None
            if reason is None:
                svg = render(entry.draw(side), "svg")
                drawing = inline_svg(svg, f"{letter}-{entry.name}", f"{entry.title}, {name}")
            sides.append({"name": name, "svg": drawing, "reason": reason})
        yield {"id": entry.name, "title": entry.title, "sides": sides}
