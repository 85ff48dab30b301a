"""The results of a study: its tables, and what its folder says about how they were computed."""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.results.changed_tables import change_notices
from spaceprobe.results.groups import in_sweep_order
from spaceprobe.results.readings import DECLARED
from spaceprobe.results.status import RunStatus, run_states
from spaceprobe.stages import STAGES
from spaceprobe.study.config import Study
from spaceprobe.study.grid import expand
from spaceprobe.study.layout import PROVENANCE, STUDY_FILE
from spaceprobe.study.provenance import read_provenance
from spaceprobe.study.storage.part_store import PartStore
from spaceprobe.tables.frames import Frames, column_name
from spaceprobe.tables.states import STATES
from spaceprobe.tables.table import Table

if TYPE_CHECKING:
    from spaceprobe.results.examples import PathExample, StudyExample


class NoRunsError(SpaceprobeError):
    """A study has no run to report, not even a failed one."""


@dataclass(frozen=True)
class Results:
    """A study's results.

    Attributes:
        study: the study as it was last started.
        folder: its folder of results.
        frames: the tables that its stages wrote so far, by name, those without rows included.
        study_text: study.yaml.
        provenance: provenance.json; empty where there is none that can be read.
        states: how far each run is in each stage.
        warnings: which tables are not those that were computed, whether the provenance was set aside, and
            what the stages warn of, each once.
    """

    study: Study
    folder: Path
    frames: Frames
    study_text: str
    provenance: Mapping[str, Any]
    states: Sequence[RunStatus]
    warnings: Sequence[str]

    def has(self, *tables: str) -> bool:
        """Return whether all these tables have rows."""
        return all(name in self.frames and len(self.frames[name]) for name in tables)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Runs.csv in the order of the sweep."""
        return in_sweep_order(self.frames["runs"], self.study)

    @cached_property
    def example(self) -> "StudyExample | str":
        """The path that is shown of the study, or why there is none. It is walked on first use."""
        from spaceprobe.results.examples import example_path  # imports torch, which no other figure needs

        return example_path(self.study, self.folder, self.frames)

    @cached_property
    def cantor(self) -> "PathExample":
        """The path across CantorNet, whose folding is known."""
        from spaceprobe.results.examples import cantor_example

        return cantor_example()

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table of the study, or one of its example's or CantorNet's; None where there is none."""
        if name == "runs":
            return self.runs
        if name in DECLARED:
            return self.frames.get(name)
        example = self.cantor if name.startswith("cantor") else self.example
        return None if isinstance(example, str) else example.tables()[name]


def load_results(study: Study, folder: Path) -> Results:
    """Return the results of a study that was started.

    Args:
        study: the study.
        folder: its folder of results.

    Raises:
        NoRunsError: it has no run yet.
        SpaceprobeError: a table is another version's, or does not belong to the study as it is.
    """
    frames, notices = _without_unknown_columns(_read_frames(folder), study, folder)
    if "runs" not in frames or frames["runs"].empty:
        raise NoRunsError(f"{folder / 'runs.csv'}: contains no run yet; `spaceprobe run` comes first")
    _check_runs(study, folder, frames["runs"])
    store = PartStore(folder)
    memos = [store.memo(stage.name) for stage in STAGES]
    provenance, set_aside = read_provenance(folder / PROVENANCE)
    warnings = change_notices(folder) + ([] if set_aside is None else [set_aside])
    warnings += notices
    warnings += [warning for memo in memos if memo is not None for warning in memo["warnings"]]
    return Results(
        study=study,
        folder=folder,
        frames=frames,
        study_text=(folder / STUDY_FILE).read_text(encoding="utf-8"),
        provenance=provenance,
        states=run_states(study, folder),
        warnings=[*dict.fromkeys(warnings)],
    )


