"""The directive `spaceprobe-tables`: every CSV of a study with its columns, from the stages' declarations."""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from spaceprobe.stages import STAGES
from spaceprobe.study.tables import TIMINGS
from spaceprobe.tables.table import Table

RUN = ("run", "text", "the run, as its folder is called")
"""The column that the tables begin with and none declares."""

ABOUT_SEVERAL_RUNS = ("architectures", "correlations", "gap_ranks")
"""The tables that lack it."""


def tables_by_stage() -> Iterator[tuple[str, Table]]:
    """Yield each table with the name of the stage that writes it."""
    for stage in STAGES:
        for table in stage.tables:
            yield stage.name, table
    yield "every stage", TIMINGS


def columns_of(table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of each column."""
    if table.name not in ABOUT_SEVERAL_RUNS:
        yield RUN
    for column in table.columns:
        yield column.name, column.dtype, column.meaning


class TablesDirective(SphinxDirective):
    """Renders a section for each table."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [self._section(writer, table) for writer, table in tables_by_stage()]

    def _section(self, writer: str, table: Table) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(table.name)], names=[table.name])
        section += nodes.title("", "", nodes.literal("", f"{table.name}.csv"))
        facts = [f"A row is {table.meaning}."] if table.meaning else []
        facts.append(f"Written by {writer}.")
        rows = list(columns_of(table))
        if table.key:
            key = dict.fromkeys([*([RUN[0]] if rows[0] == RUN else []), *table.key])
            facts.append(f"Sorted by {', '.join(key)}.")
        if table.settings_after is not None:
            facts.append(f"Swept settings stand after {table.settings_after}.")
        section += nodes.paragraph("", " ".join(facts))
        section += grid(("column", "holds", "meaning"), rows)
        return section


def grid(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> nodes.table:
    """Return a table whose first column is code; columns that are empty in every row are left out."""
    kept = [place for place in range(len(header)) if any(row[place] for row in rows)]
    group = nodes.tgroup(cols=len(kept))
    group += [nodes.colspec(colwidth=width) for width in (20, 10, 70)[: len(kept)]]
    group += nodes.thead("", _row([nodes.Text(header[place]) for place in kept]))
    body = [_row([nodes.literal("", row[p]) if p == 0 else nodes.Text(row[p]) for p in kept]) for row in rows]
    group += nodes.tbody("", *body)
    return nodes.table("", group, classes=["columns"])


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("spaceprobe-tables", TablesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
