"""Puts two recordings side by side: a page, its tables, and the figures of both."""

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
from spaceprobe.report.page.table_specs import MATRICES, RECORDED_DIFFERENCES
from spaceprobe.report.recordings.figures import draw_figure, reasons_of
from spaceprobe.results.recordings import Recording, put_recordings_side_by_side, same_paths
from spaceprobe.results.results import read_csv
from spaceprobe.results.weight_results import put_weights_side_by_side
from spaceprobe.tables.frames import write_csv
from spaceprobe.tables.text import NOTHING, TextColumn, fill, text_table

OTHER_PATHS = "the two walk other paths (images, labels, paths or seed differ), so differences are of both"
UNKNOWN_PATHS = "provenance.json does not say whether the two walk the same paths"


@dataclass(frozen=True)
class RecordingComparison:
    """What was made of two recordings.

    Attributes:
        page: the page.
        table: their steps side by side.
        names: what the two are called.
        warning: what a reader should know of their paths; None for nothing.
    """

    page: Path
    table: pd.DataFrame
    names: list[str]
    warning: str | None


def make_recording_comparison(a: Recording, b: Recording, folder: Path) -> RecordingComparison:
    """Write a page that puts two recordings side by side, with its tables.

    Args:
        a: the first.
        b: the second; differences are second minus first.
        folder: where the page goes.

    Raises:
        ResultsError: it cannot be written.
    """
    frames = {RECORDED_DIFFERENCES.table: put_recordings_side_by_side(a, b)}
    specs = [RECORDED_DIFFERENCES]
    if a.weights is not None and b.weights is not None:
        last = [side.at_last_step() for side in (a.weights, b.weights)]
        frames[MATRICES.table] = put_weights_side_by_side(last[0], last[1])
        specs.append(MATRICES)
    for name, frame in frames.items():
        write_csv(folder / f"{name}.csv", frame)
    read = {name: read_csv(folder / f"{name}.csv") for name in frames}
    names = [a.name, b.name] if a.name != b.name else [str(a.folder), str(b.folder)]
    is_same = same_paths(a, b)
    warning = {True: None, False: OTHER_PATHS, None: UNKNOWN_PATHS}[is_same]
    page = folder / "compare.html"
    text = render_page(
        "compare_recordings.html",
        names=names,
        folders=[str(a.folder), str(b.folder)],
        tables=[table_rows(Numbers(None, read), spec) for spec in specs],
        has_matrices=len(specs) > 1,
        figures=list(_side_by_side(a, b, names)),
        warnings=[
            *([] if warning is None else [("both", warning)]),
            *((name, w) for name, side in zip(names, (a, b), strict=True) for w in side.warnings),
        ],
    )
    write_whole(page, text.encode())
    return RecordingComparison(page, read[RECORDED_DIFFERENCES.table], names, warning)


def recording_comparison_lines(made: RecordingComparison) -> Iterator[str]:
    """Yield what the terminal prints of a comparison."""
    table = made.table
    for letter, name in zip("AB", made.names, strict=True):
        yield from fill(f"{letter}  {name}", "   ")
    key = TextColumn("step", [f"{step:,}" for step in table["step"]])
    columns = [
        TextColumn(f"{head}, {end}", [_cell(value) for value in table[f"{name}_{letter}"]])
        for name, head in (("chi", "χ"), ("length", "length"))
        for letter, end in (("a", "A"), ("b", "B"), ("difference", "diff."))
    ]
    yield from text_table([key], columns)
    text = "means over paths; differences are B minus A, without an interval: each is one training"
    yield from fill("; ".join(filter(None, [text, made.warning])), "  ")
    yield f"compare  {made.page}"


def _cell(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:.4g}"


def _side_by_side(a: Recording, b: Recording, names: list[str]) -> Iterator[dict[str, object]]:
    """Yield each figure of both recordings, or why one of them has none; not those that neither has."""
    reasons = [reasons_of(side) for side in (a, b)]
    for name, (title, _) in reasons[0].items():
        of_both = [side[name][1] for side in reasons]
        if None not in of_both:
            continue
        sides = []
        for letter, side, of_side, reason in zip("ab", (a, b), names, of_both, strict=True):
            drawing = None
            if reason is None:
                svg = render(draw_figure(side, name), "svg")
                drawing = inline_svg(svg, f"{letter}-{name}", f"{title}, {of_side}")
            sides.append({"name": of_side, "svg": drawing, "reason": reason})
        yield {"id": name, "title": title, "sides": sides}
