"""The tables of the fold stage, from the counts of its parts: those of each source of endpoints."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from spaceprobe.analysis.measures import measure_counts, measures_of
from spaceprobe.stages.fold.endpoints import ENDPOINTS
from spaceprobe.stages.fold.endpoints.entry import EndpointsEntry
from spaceprobe.stages.fold.parts import is_comparison
from spaceprobe.stages.fold.path_measures import PATH_MEASURES
from spaceprobe.stages.fold.path_tables import PATH_TABLES
from spaceprobe.stages.fold.path_tables.entry import LAYER, PathTable
from spaceprobe.stages.fold.settings import folding_of, num_classes_of
from spaceprobe.stages.fold.stored_counts import FOLDINGS, LISTING, StoredCounts
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
                *source.facts,
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


def path_tables_of(source: EndpointsEntry) -> dict[str, Table]:
    """Return the tables with several rows of a single path of a source, by the names of `PATH_TABLES`."""
    paths = SOURCE_TABLES[source.name].paths
    end = paths.name.removeprefix(PATHS.name)
    first = paths.names.index("distance")
    return {
        name: Table(
            f"{table.table_name}{end}",
            key=(*paths.key, *(column.name for column in table.key_columns)),
            columns=(*paths.columns[:first], *table.key_columns, *table.columns),
            meaning=f"{table.row} of {paths.meaning} with folding.{table.setting}",
        )
        for name, table in PATH_TABLES.items()
    }


def listing_of(source: EndpointsEntry) -> Table | None:
    """Return the further table of a source of endpoints, with several rows of each set of paths, if any."""
    listing = source.listing
    if listing is None:
        return None
    checks = tables_of(source).checks
    key = (*checks.key[:-1], *(column.name for column in (*READING, *listing.key_columns)))
    first = checks.names.index(METHOD.name)
    return Table(
        listing.name,
        key=key,
        columns=(*checks.columns[:first], *READING, *listing.key_columns, *listing.columns),
        meaning=listing.meaning,
    )


SOURCE_TABLES = {name: tables_of(source) for name, source in ENDPOINTS.items()}
"""By the source's name."""

PATTERN_CHANGES = Table(
    "pattern_changes",
    key=("epoch", "epoch_before", "layer"),
    columns=(
        EPOCH,
        Column("epoch_before", "integer", "the epoch that it is compared with: the one before in this study"),
        LAYER,
        Column("num_images", "integer", "test images that were looked at, the first of all"),
        Column("num_bits", "integer", "bits of the layer's pattern: its units, times the kinks of each"),
        Column("changed_bits", "number", "share of these bits, over all images, that differ, in [0, 1]"),
        Column("changed_images", "number", "share of images whose pattern of the layer differs, in [0, 1]"),
    ),
    meaning="a layer of a network, and how far its activation patterns changed since an earlier epoch",
)

FOLDING, CHECKS, HISTOGRAM, PATHS = SOURCE_TABLES[CLASS_PAIRS]

SOURCE_PATH_TABLES = {name: path_tables_of(source) for name, source in ENDPOINTS.items()}
"""By the source's name, then by that of `PATH_TABLES`."""

SOURCE_LISTINGS = {
    name: table for name, source in ENDPOINTS.items() if (table := listing_of(source)) is not None
}
"""By the source's name, of those that have one."""

TABLES = (
    *(table for tables in SOURCE_TABLES.values() for table in tables),
    *(table for tables in SOURCE_PATH_TABLES.values() for table in tables.values()),
    *SOURCE_LISTINGS.values(),
    PATTERN_CHANGES,
)


def asked_tables(sections: Sections) -> tuple[Table, ...]:
    """Return the tables that the settings ask for."""
    settings = folding_of(sections)
    tables = SOURCE_TABLES[settings.endpoints]
    asked = [*tables[:3]]
    if settings.endpoints in SOURCE_LISTINGS:
        asked.append(SOURCE_LISTINGS[settings.endpoints])
    if settings.detail:
        of_path = SOURCE_PATH_TABLES[settings.endpoints]
        asked += [tables.paths, *(of_path[table.name] for table in settings.path_tables)]
    if settings.patterns:
        asked.append(PATTERN_CHANGES)
    return tuple(asked)


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
        if is_comparison(part):
            rows[PATTERN_CHANGES.name] += _changes(part, content.record)
            continue
        epoch, counts = part.key["epoch"], StoredCounts.from_arrays(content.arrays)
        directions = source.directions(part.key)
        checks = {"engine": None, "not_counted": None, "unresolved": None, **content.record}
        listed = checks.pop(LISTING, {})
        rows[tables.checks.name].append({"epoch": epoch, **directions[0].key, **checks})
        for row in _listed_rows(listed):
            rows[SOURCE_LISTINGS[settings.endpoints].name].append(
                {"epoch": epoch, **directions[0].key, **way, **row}
            )
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
            for path_table in settings.path_tables:
                name = SOURCE_PATH_TABLES[settings.endpoints][path_table.name].name
                for row in _rows_of_paths(counts, number, path_table):
                    rows[name].append({"epoch": epoch, **direction.key, **way, **row})
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
    columns = {name: values.tolist() for name, values in counts.detail.items() if values.ndim == 1}
    directions = columns.pop("direction", [])
    for row, direction in enumerate(directions):
        if direction == number:
            yield {name: values[row] for name, values in columns.items()}


def _rows_of_paths(counts: StoredCounts, number: int, table: PathTable) -> Iterator[dict[str, Any]]:
    """Yield the rows that a table has of the single paths of a direction that were kept."""
    columns = {name: counts.detail[f"{table.table_name}.{name}"].tolist() for name in table.names}
    ends = {name: counts.detail[name].tolist() for name in ("source", "target")}
    for path, direction in enumerate(counts.detail["direction"].tolist()):
        if direction == number:
            of_path = {name: values[path] for name, values in ends.items()}
            for row in range(len(columns[table.names[0]][path])):
                yield {**of_path, **{name: values[path][row] for name, values in columns.items()}}


def _listed_rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a listing, which is stored column by column."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _changes(part: Part, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the layers of a comparison of two epochs."""
    epochs = {name: part.key[name] for name in ("epoch", "epoch_before")}
    names = ("num_bits", "changed_bits", "changed_images")
    for layer, values in enumerate(zip(*(record[name] for name in names), strict=True)):
        row = dict(zip(names, values, strict=True))
        yield {**epochs, "layer": layer, "num_images": record["num_images"], **row}


def _histogram(cells: "Sequence[np.ndarray]") -> Iterator[dict[str, Any]]:
    """Yield how many paths of several sets fold how far."""
    import numpy as np

    from spaceprobe.analysis.path_counts import HISTOGRAM_BINS, folding_histogram

    for number, num_paths in enumerate(folding_histogram(np.concatenate(cells)).tolist()):
        low = max(0, number - 1) / HISTOGRAM_BINS
        yield {"low": low, "high": number / HISTOGRAM_BINS, "num_paths": num_paths}
