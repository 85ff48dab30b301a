"""The tables of a study, put together from the finished parts of its runs."""

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaceprobe.files import remove
from spaceprobe.stages import STAGES, TABLES, run_stage_named, stage_named
from spaceprobe.stages.stage import FinishedPart, Rows, RunStage, Sections, Stage, StudyStage
from spaceprobe.study.code_version import is_edited, table_version
from spaceprobe.study.config import Study
from spaceprobe.study.events import job_states
from spaceprobe.study.grid import Run, swept_probe_values, value_of, varying_probe_settings
from spaceprobe.study.layout import EVENTS, table_path
from spaceprobe.study.parts import Obstacle, StudyParts
from spaceprobe.study.storage.part_files import StoredPart
from spaceprobe.study.storage.part_store import Stamp, stamp_of
from spaceprobe.tables.frames import Frames, build_frame, cell_of, column_name, write_csv
from spaceprobe.tables.table import Column, Table

if TYPE_CHECKING:
    import pandas as pd

TIMINGS = Table(
    "timings",
    key=("stage", "part"),
    columns=(
        Column("stage", "text", "the stage that computed the part"),
        Column("part", "text", "the part's file in the folder of its run"),
        Column("duration_s", "number", "wall-clock time that it took, in seconds", rerun_rtol=math.inf),
    ),
    meaning="one part of the results of a run and how long it took",
)
"""A table of its own: the others contain the same bytes on every repetition."""


