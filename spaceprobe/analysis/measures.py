"""The measures of many paths that follow from their counts: each a function and a column of folding.csv.

A new one is a line of `MEASURES`, or a plug-in. Without numpy, since tables are declared with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spaceprobe.plugins import load_plugins
from spaceprobe.tables.table import Column

if TYPE_CHECKING:
    from spaceprobe.analysis.path_counts import PathCounts

QUANTILE_PERCENTS = (5, 25, 50, 75, 95)
"""Percentages of the reported quantiles."""


@dataclass(frozen=True)
class Measure:
    """A number that the counts of a set of paths give.

    Attributes:
        column: its column.
        measure: returns the number; None where it has no value, which is an empty cell. There are paths.
        needs_grid: whether it has a meaning only for paths from every source to every target.
    """

    column: Column
    measure: "Callable[[PathCounts], int | float | None]"
    needs_grid: bool = False


def _share(name: str, meaning: str) -> Column:
    """Return a column of a quantity in [0, 1]."""
    return Column(name, "number", meaning, low=0, high=1)


def _zero_length(counts: "PathCounts") -> float | None:
    return counts.num_zero_length / counts.num_paths if counts.num_zero_length is not None else None


def _quantile(percent: int) -> Measure:
    meaning = f"{percent} % quantile over the paths that fold; empty where none does"
    column = _share(f"q{percent:02d}", meaning)
    return Measure(column, lambda counts: counts.quantile(percent))


_SIZES = (
    Measure(Column("num_paths", "integer", "number of paths"), lambda counts: counts.num_paths),
    Measure(
        Column("num_sources", "integer", "number of points where they start"),
        lambda counts: counts.num_sources,
        needs_grid=True,
    ),
    Measure(
        Column("num_targets", "integer", "number of points where they end"),
        lambda counts: counts.num_targets,
        needs_grid=True,
    ),
)
"""They have a value without paths, too."""

_OWN: tuple[Measure, ...] = (
    *_SIZES,
    Measure(_share("zero_length", "share of paths of length 0; empty without paths"), _zero_length),
    Measure(
        _share("folded", "share of paths whose folding is above 0; empty without paths"),
        lambda counts: counts.num_folded / counts.num_paths,
    ),
    Measure(
        _share("mean", "mean over all paths, in [0, 1), with 0 for length 0; empty without paths"),
        lambda counts: counts.total_folding / counts.num_paths,
    ),
    Measure(
        _share("max", "maximum over all paths, in [0, 1); empty without paths"),
        lambda counts: float(counts.folding.max(initial=0.0)),
    ),
    *map(_quantile, QUANTILE_PERCENTS),
    Measure(
        _share(
            "row_max_median",
            "median, over the sources with a path that folds, of the largest value over their targets; empty "
            "where there is none. Compare for equal num_targets only",
        ),
        lambda counts: counts.row_max_median(),
        needs_grid=True,
    ),
)

OTHER_COLUMNS = frozenset(
    {"run", "epoch", "seed", "measure", "method", "num_points", "source", "target", "class"}
    | {"label", "from", "to", "kind", "depth", "width"}
)
"""Names that other columns of the tables of folding have, or may have."""


def _refuse(name: str, measure: Any) -> str | None:
    """Return what is wrong with the measure that a plug-in gives a name."""
    if not isinstance(measure, Measure):
        return f"expected a Measure, got {type(measure).__name__}"
    if measure.column.name != name:
        return f"its column is {measure.column.name}: expected the name of the entry point"
    return "another column has its name" if name in OTHER_COLUMNS else None


def _of_plugins() -> tuple[Measure, ...]:
    taken = {measure.column.name: f"spaceprobe's own {measure.column.name} ({__name__})" for measure in _OWN}
    return tuple(measure for _, measure in load_plugins("measures", taken, _refuse))


MEASURES: tuple[Measure, ...] = (*_OWN, *_of_plugins())
"""All measures, in the order of their columns."""


def measures_of(*, is_grid: bool) -> tuple[Measure, ...]:
    """Return the measures that have a meaning for paths of a grid, or for matched paths."""
    return tuple(measure for measure in MEASURES if is_grid or not measure.needs_grid)


def measure_counts(counts: "PathCounts", *, is_grid: bool = True) -> dict[str, int | float | None]:
    """Return the value of each measure, by its column; None where it has none."""
    return {
        measure.column.name: measure.measure(counts) if counts.num_paths or measure in _SIZES else None
        for measure in measures_of(is_grid=is_grid)
    }
