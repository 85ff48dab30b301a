"""Puts two studies side by side: a page with differences, their intervals, and the figures of both."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.files import write_whole
from spaceprobe.report.drawing.style import render
from spaceprobe.report.figures import FIGURES
from spaceprobe.report.figures.differences import differences_figure
from spaceprobe.report.numbers import FIGURES_FOLDER, Numbers
from spaceprobe.report.page.data_tables import table_rows
from spaceprobe.report.page.inline_svg import inline_svg
from spaceprobe.report.page.page import render_page
from spaceprobe.report.page.table_specs import CORRELATION_DIFFERENCES, DIFFERENCES, UNMATCHED
from spaceprobe.results.groups import value_label
from spaceprobe.results.results import Results, read_csv
from spaceprobe.results.settings_differences import SettingDifference, settings_differences
from spaceprobe.results.side_by_side import SideBySide, put_side_by_side, varying_columns
from spaceprobe.stages.summary_text import Notes, key_columns
from spaceprobe.tables.frames import write_csv
from spaceprobe.tables.states import TRAINED
from spaceprobe.tables.text import TextColumn, count, fill, text_table


@dataclass(frozen=True)
class ComparisonReport:
    """What was made of two studies.

    Attributes:
        page: the page.
        content: the tables of the two studies side by side.
        names: what the two studies are called.
        settings: those in which they differ.
    """

    page: Path
    content: SideBySide
    names: Sequence[str]
    settings: Sequence[SettingDifference]


def make_comparison(a: Results, b: Results, folder: Path) -> ComparisonReport:
    """Write a page that puts two studies side by side, with its tables and figures.

    Args:
        a: the first study.
        b: the second study; differences are B minus A.
        folder: where the page goes, figures into ``figures``.

    Raises:
        ResultsError: it cannot be written.
    """
    content = put_side_by_side(a, b)
    settings = settings_differences(a.study, b.study)
    write_csv(folder / "settings.csv", pd.DataFrame(settings, columns=SettingDifference._fields))
    for name, table in content.tables.items():
        write_csv(folder / f"{name}.csv", table)
    differences = content.tables["differences"]
    forest = differences_figure(differences, content.group_columns, content.reading_columns)
    drawing = {suffix: render(forest, suffix) for suffix in ("svg", "png")}
    for suffix, data in drawing.items():
        write_whole(folder / FIGURES_FOLDER / f"differences.{suffix}", data)
    # As a reader of the files sees them: numbered from 0, empty cells as they are read.
    frames = {name: read_csv(folder / f"{name}.csv") for name in content.tables}
    numbers = Numbers(a.study, frames)
    page = folder / "compare.html"
    names = study_names(a, b)
    caption = _caption(names)
    text = render_page(
        "compare.html",
        names=names,
        folders=[str(a.folder), str(b.folder)],
        num_runs=[
            Numbers(side.study, side.frames, elsewhere=side.folder).statistic("count", "runs")
            for side in (a, b)
        ],
        settings=settings,
        forest={
            "id": "differences",
            "title": "Differences",
            "svg": inline_svg(drawing["svg"], "differences", f"Differences. {caption.striptags()}"),
            "caption": caption,
            "panels": (),
            "csvs": ["differences.csv"],
        },
        tables=[table_rows(numbers, spec) for spec in (DIFFERENCES, CORRELATION_DIFFERENCES, UNMATCHED)],
        figures=list(_side_by_side(a, b, names)),
        warnings=[
            (name, warning) for name, side in zip(names, (a, b), strict=True) for warning in side.warnings
        ],
    )
    write_whole(page, text.encode())
    return ComparisonReport(page, content, names, settings)


def _of_all(rows: pd.DataFrame, group_columns: Sequence[str]) -> list[str]:
    """Return the swept values that all rows share, as labels: columns that are not shown."""
    names = [name for name in group_columns if name not in ("architecture", "activation", "dataset")]
    shared = [name for name in names if rows[name].nunique() == 1 and rows[name].notna().all()]
    return [value_label(name, rows[name].iloc[0]) for name in shared]


def comparison_lines(made: ComparisonReport) -> Iterator[str]:
    """Yield what the terminal prints of a comparison: trained networks as a whole, and the settings."""
    for letter, name in zip("AB", made.names, strict=True):
        yield from fill(f"{letter}  {name}", "   ")
    table = made.content.tables["differences"]
    trained = table[(table["state"] == TRAINED) & table["layer"].isna()]
    if trained.empty:
        yield "there is no group of networks that both studies measured"
    else:
        names = [*varying_columns(trained, made.content.group_columns), "quantity"]
        yield from fill(", ".join(["trained networks", *_of_all(trained, made.content.group_columns)]))
        notes = Notes()
        marks = [notes.marks(_measured_otherwise(str(note))) for note in trained["note"]]
        columns = [*_comparison_columns(trained)]
        columns += [TextColumn("note", marks, is_number=False)] if any(marks) else []
        yield from text_table(key_columns(trained, names), columns)
        yield from notes.lines()
        has_interval = trained["low"].notna().any()
        yield from fill(
            "A and B: means over the seeds given; difference: B minus A, "
            + (f"with its 95 % interval; {_SCALE}" if has_interval else "without an interval")
            + "; the column note of differences.csv says more"
        )
    num_unmatched = len(made.content.tables["unmatched"])
    if num_unmatched:
        yield f"in one study only: {count(num_unmatched, 'row')} of unmatched.csv"
    if made.settings:
        yield "settings that differ (A | B):"
        for key, first, second in made.settings:
            yield from fill(f"  {key}: {first} | {second}", "    ")
    else:
        yield "all settings are equal"
    yield f"compare  {made.page}"


_SCALE = (
    "that of a quantity with two bounds, such as accuracy, χ and shares of paths, is computed on the scale "
    "of the logit between the bounds of the difference and turned back"
)


def _measured_otherwise(note: str) -> list[str]:
    """Return what a row's note says of sizes that differ: class pairs and images, which no interval covers.

    >>> _measured_otherwise("num_class_pairs 100 in a but 2 in b; epochs 2 in a but 1 in b; 2 seeds in a")
    ['class pairs: 100 in A, 2 in B']
    """
    found = (re.fullmatch(r"num_(\w+) (.+) in a but (.+) in b", part) for part in note.split("; "))
    return [f"{m[1].replace('_', ' ')}: {m[2]} in A, {m[3]} in B" for m in found if m]


def _comparison_columns(trained: pd.DataFrame) -> Iterator[TextColumn]:
    """Yield the columns of the terminal's table: seeds, both means, and their difference."""
    seeds = zip(trained["num_pairs"], trained["num_seeds_a"], trained["num_seeds_b"], strict=True)
    yield TextColumn(
        "seeds",
        [f"{pairs} shared" if pairs else f"{first} and {second}" for pairs, first, second in seeds],
        is_number=False,
    )
    yield TextColumn("A", [f"{mean:.4g}" for mean in trained["mean_a"]])
    yield TextColumn("B", [f"{mean:.4g}" for mean in trained["mean_b"]])
    yield TextColumn("difference", [f"{difference:+.3g}" for difference in trained["difference"]])
    intervals = zip(trained["low"], trained["high"], strict=True)
    yield TextColumn(
        "95 % interval", [f"[{low:+.3g}, {high:+.3g}]" if low == low else "-" for low, high in intervals]
    )
    kinds = trained["interval"].fillna("-")
    yield TextColumn("interval of", [*kinds.where(kinds != "", "-")], is_number=False)


