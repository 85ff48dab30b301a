"""The networks of a study by what it sweeps beside the seed: what answers compare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from spaceprobe.results.groups import notes_on_failures
from spaceprobe.results.readings import one_reading, reading_columns
from spaceprobe.results.results import Results
from spaceprobe.stages.train.tables import RUNS
from spaceprobe.tables.frames import cell_of, column_name
from spaceprobe.tables.seeds import SEEDS
from spaceprobe.tables.states import last_epochs

EPOCH, LAYER, ACTIVATION = "epoch", "layer", "activation"

NOTE = "note"
"""The column with what a reader of an answer has to know, the same in each row."""


class Networks:
    """The networks of a study that were trained to the end.

    Attributes:
        settings: the columns that tell them apart, those of seeds left out, in the order of runs.csv.
        runs: a row for each: run, seed and the settings.
        notes: what was left out of the tables that were read so far.
    """

    def __init__(self, results: Results) -> None:
        """Take the networks of a study."""
        runs = results.frames["runs"]
        names = ["architecture", "activation", "dataset", *RUNS.settings(runs)]
        self.settings = [name for name in names if name not in SEEDS and runs[name].nunique(dropna=False) > 1]
        self.runs = runs.loc[runs["status"] == "done", ["run", "seed", *self.settings]]
        self.notes = notes_on_failures(runs)
        self._frames = results.frames
        self._swept: Mapping[str, Sequence[Any]] = {
            column_name(key): [cell_of(value) for value in axis] for key, axis in results.study.axes.items()
        }

    def read(self, name: str, *, last: bool = False) -> pd.DataFrame:
        """Return the rows of a table with seed and settings of their network, of one reading.

        Args:
            name: of the table.
            last: whether only each run's last epoch is asked for.
        """
        frame = self._frames[name]
        rows, notes = one_reading(frame, reading_columns(name, frame, self._frames["runs"]))
        self.notes += [note for note in notes if note not in self.notes]
        rows = last_epochs(rows) if last else rows
        rows = rows.drop(columns=["seed", *self.settings], errors="ignore")  # such as the rate of an epoch
        return self.in_order(rows.merge(self.runs, on="run"), self.settings)

    def first_of(self, axis: str) -> Any:
        """Return the value of a setting that others are compared with: the first that is swept."""
        present = set(self.runs[axis])
        return next(value for value in self._swept.get(axis, sorted(present)) if value in present)

    def in_order(self, rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """Return rows by the values of columns: numbers by size, texts in the order of the sweep."""
        if not columns:
            return rows
        return rows.sort_values([*columns], key=self._places, kind="stable", ignore_index=True)

    def noted(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the column ``note``."""
        return table.assign(**{NOTE: "; ".join(self.notes)})

    def _places(self, values: "pd.Series[Any]") -> "pd.Series[Any]":
        if pd.api.types.is_numeric_dtype(values) or values.name not in self._swept:
            return values
        swept = [str(value) for value in self._swept[str(values.name)]]
        return values.astype(str).map({value: place for place, value in enumerate(swept)})


def stack(parts: Iterable[pd.DataFrame], like: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all parts; those of a table, none, where no part has any."""
    return pd.concat([part for part in parts if len(part)] or [like.iloc[:0]], ignore_index=True)


def has_swept(results: Results, column: str) -> bool:
    """Return whether networks differ in a setting."""
    runs = results.frames["runs"]
    return column in runs and runs[column].nunique(dropna=False) > 1
