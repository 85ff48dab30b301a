"""The tables of the fold stage, from the counts of its parts: those of each source of endpoints."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from spaceprobe.analysis.measures import measure_counts, measures_of
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.entry import EndpointsEntry
from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.settings import folding_of, num_classes_of
from spaceprobe.stages.fold.stored_counts import FOLDINGS, StoredCounts
from spaceprobe.stages.stage import Part, PartContent, Rows, Sections
from spaceprobe.stages.train.tables import EPOCH
from spaceprobe.tables.table import Column, Table

if TYPE_CHECKING:
    import numpy as np

FOLDED_BY = Column(
    "measure", "text", "chi: folding of the whole path; peak: largest folding of its prefixes from the start"
)
METHOD = Column(
    "method",
    "text",
    "how paths were walked: exact, layerwise, jvp, kernel, sampled or adaptive",
    is_setting=True,
)
NUM_POINTS = Column(
    "num_points",
    "integer",
    "points of a sampled path, or that an adaptive one starts with; empty for other methods",
    is_setting=True,
)
READING = (METHOD, NUM_POINTS)

CLASS_PAIRS = "class-pairs"
"""The source whose tables have the plain names."""


class SourceTables(NamedTuple):
    """The tables of one source of endpoints.

    Attributes:
        folding: the measures of each direction of each set of paths.
        checks: what was walked of each set, and what the region check said.
        histogram: how many paths of a network fold how far.
        paths: the sample of single paths; only where ``folding.detail`` asks for it.
    """

    folding: Table
    checks: Table
    histogram: Table
    paths: Table


def tables_of(source: EndpointsEntry) -> SourceTables:
    """Return the tables of a source of endpoints; class pairs have the plain names."""
    end = "" if source.name == CLASS_PAIRS else f"_{source.name.replace('-', '_')}"
    key = ("epoch", *(column.name for column in source.key_columns))
    reading = tuple(column.name for column in READING)
    return SourceTables(
        folding=Table(
            f"folding{end}",
            key=(*key, "measure", *reading),
            columns=(
                *(EPOCH, *source.key_columns, FOLDED_BY, *READING),
                *(measure.column for measure in measures_of(is_grid=source.layout == "grid")),
            ),
            meaning=f"the folding of paths {source.summary}, in one direction",
        ),
        checks=Table(
            f"folding_checks{end}",
            key=(*key, "method"),
            columns=(
                *(EPOCH, *source.key_columns, METHOD),
                Column("device", "text", "where paths were walked: cpu or cuda", rerun_rtol=math.inf),
                Column(
                    "engine",
                    "text",
                    "what walked them: kernel, cuda-kernel, layerwise, jvp, sampled or adaptive; empty where "
                    "an older version did",
                    rerun_rtol=math.inf,
                ),
                Column(
                    "not_counted",
                    "text",
                    "functions that are neither affine nor counted, each with its module; empty for none",
                ),
                Column("num_walks", "integer", "number of walks, each read from both ends"),
                Column("num_violations", "integer", "linear regions that failed the region check"),
                Column(
                    "unresolved",
                    "integer",
                    "intervals of adaptive walks in which several bits flip still, empty for other methods; "
                    "a unit that flips twice between two points is missed, so a length is a lower bound",
                ),
            ),
            meaning=f"the walks of paths {source.summary}, both directions at once",
        ),
        histogram=Table(
            f"folding_histogram{end}",
            key=("epoch", "measure", *reading, "low", "high"),
            columns=(
                *(EPOCH, FOLDED_BY, *READING),
                Column("low", "number", "folding above this; of paths that do not fold, 0"),
                Column("high", "number", "and up to this; of paths that do not fold, 0"),
                Column("num_paths", "integer", "number of paths"),
            ),
            meaning="a range of folding, and how many of a network's measured paths fold so far",
        ),
        paths=Table(
            f"paths{end}",
            key=(*key, "source", "target", *reading),
            columns=(
                *(EPOCH, *source.key_columns),
                Column("source", "integer", "number of the test image where the path starts"),
                Column("target", "integer", "number of the test image where it ends"),
                *READING,
                Column("distance", "number", "L2 distance of the ends in input space"),
                *(column for measure in PATH_MEASURES.values() for column in measure.columns),
            ),
            meaning=f"one of a seeded sample of the paths {source.summary} (folding.detail)",
        ),
    )


SOURCE_TABLES = {name: tables_of(source) for name, source in ENDPOINTS.items()}
"""By the source's name."""

