"""What a recorder measured while a network was trained: its tables, and two of them side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.recording.folder import FACTS, read_committed, read_recorded
from spaceprobe.recording.tables import RECORDING, recorded_tables
from spaceprobe.results.started import name_of_folder
from spaceprobe.results.weight_results import WeightResults
from spaceprobe.stages.fold.model_paths import MODEL_PATHS
from spaceprobe.study.layout import PROVENANCE
from spaceprobe.study.provenance import read_provenance
from spaceprobe.tables.table import Table

COMPARED = ("chi", "chi_back", "null_chi", "peak", "folded", "length", "reach")
"""Columns of recording.csv of which there is a difference."""


@dataclass(frozen=True)
class Recording:
    """The tables of a recording.

    Attributes:
        folder: their folder.
        frames: the tables by name, rows numbered as in their CSVs.
        provenance: provenance.json; empty where there is none.
        warnings: what a reader should know first.
    """

    folder: Path
    frames: Mapping[str, pd.DataFrame]
    provenance: Mapping[str, Any]
    warnings: list[str]

    @property
    def name(self) -> str:
        """The name of the folder."""
        return name_of_folder(self.folder)

    @property
    def tables(self) -> Sequence[Table]:
        """What the tables are declared as."""
        return recorded_tables(has_lmd=self.has_lmd)

    @property
    def has_lmd(self) -> bool:
        """Whether weight matrices were decomposed."""
        return bool(self.frames[RECORDING.name]["num_matrices"].notna().any())

    @property
    def facts(self) -> Mapping[str, Any]:
        """How it was recorded; empty where that was not noted."""
        facts = self.provenance.get(FACTS, {})
        return facts if isinstance(facts, Mapping) else {}

    @property
    def weights(self) -> WeightResults | None:
        """Its decompositions, as those of a folder of weights; None without."""
        if not self.has_lmd:
            return None
        own = (RECORDING.name, MODEL_PATHS.name)
        frames = {name: frame for name, frame in self.frames.items() if name not in own}
        return WeightResults(self.folder, frames, self.provenance, [])


def load_recording(folder: Path) -> Recording:
    """Return what a recorder measured, as far as it came.

    Args:
        folder: its folder, as `find_recording` gives it.

    Raises:
        SpaceprobeError: nothing was measured yet, or a table cannot be read.
    """
    rows = read_committed(folder)
    if rows.empty:
        raise SpaceprobeError(f"{folder}: a recorder has begun there, and has measured nothing yet")
    steps = [int(step) for step in rows["step"]]
    provenance, set_aside = read_provenance(folder / PROVENANCE)
    frames = {RECORDING.name: read_recorded(folder, RECORDING.name, steps)}
    has_lmd = bool(frames[RECORDING.name]["num_matrices"].notna().any())
    for table in recorded_tables(has_lmd=has_lmd)[1:]:
        frames[table.name] = table.with_later_columns(read_recorded(folder, table.name, steps))
        given = {"source_class", "target_class"} if table is MODEL_PATHS else set()
        lacking = [name for name in table.lacking(frames[table.name]) if name not in given]
        if lacking:
            raise SpaceprobeError(
                f"{folder / table.name}.csv: lacks the column {lacking[0]}; record it again"
            )
    return Recording(folder, frames, provenance, [] if set_aside is None else [set_aside])


def put_recordings_side_by_side(a: Recording, b: Recording) -> pd.DataFrame:
    """Return both recordings, a row for each step that one of them measured, ascending.

    Differences are B minus A; there is none where only one has the step, or walked no path at it. They have
    no interval, since each recording is of one training.
    """
    sides = [
        side.frames[RECORDING.name].set_index("step")[[*COMPARED]].astype(float).add_suffix(f"_{letter}")
        for side, letter in ((a, "a"), (b, "b"))
    ]
    table = pd.concat(sides, axis="columns").sort_index()
    for name in COMPARED:
        table[f"{name}_difference"] = table[f"{name}_b"] - table[f"{name}_a"]
    table["note"] = [
        None
        if all(step in side.index for side in sides)
        else f"in {'A' if step in sides[0].index else 'B'} only"
        for step in table.index
    ]
    ends = ("a", "b", "difference")
    columns = [f"{name}_{end}" for name in COMPARED for end in ends]
    return table[[*columns, "note"]].rename_axis("step").reset_index()


def same_paths(a: Recording, b: Recording) -> bool | None:
    """Return whether two recordings walk the same paths; None where that was not noted."""
    digests = [side.facts.get("paths_sha256") for side in (a, b)]
    return None if None in digests else digests[0] == digests[1]
