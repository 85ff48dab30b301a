"""The tables of complexity measures."""

from collections.abc import Sequence

from spaceprobe.stages.complexity.settings import complexity_of
from spaceprobe.stages.stage import Part, PartContent, Rows, Sections
from spaceprobe.stages.train.tables import EPOCH
from spaceprobe.tables.table import Column, Table

_OF_MLPS = "empty for a network that is not an MLP"
_CLASSES = "empty for a regression"

COMPLEXITY = Table(
    "complexity",
    key=("epoch",),
    columns=(
        EPOCH,
        Column("weight_norm", "number", "Euclidean norm of all weights and biases", low=0),
        Column(
            "distance",
            "number",
            "Euclidean distance of all weights and biases from their initial values; empty for given weights",
            low=0,
        ),
        Column(
            "path_norm",
            "number",
            "√ of the sum, over paths from an input or a bias to an output, of products of squared weights; "
            f"{_OF_MLPS}",
            low=0,
        ),
        Column("spectral_product", "number", f"product of the layers' spectral norms; {_OF_MLPS}", low=0),
        Column("frobenius_product", "number", f"product of the layers' Frobenius norms; {_OF_MLPS}", low=0),
        Column(
            "margin",
            "number",
            "10 % quantile, over training points, of the logit of the label minus the largest other; "
            f"{_CLASSES}",
        ),
        Column("path_margin", "number", f"margin / path_norm; {_OF_MLPS}, {_CLASSES}"),
        Column("spectral_margin", "number", f"margin / spectral_product; {_OF_MLPS}, {_CLASSES}"),
        Column(
            "sharpness",
            "number",
            "growth of the mean training loss when each weight is multiplied by 1 + noise · ε with a normal "
            "ε; mean over draws",
        ),
        Column("worst_sharpness", "number", "the largest growth over these draws"),
        Column("note", "text", "why a cell is empty"),
    ),
    meaning="one network at one epoch: measures of complexity that are related to generalisation",
)

MEASURES = tuple(name for name in COMPLEXITY.names if name not in ("epoch", "note"))
"""The columns that are measures."""

REGIONS = Table(
    "complexity_regions",
    key=("epoch",),
    columns=(
        EPOCH,
        Column("num_paths", "integer", "straight paths between drawn test points, no point twice"),
        Column("length", "number", "L2 length of all of them together, in input space", low=0),
        Column("num_regions", "integer", "linear regions that they cross, each path counted by itself"),
        Column("region_density", "number", "num_regions / length", low=0),
    ),
    meaning="one continuous piecewise-linear network at one epoch: its linear regions between test points",
)

TABLES = (COMPLEXITY, REGIONS)


def asked_tables(sections: Sections) -> tuple[Table, ...]:
    """Return the tables that the settings ask for: that of regions where there are paths."""
    return TABLES if complexity_of(sections).paths else (COMPLEXITY,)


def tabulate(sections: Sections, parts: Sequence[tuple[Part, PartContent]]) -> Rows:
    """Return the rows of each table from the finished parts of a run."""
    records = [content.record for _, content in parts]
    rows = {
        COMPLEXITY.name: [
            {name: value for name, value in record.items() if name != REGIONS.name} for record in records
        ]
    }
    if complexity_of(sections).paths:
        rows[REGIONS.name] = [
            {"epoch": record["epoch"], **record[REGIONS.name]} for record in records if record[REGIONS.name]
        ]
    return rows
