"""The correlations of two studies side by side, and how sure the difference of two is."""

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from spaceprobe.analysis.association import is_perfect
from spaceprobe.analysis.correlations import CORRELATION_COLUMNS, PRIMARY_RESPONSE
from spaceprobe.analysis.mean_difference import mean_difference
from spaceprobe.analysis.measured import Frames

QUESTION = ("predictor", "state", "given", "min_accuracy")
SIDE_COLUMNS = ("num_seeds", "pearson", "pearson_low", "pearson_high", "note")

CORRELATION_DIFFERENCE_COLUMNS = (
    *QUESTION,
    *(f"{column}_{study}" for study in ("a", "b") for column in SIDE_COLUMNS),
    *("num_pairs", "atanh_difference", "atanh_low", "atanh_high", "interval", "note"),
)


def correlation_differences(a: Frames, b: Frames) -> pd.DataFrame:
    """Return the correlations of the primary response in both studies, over seeds, and their difference.

    The correlations are those of correlations.csv: tanh of the mean of atanh(r) over seeds, with the t
    interval. ``atanh_difference`` is the difference of the means of atanh(r), second study minus first, with
    the interval that `mean_difference` has for one value a seed, paired or Welch's; it is no difference of
    correlations and not to be put through tanh. A difference of two r would need a scale on which the
    seeds scatter alike, which r near 1 is not. As for one study, it is about what a seed shows on average:
    atanh(r) of few runs is biased away from 0, so that studies with other numbers of runs a seed differ by
    that alone.

    Seeds with |r| = 1, whose atanh is infinite, or without r are left out of the difference; ``note`` counts
    them. It also says where the two studies chose other values of the predictor, on which r depends.

    Args:
        a: the tables of the first study: correlations, and for the notes runs and aggregates.
        b: the tables of the second study.

    Returns:
        The probe keys that vary in a study, then `CORRELATION_DIFFERENCE_COLUMNS`: a row for each question
        that both tables have. Empty where a study has no correlations.
    """
    sides = {name: _with_readings(tables, a, b) for name, tables in (("a", a), ("b", b))}
    keys = [key for key in sides["a"].columns if key not in CORRELATION_COLUMNS]
    names = [*keys, *QUESTION]
    both = pd.concat([side.assign(study=name) for name, side in sides.items()], ignore_index=True)
    rows = []
    for question, some in both.groupby(names, dropna=False, sort=False):
        of = {name: some[some["study"] == name] for name in sides}
        if any(side.empty for side in of.values()):
            continue
        named = dict(zip(names, question, strict=True))
        notes = _predictor_notes(a, b, str(named["predictor"]))
        row = {
            f"{column}_{name}": _over_seeds(side)[column]
            for name, side in of.items()
            for column in SIDE_COLUMNS
        }
        rows.append({**named, **row, **_difference(of["a"], of["b"], notes)})
    return pd.DataFrame(rows, columns=[*keys, *CORRELATION_DIFFERENCE_COLUMNS])


def _with_readings(tables: Frames, a: Frames, b: Frames) -> pd.DataFrame:
    """Return the rows of the primary response with the probe keys that either table has.

    A table leaves out what its study does not vary; the aggregates have its value.
    """
    found = [t["correlations"] for t in (a, b) if "correlations" in t]
    keys = dict.fromkeys(c for table in found for c in table.columns if c not in CORRELATION_COLUMNS)
    table = tables.get("correlations", pd.DataFrame(columns=list(CORRELATION_COLUMNS)))
    aggregates = tables.get("aggregates", pd.DataFrame())
    for key in keys:
        if key not in table.columns:
            table = table.assign(
                **{key: aggregates[key].iloc[0] if key in aggregates and len(aggregates) else None}
            )
    rows = table[table["response"] == PRIMARY_RESPONSE]
    is_wanted = (rows["interval"] == "t over seeds") | (rows["seed"].astype(str) != "all")
    return rows.loc[is_wanted, [*keys, *CORRELATION_COLUMNS]]


def _over_seeds(rows: pd.DataFrame) -> "pd.Series[Any]":
    """Return the row over all seeds."""
    row = rows[rows["seed"].astype(str) == "all"].iloc[0]
    return row.fillna({"note": ""})


def _difference(a: pd.DataFrame, b: pd.DataFrame, notes: list[str]) -> dict[str, Any]:
    """Return the columns of the difference of one question."""
    row: dict[str, Any] = dict.fromkeys(("atanh_difference", "atanh_low", "atanh_high"), math.nan)
    samples = []
    for name, rows in (("a", a), ("b", b)):
        values, left_out = _by_seed(rows)
        samples.append(values)
        if left_out:
            notes = [
                *notes,
                f"{left_out} seed{'s' if left_out > 1 else ''} of {name} without atanh(r) left out",
            ]
    if not all(samples):
        return {**row, "num_pairs": 0, "interval": "", "note": "; ".join(notes)}
    found = mean_difference(*samples)
    numbers = {"atanh_difference": found.difference, "atanh_low": found.low, "atanh_high": found.high}
    note = "; ".join([*notes, *found.notes])
    return {**numbers, "num_pairs": found.num_pairs, "interval": found.interval, "note": note}


def _by_seed(rows: pd.DataFrame) -> tuple[dict[Hashable, list[float]], int]:
    """Return atanh(r) of each seed, and how many seeds have none."""
    seeds = rows[rows["seed"].astype(str) != "all"]
    correlations = dict(zip(seeds["seed"].astype(str), seeds["pearson"].astype(float), strict=True))
    finite: dict[Hashable, list[float]] = {
        seed: [float(np.arctanh(r))]
        for seed, r in correlations.items()
        if math.isfinite(r) and not is_perfect(r)
    }
    return finite, len(correlations) - len(finite)


def _predictor_notes(a: Frames, b: Frames, predictor: str) -> list[str]:
    """Return a note where the two studies correlate over different values of the predictor."""
    if any("runs" not in tables or predictor not in tables["runs"] for tables in (a, b)):
        return []
    words = []
    for tables in (a, b):
        runs = tables["runs"]
        values = runs.loc[runs["status"] == "done", predictor].dropna().unique()
        words.append(", ".join(f"{value:g}" for value in sorted(values)))
    return [] if words[0] == words[1] else [f"{predictor} {words[0]} in a but {words[1]} in b"]
