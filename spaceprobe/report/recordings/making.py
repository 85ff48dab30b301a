"""Makes the page of a recording, with its figures as SVG and PNG."""

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from spaceprobe.files import remove_abandoned, write_whole
from spaceprobe.recording.tables import RECORDING
from spaceprobe.report.drawing.style import render
from spaceprobe.report.headline import HeadlineNumber, program_sentences
from spaceprobe.report.making import SUFFIXES, Report, remove_figure
from spaceprobe.report.numbers import FIGURES_FOLDER, Numbers
from spaceprobe.report.page.citations import CITATIONS
from spaceprobe.report.page.data_tables import table_rows
from spaceprobe.report.page.inline_svg import inline_svg
from spaceprobe.report.page.page import flat_facts, render_page
from spaceprobe.report.page.table_specs import FILE_LAYERS, FILE_RANKS, FILE_TAILS, RECORDED_STEPS
from spaceprobe.report.recordings.figures import FIGURES, draw_figure, reasons_of
from spaceprobe.report.weights.figures import FIGURES as OF_WEIGHTS
from spaceprobe.results.recordings import Recording
from spaceprobe.stages.fold.model_paths import MODEL_PATHS
from spaceprobe.study.layout import REPORT

TABLES: tuple[str, ...] = (RECORDING.name, MODEL_PATHS.name)
"""Those that figures of paths are drawn from."""


def make_recording_report(recording: Recording) -> Report:
    """Write the report of a recording, and return what was made.

    Args:
        recording: its tables; the page goes into their folder, figures into ``figures``.

    Raises:
        SpaceprobeError: the report cannot be written.
    """
    folder = recording.folder
    remove_abandoned(folder / FIGURES_FOLDER)  # what a report left that was killed
    numbers = Numbers(None, recording.frames)
    drawings, missing = [], {}
    for name, (title, reason) in reasons_of(recording).items():
        if reason is not None:
            remove_figure(folder, name)
            missing[title] = reason
            continue
        figure = draw_figure(recording, name)
        files = {suffix: render(figure, suffix) for suffix in SUFFIXES}
        for suffix, data in files.items():
            write_whole(folder / FIGURES_FOLDER / f"{name}.{suffix}", data)
        drawings.append(_drawing(recording, numbers, name, title, files["svg"]))
    page = folder / REPORT
    write_whole(page, _page(recording, numbers, drawings, missing).encode())
    return Report(page, len(drawings), missing)


def _page(
    recording: Recording, numbers: Numbers, drawings: list[dict[str, Any]], missing: dict[str, str]
) -> str:
    tables = [table_rows(numbers, RECORDED_STEPS)]
    weights, last = recording.weights, None
    if weights is not None:
        last = weights.at_last_step()
        at_last = Numbers(None, last.frames, only=last.only)
        specs = (FILE_LAYERS, FILE_RANKS, FILE_TAILS)
        tables += [table_rows(at_last, spec) for spec in specs if last.has(spec.table)]
    return render_page(
        "recording.html",
        name=recording.name,
        facts=recording.facts,
        num_steps=numbers.statistic("count", RECORDING.name),
        num_paths=numbers.statistic("max", RECORDING.name, "num_paths"),
        headline=list(_headline(recording, numbers)),
        reasons=list(_reasons(recording, numbers)),
        has_weights=last is not None,
        how_run=list(program_sentences(recording.provenance)),
        warnings=recording.warnings,
        figures=drawings,
        tables=tables,
        csvs=[f"{table.name}.csv" for table in recording.tables],
        missing=missing,
        provenance=list(flat_facts(recording.provenance)),
        citations=CITATIONS,
    )


def _headline(recording: Recording, numbers: Numbers) -> Iterator[HeadlineNumber]:
    """Yield the headline numbers: folding at the end and at the start, flips, and what it took."""
    rows = recording.frames[RECORDING.name]
    walked = rows.index[rows["num_paths"] > 0]
    if len(walked):
        first, last = int(walked[0]), int(walked[-1])
        at = [numbers.cell(RECORDING.name, row, "step", ",d") for row in (last, first)]
        for column, name, spec in (("chi", "mean χ", ".3f"), ("length", "mean length of a path", ".1f")):
            yield HeadlineNumber(
                Markup("{} at the last step").format(name),
                numbers.cell(RECORDING.name, last, column, spec),
                Markup(),
                Markup("at step {}; {} at step {}").format(
                    at[0], numbers.cell(RECORDING.name, first, column, spec), at[1]
                ),
            )
    yield HeadlineNumber(
        Markup("seconds of all paths"),
        numbers.statistic("sum", RECORDING.name, "fold_s", None, ",.1f"),
        Markup(),
        Markup("median of a step: {}").format(
            numbers.statistic("median", RECORDING.name, "fold_s", None, ",.2f")
        ),
    )
    if recording.has_lmd:
        yield HeadlineNumber(
            Markup("seconds of all decompositions"),
            numbers.statistic("sum", RECORDING.name, "lmd_s", None, ",.1f"),
            Markup(),
            Markup("median of a step: {}").format(
                numbers.statistic("median", RECORDING.name, "lmd_s", None, ",.2f")
            ),
        )


def _reasons(recording: Recording, numbers: Numbers) -> Iterator[Markup]:
    """Yield a sentence on each step at which no path was walked."""
    rows = recording.frames[RECORDING.name]
    for row in rows.index[rows["reason"].notna()]:
        yield Markup("Step {}: no path was walked: <samp>{}</samp>").format(
            numbers.cell(RECORDING.name, int(row), "step", ",d"), rows.at[row, "reason"]
        )


def _drawing(recording: Recording, numbers: Numbers, name: str, title: str, svg: bytes) -> dict[str, Any]:
    """Return what the template needs of a figure."""
    weights = recording.weights
    if name in FIGURES:
        caption, tables = FIGURES[name].caption(numbers), TABLES
    elif weights is None:
        raise ValueError(f"{name}: the recording has no decompositions")
    else:
        entry, last = OF_WEIGHTS[name], weights.at_last_step()
        of_figure = numbers if entry.is_over_steps else Numbers(None, last.frames, only=last.only)
        caption, tables = entry.caption(of_figure), entry.needs
    return {
        "id": name,
        "title": title,
        "svg": inline_svg(svg, name, f"{title}. {caption.striptags()}"),
        "caption": caption,
        "panels": (),
        "csvs": [numbers.csv_path(table) for table in tables],
    }
