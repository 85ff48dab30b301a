"""Puts a report's page together."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from spaceprobe.report.entry import SECTIONS, FigureEntry
from spaceprobe.report.figures import FIGURES
from spaceprobe.report.headline import (
    failures,
    headline_numbers,
    missing_sentences,
    question_sentences,
    run_sentences,
)
from spaceprobe.report.numbers import Numbers
from spaceprobe.report.page.answers import answer_blocks
from spaceprobe.report.page.citations import CITATIONS
from spaceprobe.report.page.data_tables import table_rows
from spaceprobe.report.page.inline_svg import DARK_LINES, inline_svg, line_variable
from spaceprobe.report.page.pair_panels import pair_panels
from spaceprobe.report.page.run_names import RunNames, run_names
from spaceprobe.report.page.table_specs import ARCHITECTURES, CORRELATIONS, LAYERS, RUNS
from spaceprobe.results.results import Results

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '{}'"
"""Only our own script runs in a page, whatever gets into it, and nothing is fetched."""

PAIRS = "class-pairs"
"""The figure whose cells lead to the numbers of a class pair."""

TABLES = {"folding": (ARCHITECTURES, CORRELATIONS), "matrices": (LAYERS,), "training": (RUNS,)}
"""The tables that stand at the end of a section."""


def study_page(
    results: Results, numbers: Numbers, drawings: Mapping[str, bytes], missing: Mapping[str, str]
) -> str:
    """Return the page of a study.

    Args:
        results: the study's results.
        numbers: its numbers, including those of the tables beside the figures.
        drawings: the figures as SVG, by name.
        missing: why the other figures are not there, by name.
    """
    names = run_names(results)
    panels = pair_panels(numbers, results, names.labels)
    sections = [
        _section(name, title, results, numbers, drawings, missing, names, panels)
        for name, title in SECTIONS.items()
    ]
    sections.sort(key=lambda each: not (each["figures"] or each["tables"]))  # what is there goes first
    return render_page(
        "study.html",
        name=results.study.name,
        tags=results.study.tags,
        note=results.study.note,
        asked=list(question_sentences(results, numbers)),
        headline=list(headline_numbers(results, numbers)),
        absent=list(missing_sentences(results, numbers)),
        how_run=list(run_sentences(results, numbers)),
        answers=answer_blocks(numbers, drawings.keys()),
        failures=[{**failure, "name": names.linked(failure["run"])} for failure in failures(results)],
        has_folding="fold" in results.study.stages,
        citations=CITATIONS,
        warnings=results.warnings,
        sections=sections,
        provenance=list(flat_facts(results.provenance)),
        study_text=results.study_text,
    )


def render_page(template: str, **values: Any) -> str:
    """Return a page from a template; what is not `Markup` is escaped."""
    style, script = _asset("page.css"), _asset("page.js")
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            style=Markup(style),  # noqa: S704  # our own, as the script is
            script=Markup(script),  # noqa: S704  # see above
            dark_lines={line_variable(color): dark for color, dark in DARK_LINES.items()},
            policy=POLICY.format(_source_hash(script)),
        )
    )


def _section(
    name: str,
    title: str,
    results: Results,
    numbers: Numbers,
    drawings: Mapping[str, bytes],
    missing: Mapping[str, str],
    names: RunNames,
    panels: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what the template needs of a section: its figures, its tables, and what is missing."""
    specs = [spec for spec in TABLES.get(name, ()) if results.has(spec.table)]
    tables = [(spec, table_rows(numbers, spec, names)) for spec in specs]
    return {
        "id": f"section-{name}",  # since a figure may have the name of its section
        "title": title,
        "figures": [
            _figure(entry, numbers, drawings[entry.name], panels if entry.name == PAIRS else ())
            for entry in _of(name)
            if entry.name in drawings
        ],
        "tables": [table for _, table in tables if table["rows"]],
        "missing": [
            *((entry.title, missing[entry.name]) for entry in _of(name) if entry.name in missing),
            *((spec.title, spec.empty) for spec, table in tables if not table["rows"]),
        ],
    }


def _of(section: str) -> list[FigureEntry]:
    return [entry for entry in FIGURES.values() if entry.section == section]


def _figure(
    entry: FigureEntry, numbers: Numbers, svg: bytes, panels: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    caption = entry.caption_of(numbers)
    label = f"{entry.title}. {caption.striptags()}"
    tables = sorted(
        entry.sources(numbers), key=lambda name: name == "runs"
    )  # the others say more of a figure
    return {
        "id": entry.name,
        "title": entry.title,
        "svg": inline_svg(svg, entry.name, label, {panel["id"] for panel in panels}),
        "panels": [{**panel, "id": f"{entry.name}-{panel['id']}"} for panel in panels],
        "caption": caption,
        "csvs": [numbers.csv_path(table) for table in tables],
    }


def flat_facts(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the facts of a provenance.json as pairs of texts, those inside of others with both names."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += flat_facts(value, f"{prefix}{name} · ")
        elif isinstance(value, list):
            rows.append((f"{prefix}{name}", " ".join(map(str, value)) or "none"))
        else:
            rows.append((f"{prefix}{name}", "unknown" if value is None else str(value)))
    return rows


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("spaceprobe.report.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    return files("spaceprobe.report.page").joinpath("templates", name).read_text(encoding="utf-8")


def _source_hash(script: str) -> str:
    """Return the name of a script in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
