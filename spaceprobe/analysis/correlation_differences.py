"""The correlations of two studies side by side, and how sure the difference of two is."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spaceprobe.analysis.association import is_perfect
from spaceprobe.analysis.correlations import PRIMARY_RESPONSE
from spaceprobe.analysis.mean_difference import mean_difference
from spaceprobe.analysis.samples import NOTHING_ELSE, POOLED
from spaceprobe.tables.frames import Frames

QUESTION = ("predictor", "state", "at", "given", "min_accuracy")
SIDE_COLUMNS = ("num_seeds", "pearson", "pearson_low", "pearson_high", "note")

CORRELATION_DIFFERENCE_COLUMNS = (
    *QUESTION,
    *(f"{column}_{study}" for study in ("a", "b") for column in SIDE_COLUMNS),
    *("num_pairs", "atanh_difference", "atanh_low", "atanh_high", "interval", "note"),
)


def correlation_differences(a: Frames, b: Frames) -> pd.DataFrame:
    """Return correlation_differences.csv: correlations of the primary response over seeds, and differences.

    The correlations are those of correlations.csv: tanh of the mean of atanh(r) over seeds, with the t
    interval. ``atanh_difference`` is the difference of the means of atanh(r), second study minus first, with
    the interval that `mean_difference` has for one value a seed, paired or Welch's; it is not a difference
    of correlations, and not to be put through tanh. A difference of two r would need a scale on which the
    seeds scatter alike, which r near 1 is not. As for one study, it is about what a seed shows on average:
    atanh(r) of few runs is biased away from 0, so that studies with other numbers of runs a seed differ by
    that alone.

    Seeds with |r| = 1, whose atanh is infinite, or without r are left out of the difference; ``note`` counts
    them. It also says where the two studies chose other values of the predictor, on which r depends. Where
    only one of them sweeps something else as well, its pooled rows stand beside the other's, with ``at``
    pooled.

    Args:
        a: the tables of the first study: correlations, and for the notes runs and aggregates.
        b: the tables of the second study.

    Returns:
        The columns that tell readings of paths apart, where they vary in a study; then
        `CORRELATION_DIFFERENCE_COLUMNS`: a row for each question that both tables have. Empty where a study
        has no correlations.
    """
    studies = {name: tables for name, tables in (("a", a), ("b", b)) if "correlations" in tables}
    keys = [*dict.fromkeys(key for tables in studies.values() for key in tables.settings("correlations"))]
    columns = [*keys, *QUESTION]
    sides = _pooled_alike(
        [_with_readings(tables, keys).assign(study=name) for name, tables in studies.items()]
    )
    rows = []
    for question, both in pd.concat(sides).groupby(columns, dropna=False, sort=False) if sides else ():
        of_study = {name: both[both["study"] == name] for name in ("a", "b")}
        if any(side.empty for side in of_study.values()):
            continue
        named = dict(zip(columns, question, strict=True))
        notes = _predictor_notes(a, b, str(named["predictor"]))
        cells = {
            f"{column}_{name}": _over_seeds(side)[column]
            for name, side in of_study.items()
            for column in SIDE_COLUMNS
        }
        rows.append({**named, **cells, **_difference(of_study["a"], of_study["b"], notes)})
    return pd.DataFrame(rows, columns=[*keys, *CORRELATION_DIFFERENCE_COLUMNS])


def _with_readings(tables: Frames, keys: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the primary response with all columns that tell readings apart.

    A table leaves out what its study does not vary; the aggregates have its value.
    """
    table = tables["correlations"]
    aggregates = tables.get("aggregates", pd.DataFrame())
    for key in keys:
        if key not in table.columns:
            value = aggregates[key].iloc[0] if key in aggregates and len(aggregates) else None
            table = table.assign(**{key: value})
    is_over_seeds = (table["interval"] == "t over seeds") | (table["seed"].astype(str) != "all")
    return table[(table["response"] == PRIMARY_RESPONSE) & is_over_seeds]


def _pooled_alike(sides: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return the rows of each study; ``at`` is pooled where the other study's rows are."""
    keys = ["predictor", "state"]
    pooled = [pd.MultiIndex.from_frame(side.loc[side["at"] == POOLED, keys]) for side in sides]
    alike = []
    for number, side in enumerate(sides):
        others = [index for other, index in enumerate(pooled) if other != number]
        is_met = np.any([pd.MultiIndex.from_frame(side[keys]).isin(index) for index in others], axis=0)
        alike.append(side.assign(at=side["at"].mask((side["at"] == NOTHING_ELSE) & is_met, POOLED)))
    return alike


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
    means = mean_difference(samples[0], samples[1])
    numbers = {"atanh_difference": means.difference, "atanh_low": means.low, "atanh_high": means.high}
    notes = [*notes, *means.notes]
    if means.num_pairs and any(len(rows) - 1 > means.num_pairs for rows in (a, b)):  # a row is over all seeds
        notes.append("r of each study over all its seeds")
    note = "; ".join(notes)
    return {**numbers, "num_pairs": means.num_pairs, "interval": means.interval, "note": note}


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
    texts = []
    for tables in (a, b):
        runs = tables["runs"]
        values = runs.loc[runs["status"] == "done", predictor].dropna().unique()
        texts.append(", ".join(f"{value:g}" for value in sorted(values)))
    return [] if texts[0] == texts[1] else [f"{predictor} {texts[0]} in a but {texts[1]} in b"]
