"""The tables of a study, put together from the finished parts of its runs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spaceprobe.data.idx_files import DataError
from spaceprobe.errors import SpaceprobeError
from spaceprobe.study.config import Study
from spaceprobe.study.grid import Run, value_of, varying_probe_settings
from spaceprobe.study.results import Stale, StoredPart, file_digest, read_part, write_whole
from spaceprobe.study.stage import RunStage, Sections, Stage, StudyStage, Table
from spaceprobe.study.stages import STAGES, stage_named

TIMINGS = Table("timings", key=("stage", "part"), columns=("stage", "part", "duration_s"))
"""Wall-clock times, in a table of their own: the others hold the same bytes on every repetition."""


class StudyTables:
    """Reads the parts of a study's runs and writes its CSVs."""

    def __init__(self, study: Study, folder: Path, runs: Sequence[Run]) -> None:
        """Takes a study, its folder of results and its runs; reads nothing yet."""
        self._study = study
        self._folder = folder
        self._runs = runs
        self._read: dict[str, dict[str, pd.DataFrame]] = {}  # by stage: parts are read once, not per use

    def run_folder(self, run: Run) -> Path:
        """Returns the folder of a run."""
        return self._folder / "runs" / run.name

    def stored(self, stage: RunStage, run: Run, sections: Sections) -> Iterator[StoredPart | Stale]:
        """Yields every part that is asked for, as it is on disk; none where an input lacks."""
        inputs = {}
        for name in stage.needs:
            found = list(self.stored(run_stage_named(name), run, sections))
            contents = [part.content for part in found if isinstance(part, StoredPart)]
            if not contents or len(contents) < len(found) or any(content.error for content in contents):
                return
            inputs[name] = contents
        try:
            parts = stage.plan(sections, inputs)
        except DataError:  # without its data a run has no parts; the runner says so
            return
        for part in parts:
            yield read_part(self.run_folder(run), part)

    def frames(self, stage: Stage) -> dict[str, pd.DataFrame]:
        """Returns the tables of a stage and of the stages that it needs."""
        needed: dict[str, pd.DataFrame] = {}
        for name in stage.needs:
            needed |= self.frames(stage_named(name))
        if isinstance(stage, StudyStage):
            return needed | dict(stage.reduce(self._study.sections, needed))
        return needed | self._run_frames(run_stage_named(stage.name))

    def write(self, stage: Stage) -> None:
        """Reads the parts of a stage anew and writes its tables.

        Raises:
            ResultsError: one cannot be written.
        """
        self._read.pop(stage.name, None)
        frames = self.frames(stage)
        for table in stage.tables:
            write_csv(self._folder / f"{table.name}.csv", frames[table.name])
        if isinstance(stage, RunStage):
            timed = [s for s in STAGES if isinstance(s, RunStage)]
            frame = pd.concat([self._run_frames(s)[TIMINGS.name] for s in timed], ignore_index=True)
            frame = frame.sort_values(["run", *TIMINGS.key], kind="stable", ignore_index=True)
            write_csv(self._folder / f"{TIMINGS.name}.csv", frame)

    def _run_frames(self, stage: RunStage) -> dict[str, pd.DataFrame]:
        if stage.name not in self._read:
            self._read[stage.name] = self._read_frames(stage)
        return self._read[stage.name]

    def _read_frames(self, stage: RunStage) -> dict[str, pd.DataFrame]:
        timings: list[Mapping[str, Any]] = []
        rows: dict[str, list[Mapping[str, Any]]] = {table.name: [] for table in stage.tables}
        varying = varying_probe_settings(self._runs, stage)
        for run, sections, finished in self._finished(stage):
            settings = {column_name(key): _cell(value) for key, value in run.axes.items()}
            variant = {column_name(key): _cell(value_of(sections, key)) for key in varying}
            where = {"run": run.name, "stage": stage.name}
            timings += [{**where, "part": p.part.path, "duration_s": p.duration_s} for p in finished]
            tabulated = stage.tabulate(sections, [(part.part, part.content) for part in finished])
            for name, some in tabulated.items():
                rows[name].extend({"run": run.name, **settings, **variant, **row} for row in some)
        swept = [column_name(key) for key in self._runs[0].axes]
        frames = {
            table.name: build_frame(
                table,
                rows[table.name],
                key_columns=[column_name(key) for key in varying],
                settings=swept,
            )
            for table in stage.tables
        }
        return {**frames, TIMINGS.name: build_frame(TIMINGS, timings)}

    def _finished(self, stage: RunStage) -> Iterator[tuple[Run, Sections, list[StoredPart]]]:
        for run in self._runs:
            for sections in run.variants(stage):
                parts = [p for p in self.stored(stage, run, sections) if isinstance(p, StoredPart)]
                if parts:
                    yield run, sections, parts


def read_tables(folder: str | Path) -> dict[str, pd.DataFrame]:
    """Returns the tables of a study by name, such as ``folding``.

    Args:
        folder: the study's folder, such as ``results/depth-sweep``.

    Raises:
        SpaceprobeError: there is no table in it.
    """
    paths = sorted(Path(folder).glob("*.csv"))
    if not paths:
        raise SpaceprobeError(f"{folder}: holds no table of a study; give one such as results/quickstart")
    return {path.stem: pd.read_csv(path) for path in paths}


def run_stage_named(name: str) -> RunStage:
    """Returns the stage of that name that computes parts for each run."""
    stage = stage_named(name)
    if not isinstance(stage, RunStage):
        raise TypeError(f"stage {name} computes nothing for a run")
    return stage


def column_name(key: str) -> str:
    """Returns the column of a setting: ``learning_rate`` of ``training.learning_rate``."""
    return key.rpartition(".")[2]


def build_frame(
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    key_columns: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> pd.DataFrame:
    """Returns rows as a frame with the table's columns, sorted by run and key.

    Args:
        table: its key and columns.
        rows: in any order; what a row lacks becomes an empty cell.
        key_columns: further columns of its key, after the run.
        settings: a run's swept settings, which some tables show.
    """
    names = ["run", *(name for name in key_columns if name not in table.columns), *table.columns]
    if table.settings_after is not None:
        place = names.index(table.settings_after) + 1
        names[place:place] = [name for name in settings if name not in names]
    frame = pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})
    keys = dict.fromkeys(["run", *key_columns, *table.key])
    return frame.sort_values(list(keys), kind="stable", ignore_index=True)


def _cell(setting: object) -> object:
    """Returns a setting as a cell of a table: a list as text, the way that a flag takes it."""
    return ",".join(map(str, setting)) if isinstance(setting, list | tuple) else setting


def _column(values: Sequence[Any]) -> "pd.Series[Any]":
    """Returns a column that keeps integers integers where cells are empty."""
    present = [value for value in values if value is not None]
    if len(present) < len(values) and all(type(value) is int for value in present):
        return pd.Series(values, dtype="Int64")
    return pd.Series(values, dtype=None if present else object)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Writes UTF-8, newlines, floats by repr; a file that would not change is left alone."""
    data = frame.to_csv(index=False, lineterminator="\n").encode()
    if file_digest(path) != hashlib.sha256(data).hexdigest():
        write_whole(path, data)
