"""The results of `spaceprobe lmd --weights`: tables of the matrices in a file, without a study."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.results.results import read_csv
from spaceprobe.results.started import name_of_folder
from spaceprobe.results.weight_folders import LAYERS
from spaceprobe.stages.lmd.tables import OF_A_FILE, OF_STEPS, STEP
from spaceprobe.study.layout import PROVENANCE, table_path
from spaceprobe.study.provenance import read_provenance
from spaceprobe.tables.table import Table
from spaceprobe.weights.quoting import quote_if_needed

OPTIONS = ("key", "heads", "transposed", "groups", "leading", "layer", "exclude")
"""Facts of provenance.json that are options of the call."""

_AGAIN = "`spaceprobe lmd --weights` with the same file writes it again"


@dataclass(frozen=True)
class WeightResults:
    """The results of a file of weights, or of a folder of steps.

    Attributes:
        folder: their folder, whose name is that of the file with a hash of its content and of the options.
        frames: its tables by name.
        provenance: provenance.json; empty where there is none, as in folders of earlier versions.
        warnings: what a reader should know first.
        step: the only step that the tables have rows of; None for a file, or for all steps.
    """

    folder: Path
    frames: Mapping[str, pd.DataFrame]
    provenance: Mapping[str, Any]
    warnings: list[str]
    step: int | None = None

    @property
    def tables(self) -> Sequence[Table]:
        """What the tables are declared as."""
        return OF_STEPS if STEP.name in self.frames[LAYERS] else OF_A_FILE

    @property
    def steps(self) -> list[int]:
        """The steps of a folder, in order; empty for a file."""
        layers = self.frames[LAYERS]
        return sorted({*layers[STEP.name]}) if STEP.name in layers else []

    @property
    def only(self) -> Mapping[str, int]:
        """The values that columns have in all rows of the tables, where the CSVs have others."""
        return {} if self.step is None else {STEP.name: self.step}

    def at_last_step(self) -> "WeightResults":
        """Return the rows of the last step, numbered as in the CSVs; of a file, all."""
        steps = self.steps
        if not steps:
            return self
        frames = {name: frame[frame[STEP.name] == steps[-1]] for name, frame in self.frames.items()}
        return replace(self, frames=frames, step=steps[-1])

    @property
    def name(self) -> str:
        """The name of the folder."""
        return name_of_folder(self.folder)

    @property
    def file(self) -> Mapping[str, Any]:
        """The facts about the file: path, sha256, options; empty where they were not noted."""
        facts = self.provenance.get("weights", {})
        return facts if isinstance(facts, Mapping) else {}

    @property
    def options(self) -> str:
        """The step, and the options of the call, as ``--heads 4 --key g``; empty for none."""
        words = []
        for name in OPTIONS:
            value = self.file.get(name)
            values = value if isinstance(value, list) else [value]
            words += [f"--{name} {shlex.quote(quote_if_needed(str(one)))}" for one in values if one]
        step = "" if self.step is None else f"step {self.step}, the last"
        return "; ".join(filter(None, [step, " ".join(words)]))

    def has(self, *tables: str) -> bool:
        """Return whether all these tables have rows."""
        return all(name in self.frames and len(self.frames[name]) for name in tables)


def load_weight_results(folder: Path) -> WeightResults:
    """Return the results of a file of weights.

    Args:
        folder: their folder, as `find_weights` gives it.

    Raises:
        SpaceprobeError: a table is missing, cannot be read, or is another version's.
    """
    frames: dict[str, pd.DataFrame] = {}
    for table in declared_tables(folder):
        path = table_path(folder, table.name)
        if not os.path.lexists(path):
            raise SpaceprobeError(f"{path}: is missing; {_AGAIN}")
        frame = _read(path)
        missing = table.lacking(frame)
        if missing:
            raise SpaceprobeError(
                f"{path}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; {_AGAIN}"
            )
        frames[table.name] = table.with_later_columns(frame)
    provenance, set_aside = read_provenance(folder / PROVENANCE)
    return WeightResults(folder, frames, provenance, [] if set_aside is None else [set_aside])


def declared_tables(folder: Path) -> Sequence[Table]:
    """Return what the tables in a folder of results are declared as: those of a file, or of steps.

    Raises:
        SpaceprobeError: a table cannot be read.
    """
    path = table_path(folder, LAYERS)
    return OF_STEPS if os.path.lexists(path) and STEP.name in _read(path) else OF_A_FILE


def _read(path: Path) -> pd.DataFrame:
    """Return a table.

    Raises:
        SpaceprobeError: it cannot be read.
    """
    try:
        return read_csv(path)
    except SpaceprobeError as error:
        raise SpaceprobeError(str(error).replace("`spaceprobe run` writes it again", _AGAIN)) from error


def put_weights_side_by_side(a: WeightResults, b: WeightResults) -> pd.DataFrame:
    """Return the matrices of two files, a row for each name, in the order of the first file, then the second.

    Differences are B minus A; there is none where a matrix is in one file only or was not
    decomposed. They have no interval, since each file is one network.
    """
    shown = ["kind", "num_outputs", "num_inputs", "rule", "rank", "spectral_norm", "stable_rank", "reason"]
    sides = [
        side.frames[LAYERS].drop_duplicates("name").set_index("name")[shown].add_suffix(f"_{letter}")
        for side, letter in ((a, "a"), (b, "b"))
    ]
    names = [*dict.fromkeys(name for side in sides for name in side.index)]
    table = pd.concat([side.reindex(names) for side in sides], axis="columns")
    for quantity in COMPARED:
        table[f"{quantity}_difference"] = table[f"{quantity}_b"].astype(float) - table[
            f"{quantity}_a"
        ].astype(float)
    table["note"] = [
        _note(row, name in sides[0].index, name in sides[1].index) for name, row in table.iterrows()
    ]
    columns = [f"{name}_{side}" for name in shown[:-1] for side in "ab"]
    for quantity in COMPARED:
        columns.insert(columns.index(f"{quantity}_b") + 1, f"{quantity}_difference")
    table = table[[*columns, "note"]].rename_axis("name").reset_index()
    counts = [f"{name}_{side}" for name in ("num_outputs", "num_inputs", "rank") for side in "ab"]
    return table.astype(dict.fromkeys([*counts, "rank_difference"], "Int64"))


COMPARED = ("rank", "spectral_norm", "stable_rank")
"""Columns of lmd_layers.csv of which there is a difference."""


def _note(row: "pd.Series[Any]", is_in_a: bool, is_in_b: bool) -> str | None:
    """Return what a reader has to know about a difference, or why there is none."""
    lone = [] if is_in_a and is_in_b else [f"in {'A' if is_in_a else 'B'} only"]
    reasons = [
        f"not decomposed in {side.upper()}: {row[f'reason_{side}']}"
        for side in ("a", "b")
        if isinstance(row[f"reason_{side}"], str)
    ]
    notes = [*lone, *reasons] or [
        words
        for columns, words in (
            (("num_outputs", "num_inputs"), "other sides"),
            (("rule",), "other rules of rank"),
        )
        if any(row[f"{column}_a"] != row[f"{column}_b"] for column in columns)
    ]
    return "; ".join(notes) or None