class StudyTables:
    """Puts the finished parts of a study's runs together and writes its CSVs."""

    def __init__(self, study: Study, folder: Path, parts: StudyParts) -> None:
        """Take a study, its folder of results and its parts; nothing is read yet."""
        self._study = study
        self._folder = folder
        self._parts = parts
        self._frames: dict[str, tuple[str, dict[str, pd.DataFrame]]] = {}
        self._failures_read: tuple[Stamp | None, Mapping[tuple[str, str], str]] | None = None
        self._code = table_version()

    def write(self, stage: Stage) -> None:
        """Write the tables of a stage, with its summary and warnings, unless they would not change.

        Raises:
            ResultsError: one cannot be written, or one that is not asked for cannot be removed.
        """
        sources = self._sources(stage)
        memo = self._parts.store.memo(stage.name)
        while not self._fits(memo, stage, sources):
            frames = self.frames(stage)
            asked = self._asked(stage) & {*frames}
            digests: dict[str, str] = {}
            for table in stage.tables:
                path = table_path(self._folder, table.name)
                if table.name in asked:
                    digests[table.name] = write_csv(path, frames[table.name])
                else:
                    remove(path)
            memo = {
                "sources": sources,
                "files": self._stamps(stage),
                "digests": digests,
                "text": stage.present(frames),
                "warnings": [*(stage.warn(frames) if stage.warn else [])],
            }
            self._parts.store.set_memo(stage.name, memo)
            # Another runner may have added parts meanwhile: the last one to write has seen all of them.
            self._parts.forget()
            sources = self._sources(stage)
        if isinstance(stage, RunStage):
            self._write_timings()
        if is_edited():  # the code that wrote the tables is not the one in the files, which is used next time
            self._parts.store.set_memo(stage.name, {**memo, "sources": ""})
        self._parts.store.save()

    def _asked(self, stage: Stage) -> set[str]:
        """Return the names of the tables of a stage that the settings ask for."""
        if not isinstance(stage, RunStage) or stage.asked_tables is None:
            return {table.name for table in stage.tables}
        every = (sections for run in self._parts.runs for sections in run.variants(stage))
        return {table.name for sections in every for table in stage.asked_tables(sections)}

    def refresh(self, written: Collection[Stage]) -> list[Stage]:
        """Write again those tables of other stages that are there but out of date.

        Args:
            written: the stages whose tables were just written.

        Returns:
            The stages whose tables changed.

        Raises:
            ResultsError: one cannot be written.
        """
        changed = []
        for stage in STAGES:
            is_there = self._parts.store.memo(stage.name) is not None
            if stage not in written and is_there and not self.is_current(stage):
                self.write(stage)
                changed.append(stage)
        return changed

    def is_current(self, stage: Stage) -> bool:
        """Return whether the tables of a stage are there and hold what they come from."""
        return self._fits(self._parts.store.memo(stage.name), stage, self._sources(stage))

    def _fits(self, memo: Any, stage: Stage, sources: str) -> bool:
        """Return whether tables are as they were noted, by their stamps, with digests to check copies by."""
        return (
            memo is not None
            and "digests" in memo
            and memo["sources"] == sources
            and memo["files"] == self._stamps(stage)
        )

    def summary(self, stage: Stage) -> tuple[str, list[str]]:
        """Return the summary of a stage's tables, and its warnings, as they were last written."""
        memo = self._parts.store.memo(stage.name)
        return memo["text"], memo["warnings"]

    def frames(self, stage: Stage) -> Frames:
        """Return the tables of a stage and of the stages that it needs, from the finished parts."""
        needed: dict[str, pd.DataFrame] = {}
        for name in stage.needs:
            needed |= self.frames(stage_named(name))
        if isinstance(stage, StudyStage):
            reduced = stage.reduce(self._study.sections, Frames(needed, TABLES))
            return Frames({**needed, **reduced}, TABLES)
        sources = self._sources(stage)
        if self._frames.get(stage.name, ("",))[0] != sources:  # parts are read once, not per use
            self._frames[stage.name] = sources, self._read_frames(run_stage_named(stage.name))
        return Frames({**needed, **self._frames[stage.name][1]}, TABLES)

    def _sources(self, stage: Stage) -> str:
        """Return a digest of everything that the tables of a stage and their summary come from."""
        sources: list[Any] = [self._sources(stage_named(name)) for name in stage.needs]
        if isinstance(stage, RunStage):
            finished = self._finished_parts(stage)
            sources += [[run.name, run.axes, part.part.path, part.stamp] for run, part in finished]
            sources += [[run.name, run.axes, reason] for run, reason in self._failed(stage)]
            sources += [*self._failed_later(stage).items()]
        sources += [self._study.resolved(), self._code]
        return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()

    def _finished_parts(self, stage: RunStage) -> Iterator[tuple[Run, FinishedPart]]:
        for run in self._parts.runs:
            for sections in run.variants(stage):
                parts = self._parts.look(stage, run, sections)
                for part in [] if isinstance(parts, Obstacle) else parts:
                    if isinstance(part, FinishedPart):
                        yield run, part

    def _failed(self, stage: RunStage) -> list[tuple[Run, str]]:
        """Return the runs of which a stage has no finished part since it failed, and why."""
        reasons = self._failures() if stage.tabulate_failed is not None else {}
        if not reasons:
            return []
        finished = {run.name for run, _ in self._finished_parts(stage)}
        failed = [(run, reasons.get((stage.name, run.name))) for run in self._parts.runs]
        return [(run, why) for run, why in failed if why is not None and run.name not in finished]

    def _failed_later(self, stage: RunStage) -> dict[str, str]:
        """Return why runs failed in stages that need this one, by run: the first of these stages."""
        reasons = self._failures() if stage.tabulate_failed is not None else {}
        later = [other for other in STAGES if isinstance(other, RunStage) and stage.name in other.needs]
        failed: dict[str, str] = {}
        for run in self._parts.runs:
            for other in later:
                why = reasons.get((other.name, run.name))
                if why is not None and run.name not in failed and not self._is_whole(other, run):
                    failed[run.name] = f"{other.name}: {why}"
        return failed

    def _failures(self) -> Mapping[tuple[str, str], str]:
        """Return why jobs failed when they were last tried; read again when there are new events."""
        stamp = stamp_of(self._folder / EVENTS)
        if self._failures_read is None or self._failures_read[0] != stamp:
            self._failures_read = stamp, job_states(self._folder).failed
        return self._failures_read[1]

    def _is_whole(self, stage: RunStage, run: Run) -> bool:
        looked = [self._parts.look(stage, run, sections) for sections in run.variants(stage)]
        return all(
            not isinstance(parts, Obstacle) and all(isinstance(part, FinishedPart) for part in parts)
            for parts in looked
        )

    def _stamps(self, stage: Stage) -> list[Stamp | None]:
        return [stamp_of(table_path(self._folder, table.name)) for table in stage.tables]

    def _write_timings(self) -> None:
        store = self._parts.store
        memos = {stage.name: store.memo(stage.name) for stage in STAGES if isinstance(stage, RunStage)}
        stages = [run_stage_named(name) for name, memo in memos.items() if memo is not None]
        path = table_path(self._folder, TIMINGS.name)
        sources = [memos[stage.name]["sources"] for stage in stages]
        memo = store.memo(TIMINGS.name)
        if memo is not None and len(memo) == 3 and memo[:2] == [sources, stamp_of(path)]:
            return
        rows = [
            {"run": run.name, "stage": stage.name, "part": part.part.path, "duration_s": part.duration_s}
            for stage in stages
            for run, part in self._finished_parts(stage)
        ]
        orders = {"run": [run.name for run in self._parts.runs]}
        digest = write_csv(path, build_frame(TIMINGS, rows, orders=orders))
        store.set_memo(TIMINGS.name, [sources, stamp_of(path), digest])

    def _read_frames(self, stage: RunStage) -> "dict[str, pd.DataFrame]":
        rows: dict[str, list[Mapping[str, Any]]] = {table.name: [] for table in stage.tables}
        runs = self._parts.runs
        varying = varying_probe_settings(runs, stage)

        def add(run: Run, sections: Sections, tabulated: Rows) -> None:
            settings = {column_name(key): cell_of(value) for key, value in run.axes.items()}
            variant = {column_name(key): cell_of(value_of(sections, key)) for key in varying}
            for name, of_run in tabulated.items():
                rows[name].extend({"run": run.name, **settings, **variant, **row} for row in of_run)

        for run, sections, finished in self._finished(stage):
            add(run, sections, stage.tabulate(sections, [(part.part, part.content) for part in finished]))
        if stage.tabulate_failed is not None:
            for run, reason in self._failed(stage):
                for sections in run.variants(stage):
                    add(run, sections, stage.tabulate_failed(sections, reason))
        failed_later = self._failed_later(stage)
        for table in stage.tables if failed_later else ():
            if "error" in table.names:
                rows[table.name] = [
                    {**row, "error": row["error"] or failed_later.get(row["run"])} for row in rows[table.name]
                ]
        swept = [column_name(key) for key in runs[0].axes]
        orders: dict[str, Sequence[object]] = {"run": [run.name for run in runs]}
        for key, values in swept_probe_values(runs, stage).items():
            orders[column_name(key)] = [*dict.fromkeys(map(cell_of, values))]
        return {
            table.name: build_frame(
                table,
                rows[table.name],
                key_columns=[column_name(key) for key in varying],
                settings=swept,
                orders=orders,
            )
            for table in stage.tables
        }

    def _finished(self, stage: RunStage) -> Iterator[tuple[Run, Sections, list[StoredPart]]]:
        for run in self._parts.runs:
            for sections in run.variants(stage):
                parts = [*self._parts.read(stage, run, sections)]
                if parts:
                    yield run, sections, parts
