"""What a report is made from: the tables of a study, and what its folder says about how they came to be."""

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.results.status import RunStatus, run_states
from spaceprobe.stages import STAGES, TABLES
from spaceprobe.study.config import Study
from spaceprobe.study.grid import expand
from spaceprobe.study.layout import PROVENANCE, STUDY_FILE
from spaceprobe.study.storage.part_store import PartStore
from spaceprobe.tables.frames import Frames

if TYPE_CHECKING:
    from spaceprobe.results.examples import Example, WalkExample


class NoRunsError(SpaceprobeError):
    """A study has no run that could be reported, not even as failed."""


@dataclass(frozen=True)
class Results:
    """A study's results.

    Attributes:
        study: the study as it was last started.
        folder: its folder of results.
        frames: its tables by name, those without rows included; what was not computed yet is not there.
        study_text: study.yaml.
        provenance: provenance.json; empty where there is none.
        states: how far each run is in each stage.
        warnings: what the stages warn of, each once.
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
    def example(self) -> "Example | str":
        """The path that is shown of the study, or why there is none. It is walked the first time."""
        from spaceprobe.results.examples import example_path  # here: it needs torch, as no other figure does

        return example_path(self.study, self.folder, self.frames)

    @cached_property
    def cantor(self) -> "WalkExample":
        """The path across CantorNet, whose folding is known."""
        from spaceprobe.results.examples import cantor_example

        return cantor_example()


def load_results(study: Study, folder: Path) -> Results:
    """Return the results of a study that was started.

    Args:
        study: the study.
        folder: its folder of results.

    Raises:
        NoRunsError: it has no run yet.
        SpaceprobeError: a table is none of this version's, or not of this study as it is.
    """
    frames = _read_frames(folder)
    if "runs" not in frames or frames["runs"].empty:
        raise NoRunsError(f"{folder / 'runs.csv'}: holds no run yet; `spaceprobe run` comes first")
    _check_runs(study, folder, frames["runs"])
    store = PartStore(folder)
    memos = [store.memo(stage.name) for stage in STAGES]
    warnings = [words for memo in memos if memo is not None for words in memo["warnings"]]
    return Results(
        study=study,
        folder=folder,
        frames=frames,
        study_text=(folder / STUDY_FILE).read_text(encoding="utf-8"),
        provenance=_read_provenance(folder / PROVENANCE),
        states=run_states(study, folder),
        warnings=[*dict.fromkeys(warnings)],
    )


def _check_runs(study: Study, folder: Path, runs: pd.DataFrame) -> None:
    """Check that the tables are of the study as it was last started.

    Raises:
        SpaceprobeError: it has no such runs: it was started with other settings, and not taken to its end.
    """
    known = {run.name for run in expand(study)}
    strangers = [name for name in runs["run"] if name not in known]
    if strangers:
        raise SpaceprobeError(
            f"{folder / 'runs.csv'}: holds {strangers[0]}, which is no run of the study as it was last "
            f"started ({folder / STUDY_FILE}); `spaceprobe run` writes the tables of that anew"
        )


def _read_frames(folder: Path) -> Frames:
    frames = {}
    for table in TABLES:
        path = folder / f"{table.name}.csv"
        if not os.path.lexists(path):
            continue
        frame = read_csv(path)
        lacking = [name for name in table.names if name not in frame.columns]
        if lacking:
            raise SpaceprobeError(
                f"{path}: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; move it away, and "
                "`spaceprobe run` writes it anew"
            )
        frames[table.name] = frame
    return Frames(frames, TABLES)


def read_csv(path: Path) -> pd.DataFrame:
    """Return a table as its file has it: an empty cell is NaN, but «NA» or «None» is what somebody wrote.

    Raises:
        SpaceprobeError: it is no table.
    """
    try:
        if not path.is_file():
            raise SpaceprobeError(f"{path}: is no file; move it away, and `spaceprobe run` writes it anew")
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            raise SpaceprobeError(f"{path}: is cut off; `spaceprobe run` writes it anew")
        return pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SpaceprobeError(f"{path}: cannot be read ({reason}); `spaceprobe run` writes it anew") from None


def _read_provenance(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        found, reason = None, str(error)
    else:
        reason = f"a mapping of facts is needed, not {type(found).__name__}"
    if isinstance(found, dict):
        return found
    raise SpaceprobeError(
        f"{path}: cannot be read ({reason}); move it away, the next `spaceprobe run` that computes something "
        "writes one"
    )
