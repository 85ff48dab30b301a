"""Which runs answer a question about folding, and what a reader has to know about that choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Shaped

from spaceprobe.analysis.predictors import predictors

FOLDING_RESPONSES = tuple(
    f"{measure}_{column}"
    for measure in ("chi", "peak")
    for column in ("row_max_median", "max", "folded", "folded_mean", "mean")
)
ACCURACY = "test_accuracy"


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


def take_sample(
    aggregates: pd.DataFrame, runs: pd.DataFrame, settings: Sequence[str], state: str, min_accuracy: float
) -> Sample:
    """Return the runs of a state with at least a test accuracy.

    Args:
        aggregates: aggregates.csv, of one reading of paths.
        runs: runs.csv.
        settings: its columns that hold swept settings.
        state: untrained, trained or difference.
        min_accuracy: 0 for all runs, also those without an accuracy.
    """
    rows = aggregates[aggregates["state"] == state]
    if min_accuracy > 0:
        rows = rows[rows[ACCURACY] >= min_accuracy]
    names = [*predictors(runs, settings), *FOLDING_RESPONSES, ACCURACY]
    others = [name for name in ("activation", "dataset", *settings) if name not in names]
    mixed = [name for name in others if rows[name].nunique(dropna=False) > 1]
    notes = [f"runs differ in {', '.join(mixed)}"] if mixed else []
    if (rows["note"] != "").any():
        notes.append("class pairs differ between runs")
    num_unfolded = int((~runs.loc[runs["status"] == "done", "run"].isin(aggregates["run"])).sum())
    if num_unfolded:
        notes.append(f"runs without folding left out: {num_unfolded}")
    is_uneven = rows["num_targets"].nunique() > 1
    return Sample(
        columns={name: rows[name].to_numpy(dtype=np.float64) for name in names},
        seed=rows["seed"].to_numpy(),
        seeds=sorted(aggregates["seed"].unique()),
        num_failed=runs.loc[runs["status"] != "done", "seed"].value_counts().to_dict(),
        notes=notes,
        row_max_notes=["num_targets differs between runs"] if is_uneven else [],
    )
