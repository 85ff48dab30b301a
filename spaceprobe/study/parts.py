"""The parts that a study asks of its results folder, and which of them are finished."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spaceprobe.data.entry import DataError
from spaceprobe.stages import run_stage_named
from spaceprobe.stages.stage import FinishedPart, Inputs, Part, RunStage, Sections
from spaceprobe.study.code_version import code_version
from spaceprobe.study.grid import Run
from spaceprobe.study.layout import RUNS
from spaceprobe.study.storage.part_files import StalePart, StoredPart, read_key
from spaceprobe.study.storage.part_store import PartStore
from spaceprobe.study.storage.reasons import differences, is_same_epoch


@dataclass(frozen=True)
class Obstacle:
    """Why it is not known which parts a stage has on a run.

    Attributes:
        reason: in words.
        is_result: whether it is itself a result: an earlier stage was computed on the run, and failed.
    """

    reason: str
    is_result: bool = False


class StudyParts:
    """The parts of a study's runs.

    Attributes:
        folder: the study's folder.
        runs: the study's runs.
        store: looks parts up.
    """

    def __init__(
        self,
        folder: Path,
        runs: Sequence[Run],
        *,
        trusts_code: bool = False,
        store: PartStore | None = None,
    ) -> None:
        """Take the study's folder and runs.

        Args:
            folder: the study's folder.
            runs: its runs.
            trusts_code: whether parts count whatever version of the code computed them.
            store: looks parts up; None for a new one.
        """
        self.folder = folder
        self.runs = runs
        self.store = PartStore(folder) if store is None else store
        self._trusts_code = trusts_code
        self._looked_up: dict[tuple[object, ...], list[FinishedPart | StalePart] | Obstacle] = {}
        self._other_runs: dict[str, list[Path]] | None = None

    def run_folder(self, run: Run) -> Path:
        """Return the folder of a run."""
        return self.folder / RUNS / run.name

    def look(
        self, stage: RunStage, run: Run, sections: Sections
    ) -> list[FinishedPart | StalePart] | Obstacle:
        """Return every part that a stage has on a run, finished or not; looked up once until `forget`."""
        name = (stage.name, run.name, *(id(settings) for settings in sections.values()))
        if name not in self._looked_up:
            parts = self._planned(stage, run, sections)
            if isinstance(parts, Obstacle):
                self._looked_up[name] = parts
            else:
                folder, code = self.run_folder(run), self._code(stage, sections)
                self._looked_up[name] = [self.store.look(folder, part, code) for part in parts]
        return self._looked_up[name]

    def forget(self) -> None:
        """Forget what was looked up, since it may have changed."""
        self._looked_up.clear()
        self._other_runs = None

    def read(self, stage: RunStage, run: Run, sections: Sections) -> Iterator[StoredPart]:
        """Yield the finished parts that a stage has on a run, with what they hold."""
        parts = self._planned(stage, run, sections)
        for part in [] if isinstance(parts, Obstacle) else parts:
            stored = self.store.read(self.run_folder(run), part, self._code(stage, sections))
            if isinstance(stored, StoredPart):
                yield stored

    def inputs(self, stage: RunStage, run: Run, sections: Sections) -> Inputs | Obstacle:
        """Return the finished parts that a stage needs of a run, or why it cannot have them."""
        inputs = {}
        for name in stage.needs:
            parts = self.look(run_stage_named(name), run, sections)
            if isinstance(parts, Obstacle):
                return parts
            finished = []
            for part in parts:
                if isinstance(part, StalePart):
                    return Obstacle(f"{part.reason}: `spaceprobe {name}` comes first")
                if part.error is not None:
                    return Obstacle(part.error, is_result=True)
                finished.append(part)
            if not finished:
                return Obstacle(f"`spaceprobe {name}` has no result for it")
            inputs[name] = finished
        return inputs

    def why(self, run: Run, stale: StalePart) -> str:
        """Return why a part has to be computed.

        A part that was never stored is compared with the same part under other settings: of this run, or of a
        run with the same label that the study does not have (any more).
        """
        if not stale.is_missing:
            return stale.reason
        if self._other_runs is None:
            self._other_runs = self._find_other_runs()
        folders = [self.run_folder(run), *self._other_runs.get(_label(run.name), [])]
        pattern, asked = stale.part.siblings or stale.part.path, stale.part.key
        keys = [read_key(path) for folder in folders for path in sorted(folder.glob(pattern))]
        changes = [differences(key, asked) for key in keys if key is not None and is_same_epoch(key, asked)]
        closest = min((change for change in changes if change), key=len, default=["not there yet"])
        return ", ".join(closest)

    def _find_other_runs(self) -> dict[str, list[Path]]:
        """Return the folders of runs that the study does not have (any more), by their label."""
        folder = self.folder / RUNS
        names = {run.name for run in self.runs}
        other_runs: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name not in names:
                other_runs.setdefault(_label(path.name), []).append(path)
        return other_runs

    def _planned(self, stage: RunStage, run: Run, sections: Sections) -> list[Part] | Obstacle:
        inputs = self.inputs(stage, run, sections)
        if isinstance(inputs, Obstacle):
            return inputs
        try:
            return stage.plan(sections, inputs)
        except DataError as error:  # of this run's dataset: the other runs may have theirs
            return Obstacle(str(error))

    def _code(self, stage: RunStage, sections: Sections) -> str | None:
        return None if self._trusts_code else code_version(stage, sections)


def _label(name: str) -> str:
    """Return a run's name without the hash at its end."""
    return name.rpartition("-")[0]
