"""Puts two studies side by side: a page with differences, their intervals, and the figures of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.analysis.correlation_differences import correlation_differences
from spaceprobe.analysis.differences import difference_table, unmatched
from spaceprobe.files import write_whole
from spaceprobe.report.figures.differences import differences_figure
from spaceprobe.report.figures.style import render
from spaceprobe.report.kinds import KINDS
from spaceprobe.report.numbers import FIGURES, Numbers
from spaceprobe.report.page.data_tables import table_rows
from spaceprobe.report.page.drawings import inline_svg
from spaceprobe.report.page.page import render_page
from spaceprobe.report.page.table_specs import CORRELATION_DIFFERENCES, DIFFERENCES, UNMATCHED
from spaceprobe.results.results import Results, read_csv
from spaceprobe.results.settings_differences import settings_differences
from spaceprobe.tables.frames import write_csv


@dataclass(frozen=True)
class Comparison:
    """Two studies side by side, and what was made of them.

    Attributes:
        page: the page.
        differences: differences.csv: what both measured, group by group.
        correlations: correlation_differences.csv.
        unmatched: unmatched.csv: what only one of them has.
    """

    page: Path
    differences: pd.DataFrame
    correlations: pd.DataFrame
    unmatched: pd.DataFrame


def make_comparison(a: Results, b: Results, folder: Path) -> Comparison:
    """Write a page that puts two studies side by side, with its tables and figures.

    Args:
        a: the first study.
        b: the second study; differences are second minus first.
        folder: where the page goes, figures into ``figures``.

    Raises:
        ResultsError: it cannot be written.
    """
    tables = {
        "differences": difference_table(a.frames, b.frames),
        "correlation_differences": correlation_differences(a.frames, b.frames),
        "unmatched": unmatched(a.frames, b.frames),
    }
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table)
    forest = differences_figure(tables["differences"])
    drawing = {suffix: render(forest, suffix) for suffix in ("svg", "png")}
    for suffix, data in drawing.items():
        write_whole(folder / FIGURES / f"differences.{suffix}", data)
    # As a reader of the files would see them: numbered from 0, empty cells as they are read.
    frames = {name: read_csv(folder / f"{name}.csv") for name in tables}
    numbers = Numbers(a.study, frames)
    page = folder / "compare.html"
    names = study_names(a, b)
    text = render_page(
        "compare.html",
        names=names,
        folders=[str(a.folder), str(b.folder)],
        num_runs=[
            Numbers(side.study, side.frames, elsewhere=side.folder).reading("count", "runs")
            for side in (a, b)
        ],
        settings=settings_differences(a.study_text, b.study_text),
        forest={
            "id": "differences",
            "title": "Differences",
            "svg": inline_svg(
                drawing["svg"], "differences", f"Differences. {_forest_words(names).striptags()}"
            ),
            "caption": _forest_words(names),
            "csvs": ["differences.csv"],
        },
        tables=[table_rows(numbers, spec) for spec in (DIFFERENCES, CORRELATION_DIFFERENCES, UNMATCHED)],
        figures=list(_side_by_side(a, b, names)),
        warnings=[(name, words) for name, side in zip(names, (a, b), strict=True) for words in side.warnings],
    )
    write_whole(page, text.encode())
    return Comparison(page, *tables.values())


def comparison_lines(made: Comparison) -> Iterator[str]:
    """Yield what the terminal shows of a comparison: the differences of trained networks as a whole."""
    table = made.differences
    shown = table[(table["state"] == "trained") & table["layer"].isna()]
    if shown.empty:
        yield "there is no group of networks that both studies measured"
    else:
        groups = [*shown.columns[: shown.columns.get_loc("state")]]
        varying = [name for name in groups if name == "architecture" or shown[name].nunique(dropna=False) > 1]
        lines = shown[[*varying, "quantity"]].copy()
        lines["first"] = shown["mean_a"].map("{:.4g}".format)
        lines["second"] = shown["mean_b"].map("{:.4g}".format)
        ends = zip(*(shown[name].tolist() for name in ("difference", "low", "high")), strict=True)
        lines["difference"] = [
            f"{difference:+.3g}" + (f" [{low:+.3g}, {high:+.3g}]" if low == low else "")
            for difference, low, high in ends
        ]
        lines["interval"] = shown["interval"]
        yield lines.to_string(index=False, justify="left")
        yield "means over seeds of trained networks; differences are second minus first, with 95 % intervals"
    if len(made.unmatched):
        yield f"in one study only: {len(made.unmatched)} rows of unmatched.csv"
    yield f"compare  {made.page}"


def study_names(a: Results, b: Results) -> list[str]:
    """Return what two studies are called: by their folders where their names are the same."""
    names = [a.study.name, b.study.name]
    return names if names[0] != names[1] else [str(a.folder), str(b.folder)]


def _forest_words(names: list[str]) -> Markup:
    return Markup(
        "What <code>{}</code> measured minus what <code>{}</code> measured, group by group, with 95 % t "
        "intervals of the difference of means over seeds: paired where both have the same seeds, else "
        "Welch's. An interval that spans zero does not show that there is no difference."
    ).format(names[1], names[0])


def _side_by_side(a: Results, b: Results, names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield each figure of both studies, or why one of them has none; not those that neither has."""
    for kind in KINDS:
        lacks = [kind.lacks(side) for side in (a, b)]
        if kind.name.startswith("cantor") or None not in lacks:
            continue
        sides = []
        for number, (side, name, reason) in enumerate(zip((a, b), names, lacks, strict=True)):
            drawing = None
            if reason is None:
                svg = render(kind.draw(side), "svg")
                drawing = inline_svg(svg, f"{'ab'[number]}-{kind.name}", f"{kind.title}, {name}")
            sides.append({"name": name, "svg": drawing, "reason": reason})
        yield {"id": kind.name, "title": kind.title, "sides": sides}
