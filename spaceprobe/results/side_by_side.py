"""What two studies measured, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spaceprobe.analysis.correlation_differences import correlation_differences
from spaceprobe.analysis.differences import DIFFERENCE_COLUMNS, UNMATCHED_COLUMNS, difference_table, unmatched
from spaceprobe.results.groups import value_label

if TYPE_CHECKING:
    import pandas as pd

    from spaceprobe.results.results import Results


@dataclass(frozen=True)
class SideBySide:
    """The tables of two studies side by side.

    Attributes:
        tables: by name: differences (what both measured, group by group), correlation_differences, and
            unmatched (what only one of them has).
        group_columns: the columns that tell groups of runs apart.
        reading_columns: the columns that tell readings of one network apart.
    """

    tables: "Mapping[str, pd.DataFrame]"
    group_columns: list[str]
    reading_columns: list[str]


def put_side_by_side(a: "Results", b: "Results") -> SideBySide:
    """Return the tables of two studies side by side; differences are second minus first."""
    tables = {
        "differences": difference_table(a.frames, b.frames),
        "correlation_differences": correlation_differences(a.frames, b.frames),
        "unmatched": unmatched(a.frames, b.frames),
    }
    groups = [str(name) for name in tables["unmatched"].columns if name not in UNMATCHED_COLUMNS]
    others = ("state", *groups, *DIFFERENCE_COLUMNS)
    return SideBySide(
        tables, groups, [str(name) for name in tables["differences"].columns if name not in others]
    )


def with_group_names(differences: "pd.DataFrame", group_columns: Sequence[str]) -> "pd.DataFrame":
    """Return differences with the column ``group``, such as ``2x30 · lr 0.003``: what varies."""
    names = varying_columns(differences, group_columns)
    groups = [
        " · ".join(value_label(name, value) for name, value in zip(names, row, strict=True) if value == value)
        for row in differences[names].itertuples(index=False)
    ]
    return differences.assign(group=groups)


def varying_columns(differences: "pd.DataFrame", group_columns: Sequence[str]) -> list[str]:
    """Return the architecture and the columns of a group that differ between rows."""
    return [
        name
        for name in group_columns
        if name == "architecture" or differences[name].nunique(dropna=False) > 1
    ]


def one_reading_each(differences: "pd.DataFrame", reading_columns: Sequence[str]) -> "pd.DataFrame":
    """Return the differences of one reading, and those that know no readings.

    The exact way of reading paths goes first, then the one with the most points, then the first.
    """
    rows = differences
    for name in reading_columns:
        known = rows[name].dropna()
        if known.empty:
            continue
        kept = "exact" if (known == "exact").any() else known.iloc[0]
        kept = known.max() if name == "num_points" else kept  # which is empty for the exact way
        rows = rows[rows[name].isna() | (rows[name] == kept)]
    return rows