def study_names(a: Results, b: Results) -> list[str]:
    """Return what two studies are called: by their folders where their names are the same."""
    names = [a.study.name, b.study.name]
    return names if names[0] != names[1] else [str(a.folder), str(b.folder)]


def _caption(names: list[str]) -> Markup:
    return Markup(
        "What <code>{}</code> measured minus what <code>{}</code> measured, group by group, with 95 % t "
        "intervals of the difference of means over seeds: paired, and over the shared seeds only, where both "
        "have seeds in common, else Welch's; {}. An interval that spans zero does not show "
        "that the two are equal."
    ).format(names[1], names[0], _SCALE)


def _side_by_side(a: Results, b: Results, names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield each figure of both studies, or why one of them has none; not those that neither has."""
    for entry in FIGURES.values():
        reasons = [entry.lacks(side) for side in (a, b)]
        if entry.name.startswith("cantor") or None not in reasons:
            continue
        sides = []
        for number, (side, name, reason) in enumerate(zip((a, b), names, reasons, strict=True)):
            drawing = None
            if reason is None:
                svg = render(entry.draw(side), "svg")
                drawing = inline_svg(svg, f"{'ab'[number]}-{entry.name}", f"{entry.title}, {name}")
            sides.append({"name": name, "svg": drawing, "reason": reason})
        yield {"id": entry.name, "title": entry.title, "sides": sides}
