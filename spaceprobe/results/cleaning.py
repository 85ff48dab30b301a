"""Finds what a study's folder of results holds beyond what belongs to the study, and removes it.

What belongs are the runs of the study as it was last started and as its file says now, and all that these
ask for, whatever version of the code computed it. Without its file, finished runs stay, since the last start
may have been with another setting for once. Of a run that belongs, a result for other settings stays
as well, since it comes back with them, unless an earlier version of the code computed it: then it would be
computed again. Only files that spaceprobe writes are removed, and no link is followed or removed.
"""

import itertools
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from spaceprobe.errors import SpaceprobeError
from spaceprobe.files import abandoned, remove
from spaceprobe.results.folder_size import FolderSize, size_of
from spaceprobe.results.started import find_started, kept_folder
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import ChoosesCode, FinishedPart, RunStage, Stage
from spaceprobe.study.code_version import code_version
from spaceprobe.study.config import Study, load_study
from spaceprobe.study.config.finding import find_config
from spaceprobe.study.config.problems import ConfigError
from spaceprobe.study.grid import expand
from spaceprobe.study.layout import RUN_LOG, RUNS
from spaceprobe.study.parts import Obstacle, StudyParts
from spaceprobe.study.running.heartbeats import runners_at_work
from spaceprobe.study.storage.part_files import read_code

NOT_A_RUN = "not a run of the study, and not finished"
FINISHED = "finished runs that the study has neither as it was last started nor as its file says now"
EARLIER = "of other settings, by an earlier version"
ABANDONED = "half written by a process that is gone"

_OURS = re.compile(r"run\.log|.+\.(json|npz|safetensors)")
_RUN_NAME = re.compile(r".+-[0-9a-f]{6,64}")


class BusyError(SpaceprobeError):
    """A runner is at work on the study."""


@dataclass(frozen=True)
class Leftover:
    """Something that does not belong to the study.

    Attributes:
        path: a run's folder, a folder of it or a file.
        why: it does not belong.
        files: what is to be removed.
        size: of these files.
    """

    path: Path
    why: str
    files: Sequence[Path]
    size: FolderSize


@dataclass(frozen=True)
class Leftovers:
    """What a study's folder holds beyond what belongs to the study.

    Attributes:
        folder: the folder.
        found: what can be removed.
        foreign: what lies among the runs and was not made by spaceprobe, or is a link: it stays.
        finished: finished runs that the study as it was last started does not have, where its file was not
            found, so that nothing says whether they belong: they stay.
        size: of all that can be removed.
    """

    folder: Path
    found: Sequence[Leftover]
    foreign: Sequence[Path]
    finished: Sequence[Path] = ()

    @property
    def size(self) -> FolderSize:
        """How much can be removed."""
        return sum((leftover.size for leftover in self.found), FolderSize(0, 0))

    def lines(self) -> Iterator[str]:
        """Yield a line for each leftover with its size and why it does not belong, and for what stays."""
        if not self.found:
            rest = "" if self.finished else ", all results belong to the study"
            yield f"{self.folder}: nothing to remove{rest}"
        for why in dict.fromkeys(leftover.why for leftover in self.found):
            yield f"{why}:"
            found = [leftover for leftover in self.found if leftover.why == why]
            names = [f"  {leftover.path.relative_to(self.folder)}" for leftover in found]
            for name, leftover in zip(names, found, strict=True):
                yield f"{name:<{max(map(len, names))}}  {leftover.size}"
        if self.finished:
            yield (
                "finished runs of other settings than those of the last start, which stay: the study's file, "
                "which says whether they belong, was not found; `spaceprobe clean "
                f"PATH/{self.folder.name}.yaml` takes it into account:"
            )
        for path in self.finished:
            yield f"  {path.relative_to(self.folder)}"
        for path in self.foreign:
            kind = "a link" if path.is_symlink() else "not spaceprobe's"
            yield f"{path.relative_to(self.folder)} stays: it is {kind}"


