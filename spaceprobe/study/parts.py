"""What a study asks of its folder of results: which parts, and which of them are there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from spaceprobe.data.idx_files import DataError
from spaceprobe.stages import run_stage_named
from spaceprobe.stages.stage import Inputs, Part, RunStage, Sections
from spaceprobe.study.config import section_models
from spaceprobe.study.grid import Run
from spaceprobe.study.code_version import code_version
from spaceprobe.study.storage.part_files import Expected, Stale, StoredPart, read_key
from spaceprobe.study.storage.part_store import Finished, PartStore
from spaceprobe.study.storage.reasons import differences, is_alike


@dataclass(frozen=True)
class Lacking:
    """Why it cannot be said which parts a stage has on a run.

    Attributes:
        reason: in words.
        stage: the stage whose parts lack; None where it is not for lack of them.
    """

    reason: str
    stage: str | None = None


class StudyParts:
    """The parts of a study's runs.

    Attributes:
        folder: the study's folder.
        runs: the study's runs.
        store: where parts are looked up.
    """

    def __init__(self, folder: Path, runs: Sequence[Run], *, trusts_code: bool = False) -> None:
        """Take the study's folder and runs.

        Args:
            folder: the study's folder.
            runs: its runs.
            trusts_code: whether parts are taken whatever version of the code made them.
        """
        self.folder = folder
        self.runs = runs
        self.store = PartStore(folder)
        self._trusts_code = trusts_code
        self._looked: dict[tuple[object, ...], list[Finished | Stale] | Lacking] = {}
        self._strangers: dict[str, list[Path]] | None = None

    def run_folder(self, run: Run) -> Path:
        """Return the folder of a run."""
        return self.folder / "runs" / run.name

    def look(self, stage: RunStage, run: Run, sections: Sections) -> list[Finished | Stale] | Lacking:
        """Return every part that a stage has on a run, finished or not; looked up once until `forget`."""
        place = (stage.name, run.name, *(id(settings) for settings in sections.values()))
        if place not in self._looked:
            parts = self._asked(stage, run, sections)
            if isinstance(parts, Lacking):
                self._looked[place] = parts
            else:
                folder, expected = self.run_folder(run), self._expected(stage, sections)
                self._looked[place] = [self.store.look(folder, part, expected) for part in parts]
        return self._looked[place]

    def forget(self) -> None:
        """Forget what was looked up, since it may have changed."""
        self._looked.clear()
        self._strangers = None

    def read(self, stage: RunStage, run: Run, sections: Sections) -> Iterator[StoredPart]:
        """Yield the finished parts that a stage has on a run, with what they hold."""
        parts = self._asked(stage, run, sections)
        for part in [] if isinstance(parts, Lacking) else parts:
            stored = self.store.read(self.run_folder(run), part, self._expected(stage, sections))
            if isinstance(stored, StoredPart):
                yield stored

    def inputs(self, stage: RunStage, run: Run, sections: Sections) -> Inputs | Lacking:
        """Return what the parts stand for that a stage needs of a run."""
        inputs = {}
        for name in stage.needs:
            found = self.look(run_stage_named(name), run, sections)
            if isinstance(found, Lacking):
                return found
            vouched = []
            for part in found:
                if isinstance(part, Stale):
                    return Lacking(f"{part.reason}: `spaceprobe {name}` comes first", name)
                if part.vouched.error is not None:
                    return Lacking(part.vouched.error)
                vouched.append(part.vouched)
            if not vouched:
                return Lacking(f"`spaceprobe {name}` has nothing of it")
            inputs[name] = vouched
        return inputs

    def why(self, stage: RunStage, run: Run, stale: Stale) -> str:
        """Return why a part has to be computed: how it differs from its like, where it is not there itself.

        That is the same part under other settings of the stage, or else of a run with the same label that is
        none of this study's (any more).
        """
        if not stale.is_missing:
            return stale.reason
        own = self.run_folder(run)
        pattern = stale.part.kin or stale.part.path
        if self._strangers is None:
            self._strangers = self._find_strangers()
        others = self._strangers.get(_label(run.name), [])
        asked = stale.part.key
        keys = [read_key(path) for folder in (own, *others) for path in sorted(folder.glob(pattern))]
        alike = [key for key in keys if key is not None and is_alike(key, asked)]
        found = [differences(key, asked, section_defaults()) for key in alike]
        changes = sorted([words for words in found if words], key=len)  # the likest tells best what is new
        return ", ".join(changes[0]) if changes else "not there yet"

    def _find_strangers(self) -> dict[str, list[Path]]:
        """Return the folders of runs that are none of this study's (any more), by their label."""
        folder = self.folder / "runs"
        known = {run.name for run in self.runs}
        strangers: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name not in known:
                strangers.setdefault(_label(path.name), []).append(path)
        return strangers

    def _asked(self, stage: RunStage, run: Run, sections: Sections) -> list[Part] | Lacking:
        inputs = self.inputs(stage, run, sections)
        if isinstance(inputs, Lacking):
            return inputs
        try:
            return stage.plan(sections, inputs)
        except DataError as error:  # of this run's dataset: others may have theirs
            return Lacking(str(error))

    def _expected(self, stage: RunStage, sections: Sections) -> Expected:
        code = None if self._trusts_code else code_version(stage, sections)
        return Expected(code, section_defaults(), stage.subject)


def _label(name: str) -> str:
    """Return a run's name without the hash at its end."""
    return name.rpartition("-")[0]


@cache
def section_defaults() -> Mapping[str, Mapping[str, Any]]:
    """Return the settings of each section of a study file as they are where nobody sets them."""
    return {name: model().model_dump(mode="json") for name, model in section_models().items()}
