"""Makes the page of a file of weights, with its figures as SVG and PNG."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup

from spaceprobe.files import remove_abandoned, write_whole
from spaceprobe.report.drawing.style import render
from spaceprobe.report.headline import HeadlineNumber, program_sentences
from spaceprobe.report.making import SUFFIXES, Report, remove_figure
from spaceprobe.report.numbers import FIGURES_FOLDER, Numbers
from spaceprobe.report.page.citations import CITATIONS
from spaceprobe.report.page.data_tables import table_rows
from spaceprobe.report.page.inline_svg import inline_svg
from spaceprobe.report.page.page import flat_facts, render_page
from spaceprobe.report.page.table_specs import FILE_LAYERS, FILE_RANKS, FILE_TAILS
from spaceprobe.report.up_to_date import note_report, sources
from spaceprobe.report.weights.figures import FIGURES, WeightFigure, figures_of
from spaceprobe.results.weight_folders import LAYERS
from spaceprobe.results.weight_results import WeightResults, load_weight_results
from spaceprobe.stages.lmd.tables import PRODUCT_KINDS, RULE_NAMES
from spaceprobe.study.layout import REPORT


def make_weight_report(folder: Path) -> Report:
    """Write the report of a file of weights, and return what was made.

    Args:
        folder: its folder of results; the page goes there, figures into ``figures``.

    Raises:
        SpaceprobeError: a table cannot be read, or the report cannot be written.
    """
    made_from = sources(folder)
    results = load_weight_results(folder)
    remove_abandoned(folder / FIGURES_FOLDER)  # what a report left that was killed
    last = results.at_last_step()
    numbers = Numbers(None, last.frames, only=last.only)
    drawings, missing = [], {}
    for name in FIGURES.keys() - figures_of(results).keys():
        remove_figure(folder, name)
    for name, entry in figures_of(results).items():
        reason = entry.lacks(results)
        if reason is not None:
            remove_figure(folder, name)
            missing[entry.title] = reason
            continue
        figure = entry.draw(results)
        files = {suffix: render(figure, suffix) for suffix in SUFFIXES}
        for suffix, data in files.items():
            write_whole(folder / FIGURES_FOLDER / f"{name}.{suffix}", data)
        of_figure = Numbers(None, results.frames) if entry.is_over_steps else numbers
        drawings.append(_figure(entry, of_figure, files["svg"]))
    page = folder / REPORT
    write_whole(page, _page(last, numbers, drawings, missing).encode())
    note_report(folder, made_from)
    return Report(page, len(drawings), missing)


def _page(
    results: WeightResults, numbers: Numbers, drawings: list[dict[str, Any]], missing: dict[str, str]
) -> str:
    specs = [spec for spec in (FILE_LAYERS, FILE_RANKS, FILE_TAILS) if results.has(spec.table)]
    layers = results.frames[LAYERS]
    return render_page(
        "weights.html",
        name=results.name,
        file=results.file,
        headline=list(_headline(results, numbers)),
        entry_spikes=list(_entry_spikes(results, numbers)),
        num_invalid=int((~layers["valid"].astype(bool)).sum()),
        how_run=list(program_sentences(results.provenance)),
        warnings=results.warnings,
        figures=drawings,
        tables=[table_rows(numbers, spec) for spec in specs],
        step=results.step,
        csvs=[f"{table.name}.csv" for table in results.tables],
        missing=missing,
        provenance=list(flat_facts(results.provenance)),
        citations=CITATIONS,
    )


def _headline(results: WeightResults, numbers: Numbers) -> Iterator[HeadlineNumber]:
    """Yield the headline numbers: matrices, their ranks by the default rules, the largest error."""
    layers = results.frames[LAYERS]
    yield HeadlineNumber(
        Markup("matrices"),
        numbers.statistic("count", LAYERS),
        Markup(),
        Markup("{} of them decomposed").format(numbers.statistic("count", LAYERS, None, {"valid": True})),
    )
    for rule in dict.fromkeys(layers.loc[layers["valid"].astype(bool), "rule"].dropna()):
        where = {"rule": rule, "valid": True}
        yield HeadlineNumber(
            Markup("rank of a matrix, {}").format(RULE_NAMES.get(str(rule), str(rule).replace("_", " "))),
            numbers.statistic("median", LAYERS, "rank", where, "g"),
            Markup("{} to {}").format(
                *(numbers.statistic(end, LAYERS, "rank", where, "g") for end in ("min", "max"))
            ),
            Markup("median, least and largest; matrices: {}").format(
                numbers.statistic("count", LAYERS, None, where)
            ),
        )
    yield from _noise_headline(results, numbers)
    if layers["reconstruction_error"].notna().any():
        yield HeadlineNumber(
            Markup("largest reconstruction error"),
            numbers.statistic("max", LAYERS, "reconstruction_error", None, ".1e"),
            Markup(),
            Markup("of W V Vᵀ by the product of the factors, over the norm of W"),
        )


def _noise_headline(results: WeightResults, numbers: Numbers) -> Iterator[HeadlineNumber]:
    """Yield the number of values above the edge of noise: of stored matrices, and of products by themselves.

    The product of two matrices of noise has few values, all far from 0: one median of both would say little.
    """
    tails = results.frames["lmd_tails"]
    kinds = [*dict.fromkeys(tails.loc[tails["num_spikes"].notna(), "kind"])]
    products = [kind for kind in kinds if kind in PRODUCT_KINDS]
    stored = [kind for kind in kinds if kind not in PRODUCT_KINDS]
    for chosen, of in ((stored, "a stored matrix" if products else "a matrix"), (products, "a product")):
        if not chosen:
            continue
        where = {"kind": chosen} if products and stored else None
        yield HeadlineNumber(
            Markup("values above the edge of noise{}").format(f", {of}" if products else ""),
            numbers.statistic("median", "lmd_tails", "num_spikes", where, "g"),
            Markup("{} to {}").format(
                *(numbers.statistic(end, "lmd_tails", "num_spikes", where, "g") for end in ("min", "max"))
            ),
            Markup("of {}, median, least and largest; noise with the variance of its entries{}").format(
                of, "" if chosen is stored else ", which are not independent, so that noise has some too"
            ),
        )


def _entry_spikes(results: WeightResults, numbers: Numbers) -> Iterator[Markup]:
    """Yield a sentence on each matrix of whose values above the edge of noise a few entries make some."""
    tails = results.frames["lmd_tails"]
    for row in tails.index[tails["num_entry_spikes"] > 0]:
        number, of, entries, line, column, size = (
            numbers.cell("lmd_tails", row, name, spec)
            for name, spec in (
                ("num_entry_spikes", "d"),
                ("num_spikes", "d"),
                ("num_large_entries", "d"),
                ("largest_row", "d"),
                ("largest_column", "d"),
                ("largest_entry", ".3g"),
            )
        )
        yield Markup(
            "<code>{}</code>: large entries ({}) make {} of its values above the edge of noise ({}). The "
            "largest, in row {} and column {}, is {} standard deviations from the mean, both "
            "without the large entries."
        ).format(numbers.text("lmd_tails", row, "name"), entries, number, of, line, column, size)


def _figure(entry: WeightFigure, numbers: Numbers, svg: bytes) -> dict[str, Any]:
    caption = entry.caption(numbers)
    label = f"{entry.title}. {caption.striptags()}"
    return {
        "id": entry.name,
        "title": entry.title,
        "svg": inline_svg(svg, entry.name, label),
        "caption": caption,
        "panels": (),
        "csvs": [numbers.csv_path(table) for table in entry.needs],
    }