def find_leftovers(config: str, results: Path) -> Leftovers:
    """Return what a study's folder holds beyond what belongs to the study; nothing is written.

    Args:
        config: the study, as `find_started` takes it.
        results: the folder with one folder for each study.

    Raises:
        SpaceprobeError: the study was never started there, or its file cannot be read, so that nothing says
            what belongs to it.
    """
    kept, folder = find_started(config, results)
    of_file = _as_its_file_says(config, kept.name)
    studies = [kept, *of_file]
    belonging = {run.name for study in studies for run in expand(study)}
    found: list[Leftover] = []
    foreign: list[Path] = []
    finished: list[Path] = []
    half_written = {*abandoned(folder)}
    runs = folder / RUNS
    if runs.is_symlink():
        return Leftovers(folder, (), (runs,))
    for path in sorted(runs.iterdir()) if runs.is_dir() else []:
        if path.name in belonging and not path.is_symlink():
            continue
        if path.name in belonging or not _is_run(path):
            foreign.append(path)
            continue
        is_finished = (path / "train.json").is_file()
        if is_finished and not of_file:
            finished.append(path)
            continue
        ours, others = _files_of(path, half_written)
        found.append(_leftover(path, FINISHED if is_finished else NOT_A_RUN, ours))
        foreign += others
    found += _by_earlier_versions(folder, studies)
    found += [_leftover(path, ABANDONED, [path]) for path in sorted(half_written)]
    return Leftovers(folder, _once(found), foreign, finished)


def check_idle(folder: Path) -> None:
    """Check that no runner is at work on a study.

    Raises:
        BusyError: one is.
    """
    num = len(runners_at_work(folder))
    if num:
        raise BusyError(
            f"{folder}: {num} runner{'s are' if num > 1 else ' is'} at work, so nothing is removed; "
            "wait for the end, or stop it"
        )


def remove_leftovers(leftovers: Leftovers) -> None:
    """Remove what does not belong, and the folders that it leaves empty.

    Raises:
        BusyError: a runner is at work.
        ResultsError: something cannot be removed.
    """
    check_idle(leftovers.folder)
    for leftover in leftovers.found:
        for path in leftover.files:
            remove(path)
        if leftover.path.is_dir():
            _remove_empty(leftover.path)


def _as_its_file_says(config: str, name: str) -> list[Study]:
    """Return the study as its file says now; nothing where it has none that can be found.

    A study that is named, or given by its folder, may have its file in the current folder.

    Raises:
        ConfigError: the file cannot be read.
    """
    places = [config] if kept_folder(config) is None else [name]
    for place in (*places, f"{name}.yaml"):
        try:
            path = find_config(place)
        except ConfigError:
            continue
        if path.is_file() and path.stem == name:
            return [load_study(path, name=name)]
    return []


def _is_run(path: Path) -> bool:
    """Return whether a folder is that of a run: it has such a name, and files of one."""
    if path.is_symlink() or not path.is_dir() or not _RUN_NAME.fullmatch(path.name):
        return False
    return any((path / name).is_file() for name in (RUN_LOG, "train.json", "model-epoch0.safetensors"))


def _files_of(folder: Path, half_written: Collection[Path] = ()) -> tuple[list[Path], list[Path]]:
    """Return the files of spaceprobe below a folder, and what else there is; links are not followed."""
    ours: list[Path] = []
    others: list[Path] = []
    for parent, folders, files in os.walk(folder):
        paths = [Path(parent) / name for name in sorted([*files, *folders])]
        for path in paths:
            is_ours = path.is_file() and (_OURS.fullmatch(path.name) or path in half_written)
            if path.is_symlink() or not (is_ours or path.is_dir()):
                others.append(path)
            elif is_ours:
                ours.append(path)
    return ours, others


