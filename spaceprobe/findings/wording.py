"""How sentences of findings show numbers: each from a cell of a table, with its interval."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from spaceprobe.analysis.comparisons import DIFFERS, UNTESTED
from spaceprobe.findings.entry import COMPARISONS
from spaceprobe.report.entry import joined, sentence
from spaceprobe.report.numbers import Numbers, rows_where

MOST_DECIMALS = 6  # that a number of a sentence has


def row_where(frame: pd.DataFrame, where: Mapping[str, object]) -> int:
    """Return the number of the one row where columns have these values.

    Raises:
        ValueError: there is none, or several.
    """
    rows = rows_where(frame, where)
    if len(rows) != 1:
        raise ValueError(f"expected one row with {dict(where)}, got {len(rows)}")
    return int(rows.index[0])


def mean_of(numbers: Numbers, table: str, where: Mapping[str, object], spec: str = ".3f") -> Markup:
    """Return a mean with its interval, of a table with the columns ``mean``, ``low`` and ``high``."""
    row = row_where(numbers.frames[table], where)
    return with_interval(numbers, table, row, "mean", spec)


def change_of(numbers: Numbers, where: Mapping[str, object]) -> Markup:
    """Return a difference of `COMPARISONS` with its interval, corrected p value and what follows from it."""
    row = row_where(numbers.frames[COMPARISONS], where)
    shown = with_interval(numbers, COMPARISONS, row, "difference", "+.3f")
    verdict = numbers.value_at(COMPARISONS, row, "verdict")
    if verdict == UNTESTED:
        return sentence("{} (not tested)", shown)
    p = numbers.cell(COMPARISONS, row, "p_holm", ".2g")
    return sentence("{} (p = {}{})", shown, p, "" if verdict == DIFFERS else ", inconclusive")


def with_interval(numbers: Numbers, table: str, row: int, column: str, spec: str) -> Markup:
    """Return a cell and, where the row has them, the ends ``low`` and ``high`` of its interval.

    All three have as many decimals as `spec` says, or more where its ends would look alike.
    """
    spec = _fine_enough(spec, numbers.frames[table].loc[[row]].iloc[0])
    interval = numbers.interval(table, row, "low", "high", spec)
    value = numbers.cell(table, row, column, spec)
    return sentence("{} {}", value, interval) if interval else value


def _fine_enough(spec: str, row: "pd.Series[Any]") -> str:
    """Return a fixed format in which the width of the row's interval has two digits."""
    found = re.fullmatch(r"(\+?)\.(\d)f", spec)
    if found is None or not {"low", "high"} <= set(row.index):
        return spec
    width = float(row["high"]) - float(row["low"])
    if not (math.isfinite(width) and width > 0):
        return spec
    decimals = max(int(found[2]), min(1 - math.floor(math.log10(width)), MOST_DECIMALS))
    return f"{found[1]}.{decimals}f"


def listed(parts: Sequence[Markup]) -> Markup:
    """Return parts as a list in a sentence.

    >>> listed([Markup("0"), Markup("2"), Markup("6")]), listed([Markup("2")])
    (Markup('0, 2 and 6'), Markup('2'))
    """
    if len(parts) < 2:
        return joined(parts)
    return sentence("{} and {}", joined(parts[:-1]), parts[-1])