FOLDING, CHECKS, HISTOGRAM, PATHS = SOURCE_TABLES[CLASS_PAIRS]

TABLES = tuple(table for tables in SOURCE_TABLES.values() for table in tables)


def asked_tables(sections: Sections) -> tuple[Table, ...]:
    """Return the tables that the settings ask for."""
    settings = folding_of(sections)
    tables = SOURCE_TABLES[settings.endpoints]
    return (*tables[:3], tables.paths) if settings.detail else tables[:3]


def tabulate(sections: Sections, parts: Sequence[tuple[Part, PartContent]]) -> Rows:
    """Return the rows of each table from the finished parts of a run."""
    settings, num_classes = folding_of(sections), num_classes_of(sections)
    source, tables = settings.source, SOURCE_TABLES[settings.endpoints]
    way = {
        "method": settings.method,
        "num_points": settings.num_points if settings.is_sampled else None,
    }
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in asked_tables(sections)}
    cells: dict[tuple[int, str], list[np.ndarray]] = {}
    for part, content in parts:
        epoch, counts = part.key["epoch"], StoredCounts.from_arrays(content.arrays)
        directions = source.directions(part.key)
        checks = {"engine": None, "not_counted": None, "unresolved": None, **content.record}
        rows[tables.checks.name].append({"epoch": epoch, **directions[0].key, **checks})
        for number, direction in enumerate(directions):
            if not source.is_asked(direction, sections, num_classes):
                continue
            counted = counts.counts[direction.name]
            for name in FOLDINGS:
                cells.setdefault((epoch, name), []).append(counted[name].cells)
            for row in _rows(counts, number, direction.name, is_grid=source.layout == "grid"):
                rows[tables.folding.name].append({"epoch": epoch, **direction.key, **way, **row})
            for row in _path_rows(counts, number):
                rows[tables.paths.name].append({"epoch": epoch, **direction.key, **way, **row})
    rows[tables.histogram.name] = [
        {"epoch": epoch, "measure": name, **way, **row}
        for (epoch, name), counted_cells in cells.items()
        for row in _histogram(counted_cells)
    ]
    return rows


def _rows(counts: StoredCounts, number: int, direction: str, *, is_grid: bool) -> Iterator[dict[str, Any]]:
    """Yield the measures of a direction: of its χ and of its peak folding."""
    from spaceprobe.analysis.path_counts import PathCounts, count_zero_length

    sources, targets = counts.images_of(number)
    num_zero_length = count_zero_length(counts.counts[direction]["chi"].cells)
    for name in FOLDINGS:
        counted = counts.counts[direction][name]
        paths = PathCounts(counted.cells, num_zero_length, counted.row_max, len(sources), len(targets))
        yield {"measure": name, **measure_counts(paths, is_grid=is_grid)}


def _path_rows(counts: StoredCounts, number: int) -> Iterator[dict[str, Any]]:
    """Yield the single paths of a direction that were kept."""
    columns = {name: values.tolist() for name, values in counts.detail.items()}
    directions = columns.pop("direction", [])
    for row, direction in enumerate(directions):
        if direction == number:
            yield {name: values[row] for name, values in columns.items()}


def _histogram(cells: "Sequence[np.ndarray]") -> Iterator[dict[str, Any]]:
    """Yield how many paths of several sets fold how far."""
    import numpy as np

    from spaceprobe.analysis.path_counts import HISTOGRAM_BINS, folding_histogram

    for number, num_paths in enumerate(folding_histogram(np.concatenate(cells)).tolist()):
        low = max(0, number - 1) / HISTOGRAM_BINS
        yield {"low": low, "high": number / HISTOGRAM_BINS, "num_paths": num_paths}