def _by_earlier_versions(folder: Path, studies: Sequence[Study]) -> Iterator[Leftover]:
    """Yield the results that none of the studies asks for, and that another version of the code computed."""
    asked: dict[Path, set[Path]] = {}
    unknown: set[Path] = set()
    for study in studies:
        parts = StudyParts(folder, expand(study), trusts_code=True)
        for run in parts.runs:
            run_folder = parts.run_folder(run)
            paths = asked.setdefault(run_folder, set())
            for stage in _run_stages():
                for sections in run.variants(stage):
                    looked = parts.look(stage, run, sections)
                    if isinstance(looked, Obstacle):
                        unknown.add(run_folder)  # which results it asks for is not known
                        continue
                    for part in looked:
                        paths.add(run_folder / part.part.path)
                        files = part.files if isinstance(part, FinishedPart) else ()
                        paths |= {run_folder / name for name in files}
    for run_folder, paths in asked.items():
        if run_folder not in unknown and not run_folder.is_symlink():
            yield from _unasked(run_folder, paths)


def _unasked(run_folder: Path, asked: set[Path]) -> Iterator[Leftover]:
    """Yield what another version left in the folder of a run, by folder where it has one of its own.

    Files that were written beside a result, such as weights, stay: a later result may read them.
    """
    old: dict[Path, list[Path]] = {}
    for path in _files_of(run_folder)[0]:
        is_part = path not in asked and path.suffix in {".json", ".npz"}
        code = read_code(path) if is_part else None
        if code is not None and code not in _codes_of_this_version():
            old.setdefault(path if path.parent == run_folder else path.parent, []).append(path)
    for place, files in old.items():
        yield _leftover(place, EARLIER, files)


@cache
def _codes_of_this_version() -> frozenset[str]:
    """Return the versions of the code of all stages, whatever dataset, network or endpoints are chosen."""
    return codes_of(STAGES)


def codes_of(stages: Sequence[Stage]) -> frozenset[str]:
    """Return the versions of the code of some stages, one for each combination of what chooses code.

    Args:
        stages: some stages with all that they need; a stage's settings say which of them choose code by the
            annotation `ChoosesCode`.
    """
    models = {name: model for stage in stages for name, model in stage.sections.items()}
    defaults = {name: model() for name, model in models.items()}
    choices = {
        (section, name): _choices_of_code(info)
        for section, model in models.items()
        for name, info in model.model_fields.items()
        if any(isinstance(mark, ChoosesCode) for mark in info.metadata)
    }
    codes = set()
    for values in itertools.product(*choices.values()):
        sections = {**defaults}
        for (section, name), value in zip(choices, values, strict=True):
            sections[section] = sections[section].model_copy(update={name: value})
        codes |= {code_version(stage, sections) for stage in stages if isinstance(stage, RunStage)}
    return frozenset(codes)


def _choices_of_code(field: FieldInfo) -> tuple[object, ...]:
    """Return a value for each choice of a setting that chooses code."""
    mark = next(mark for mark in field.metadata if isinstance(mark, ChoosesCode))
    return mark.values or get_args(field.annotation)


def _run_stages() -> list[RunStage]:
    return [stage for stage in STAGES if isinstance(stage, RunStage)]


def _leftover(path: Path, why: str, files: Sequence[Path]) -> Leftover:
    return Leftover(path, why, files, sum((size_of(file) for file in files), FolderSize(0, 0)))


def _once(found: Sequence[Leftover]) -> list[Leftover]:
    """Return leftovers without files that another one has already, such as one half written in a run."""
    seen: set[Path] = set()
    once = []
    for leftover in found:
        files = [path for path in leftover.files if path not in seen]
        seen |= {*files}
        if files or leftover.path.is_dir():
            once.append(_leftover(leftover.path, leftover.why, files))
    return once


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those in it, as far as they are empty."""
    for parent, _, _ in os.walk(folder, topdown=False):
        if not os.path.islink(parent) and not os.listdir(parent):  # noqa: PTH114, PTH208
            os.rmdir(parent)  # noqa: PTH106
