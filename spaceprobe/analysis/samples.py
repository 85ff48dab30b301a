"""Which runs answer a question about folding, and what a reader has to know about that choice."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Shaped

from spaceprobe.analysis.aggregates import swept_settings

FOLDING_RESPONSES = tuple(
    f"{measure}_{column}"
    for measure in ("chi", "peak")
    for column in ("row_max_median", "max", "folded", "folded_mean", "mean")
)
ACCURACY = "test_accuracy"


def predictors(runs: pd.DataFrame) -> list[str]:
    """Return depth, width and the numeric swept settings that vary."""
    varying = runs[swept_settings(runs)].select_dtypes("number")
    return ["depth", "width", *(c for c in varying.columns if varying[c].nunique() > 1)]


@dataclass(frozen=True)
class Sample:
    """The runs of one state that are accurate enough.

    Attributes:
        columns: predictors, responses and test accuracy.
        seed: the seed of each run.
        seeds: all seeds of the study, also those that the filter leaves without a run.
        num_failed: failed runs by seed.
        notes: what a reader has to know about this choice of runs.
        row_max_notes: the same for row maxima only.
    """

    columns: dict[str, Float64[np.ndarray, "runs"]]
    seed: Shaped[np.ndarray, "runs"]
    seeds: list[Any]
    num_failed: dict[Any, int]
    notes: list[str]
    row_max_notes: list[str]

    def notes_on(self, response: str) -> list[str]:
        """Return the notes that concern a response."""
        return self.notes + (self.row_max_notes if "row_max" in response else [])


def take_sample(table: pd.DataFrame, runs: pd.DataFrame, state: str, min_accuracy: float) -> Sample:
    """Return the runs of a state with at least a test accuracy."""
    rows = table[table["state"] == state]
    if min_accuracy > 0:
        rows = rows[rows[ACCURACY] >= min_accuracy]
    names = [*predictors(runs), *FOLDING_RESPONSES, ACCURACY]
    settings = ["activation", "dataset", *swept_settings(runs)]
    mixed = [c for c in settings if c not in names and rows[c].nunique(dropna=False) > 1]
    notes = [f"runs differ in {', '.join(mixed)}"] if mixed else []
    if (rows["note"] != "").any():
        notes.append("class pairs differ between runs")
    num_unfolded = int((~runs.loc[runs["status"] == "done", "run"].isin(table["run"])).sum())
    if num_unfolded:
        notes.append(f"runs without folding left out: {num_unfolded}")
    is_uneven = rows["num_targets"].nunique() > 1
    return Sample(
        columns={name: rows[name].to_numpy(dtype=np.float64) for name in names},
        seed=rows["seed"].to_numpy(),
        seeds=sorted(table["seed"].unique()),
        num_failed=runs.loc[runs["status"] != "done", "seed"].value_counts().to_dict(),
        notes=notes,
        row_max_notes=["num_targets differs between runs"] if is_uneven else [],
    )