def _without_unknown_columns(frames: Frames, study: Study, folder: Path) -> tuple[Frames, list[str]]:
    """Return tables without columns that are neither declared nor swept, and a notice of each that had some.

    They are of a plug-in that is not installed here; left in, they would count as swept settings. A summary
    may name a reading by a column of the table that it summarizes, such as num_points.
    """
    expected = {column_name(key) for key in study.axes}
    expected |= {name for table in DECLARED.values() for name in table.names}
    known, notices = dict(frames), []
    for name, frame in frames.items():
        if unknown := [column for column in DECLARED[name].settings(frame) if column not in expected]:
            known[name] = frame.drop(columns=unknown)
            notices.append(
                f"{folder / name}.csv: without {', '.join(unknown)}, which no setting of the study and no "
                "column of this spaceprobe is called; install the plug-in that it comes from to have it"
            )
    return Frames(known, DECLARED.values()), notices


def _check_runs(study: Study, folder: Path, runs: pd.DataFrame) -> None:
    """Check that the tables are of the study as it was last started.

    Raises:
        SpaceprobeError: a run is not in the study: it was started with other settings and did not end.
    """
    known = {run.name for run in expand(study)}
    unknown = [name for name in runs["run"] if name not in known]
    if unknown:
        raise SpaceprobeError(
            f"{folder / 'runs.csv'}: contains {unknown[0]}, which is not a run of the study as it was last "
            f"started ({folder / STUDY_FILE}); `spaceprobe run` writes its tables again"
        )


def _read_frames(folder: Path) -> Frames:
    frames = {}
    for name, table in DECLARED.items():
        path = folder / f"{name}.csv"
        if not os.path.lexists(path):
            continue
        frame = read_csv(path)
        missing = table.lacking(frame)
        _check_names(path, table, frame)
        if missing:
            raise SpaceprobeError(
                f"{path}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; move it away, and "
                "`spaceprobe run` writes it again"
            )
        other_states = {*frame["state"].dropna()} - {*STATES} if "state" in table.names else None
        if other_states:
            raise SpaceprobeError(
                f"{path}: has the state {min(map(str, other_states))} of an earlier version; `spaceprobe "
                "run` writes it again, with --trust-code from what that version computed"
            )
        # An empty setting counts as a number to pandas, and as text in the table of runs that failed with it.
        empty = [column for column in table.settings(frame) if frame[column].isna().all()]
        frame = table.with_later_columns(frame)
        frames[name] = frame.astype(dict.fromkeys(empty, object))
    return Frames(frames, DECLARED.values())


def _check_names(path: Path, table: Table, frame: pd.DataFrame) -> None:
    """Check that a table is not one in which an earlier version called something otherwise.

    Raises:
        SpaceprobeError: it is.
    """
    for column in table.columns:
        old, suffix = column.earlier_name, column.earlier_suffix
        has_old_values = False
        if suffix is not None and column.name in frame:
            has_old_values = bool(frame[column.name].astype(str).str.endswith(suffix).any())
        if (old in frame and column.name not in frame) or has_old_values:
            what = f'values that end in "{suffix}"' if has_old_values else f"the column {old}"
            raise SpaceprobeError(
                f"{path}: has {what}, as an earlier version wrote it; `spaceprobe {_stage_of(table.name)}` "
                "writes it again, with --trust-code from what that version computed"
            )


def _stage_of(table: str) -> str:
    """Return the name of the stage that writes a table."""
    return next(stage.name for stage in STAGES if table in [each.name for each in stage.tables])


def read_csv(path: Path) -> pd.DataFrame:
    """Return a table as it is in its file: an empty cell is NaN, but "NA" or "None" is text.

    Raises:
        SpaceprobeError: it is not a table.
    """
    try:
        if not path.is_file():
            raise SpaceprobeError(
                f"{path}: is not a file; move it away, and `spaceprobe run` writes it again"
            )
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            raise SpaceprobeError(f"{path}: is cut off; `spaceprobe run` writes it again")
        return pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SpaceprobeError(
            f"{path}: cannot be read ({reason}); `spaceprobe run` writes it again"
        ) from None
