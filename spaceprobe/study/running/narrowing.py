"""What a call leaves in the tables that asks for less of a study than they hold.

Some settings choose how much is computed and change no number: class pairs, epochs, metrics, probes,
stages, and the values of the sweep. A call that narrows them by a flag or by ``--set`` computes what it asks
for, and the tables keep the rest. A study whose file was narrowed is another matter: its tables hold what the
file says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spaceprobe.reading import read_regular
from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import NOT_IN_KEY, FinishedPart, RunStage, Settings
from spaceprobe.study.config import Study, dump_study, load_study
from spaceprobe.study.config.problems import ConfigError
from spaceprobe.study.config.sections import SLURM, STUDY
from spaceprobe.study.grid import expand, value_of
from spaceprobe.study.layout import STUDY_FILE
from spaceprobe.study.parts import Obstacle, StudyParts

_IDENTITY = {name for stage in STAGES if stage.is_identity for name in stage.sections}


@dataclass(frozen=True)
class Narrowing:
    """A study as it is asked for, beside what its tables hold.

    Attributes:
        kept: the study whose results the tables hold.
        sentence: what they hold and how to get all back; None where the call asks for no less than they held.
    """

    kept: Study
    sentence: str | None = None


def narrowing(asked: Study, folder: Path, *, is_by_call: bool) -> Narrowing:
    """Return what the tables of a study are to hold.

    Args:
        asked: the study as it is asked for.
        folder: its folder of results.
        is_by_call: whether settings of the command line may have narrowed it.
    """
    stored = _stored(asked, folder)
    wide = asked if stored is None else _widened(asked, stored)
    changes = {key: (before, now) for key, before, now in _differences(wide, asked)}
    if not changes:
        return Narrowing(asked)
    before = ", ".join(f"{key} {_shown(wider)}" for key, (wider, _) in changes.items())
    now = ", ".join(f"{key} {_shown(narrower)}" for key, (_, narrower) in changes.items())
    if is_by_call and _holds_more(wide, asked, folder):
        return Narrowing(
            wide,
            f"this call was for {now}; the tables still hold {before}, as before, and `spaceprobe run "
            f"{asked.name}` without these settings brings all of it up to date",
        )
    how = f"`spaceprobe run {asked.name}` without these settings" if is_by_call else "setting that again"
    return Narrowing(
        asked,
        f"the tables now hold {now}, where the study was last started with {before}; what was computed of "
        f"the rest stays in the folder, and {how} brings all back into the tables",
    )


def _stored(asked: Study, folder: Path) -> Study | None:
    """Return the study as it was last started, where that differs from what is asked for."""
    path = folder / STUDY_FILE
    try:
        if read_regular(path) == dump_study(asked).encode():
            return None
        return load_study(path, name=asked.name)
    except (OSError, ConfigError):
        return None  # of an earlier version, or edited: its tables are written again


def _widened(asked: Study, stored: Study) -> Study:
    """Return the study with what either asks for; the one that is asked for where they differ otherwise."""
    axes: dict[str, tuple[object, ...]] = {}
    if stored.zipped != asked.zipped or any(stored.axes[k] != asked.axes[k] for k in stored.zipped):
        return asked  # the members of either are not those of the other with some left out
    for key, values in stored.axes.items():
        now = asked.axes.get(key, (value_of(asked.sections, key),))
        if not all(value in values for value in now):
            return asked
        axes[key] = values if any(value not in now for value in values) else now
    if any(key not in axes for key in asked.axes):
        return asked
    sections = {**asked.sections}
    for name, settings in stored.sections.items():
        own = {key.split(".")[1] for key in axes if key.startswith(f"{name}.")}
        is_same = _without(asked.sections[name].key(), own) == _without(settings.key(), own)
        if name == STUDY:
            stages = {*asked.stages, *stored.stages}
            ordered = tuple(stage.name for stage in STAGES if stage.name in stages)
            sections[name] = settings.model_copy(update={"stages": ordered})
        elif name in _IDENTITY and not is_same:
            return asked
        elif name != SLURM and is_same:
            sections[name] = _merged(name, asked, settings, own)
    return replace(asked, sections=sections, axes=axes)


def _merged(name: str, asked: Study, stored: Settings, swept: set[str]) -> Settings:
    """Return a section with the wider choice of each setting that only chooses; swept ones as stored."""
    section = asked.sections[name]
    update: dict[str, Any] = {field: getattr(stored, field) for field in swept}
    if name not in _IDENTITY:
        for field, info in type(section).model_fields.items():
            if NOT_IN_KEY in info.metadata and field not in swept:
                update[field] = _wider(getattr(section, field), getattr(stored, field))
    return section.model_copy(update=update)


def _wider(asked: Any, stored: Any) -> Any:
    """Return the union of two choices; what is asked for where they are no choices, such as a device.

    >>> _wider(("3-8",), "all"), _wider("last", "0"), _wider(("3-8",), ("1-7", "3-8")), _wider("cpu", "auto")
    ('all', 'both', ('1-7', '3-8'), 'cpu')
    """
    if "all" in (asked, stored):
        return "all"
    if isinstance(asked, tuple) and isinstance(stored, tuple):
        more = [item for item in asked if item not in stored]
        return (*stored, *more) if any(item not in asked for item in stored) else asked
    if asked != stored and {asked, stored} <= {"0", "last", "both"}:
        return "both"
    return asked


def _differences(wide: Study, asked: Study) -> Iterator[tuple[str, object, object]]:
    """Yield the settings in which two studies differ, by dotted key, with their values."""
    for key in dict.fromkeys([*wide.axes, *asked.axes]):
        values = [tuple(study.axes.get(key, (value_of(study.sections, key),))) for study in (wide, asked)]
        if values[0] != values[1]:
            yield key, values[0], values[1]
    for name, settings in wide.sections.items():
        for field in type(settings).model_fields:
            key = f"{name}.{field}"
            now = getattr(asked.sections[name], field)
            if getattr(settings, field) != now and key not in wide.axes and key not in asked.axes:
                yield key, getattr(settings, field), now


def _holds_more(wide: Study, asked: Study, folder: Path) -> bool:
    """Return whether there are finished parts of the wider study that are not asked for."""
    if asked.stages != wide.stages:
        return True
    asked_paths = _finished_paths(asked, folder)
    return bool(_finished_paths(wide, folder) - asked_paths)


def _finished_paths(study: Study, folder: Path) -> set[tuple[str, str]]:
    parts = StudyParts(folder, expand(study), trusts_code=True)
    return {
        (run.name, part.part.path)
        for stage in STAGES
        if isinstance(stage, RunStage) and stage.name in study.stages
        for run in parts.runs
        for sections in run.variants(stage)
        for looked in [parts.look(stage, run, sections)]
        for part in ([] if isinstance(looked, Obstacle) else looked)
        if isinstance(part, FinishedPart)
    }


def _without(values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _shown(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
