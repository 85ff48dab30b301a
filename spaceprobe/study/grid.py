"""Expands a study into its runs.

A run is identified by the settings of the stages with `is_identity`: of its data, network and training. Those
of the other stages, the probes, vary within a run, so that sweeping a setting of folding retrains nothing.
"""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import RunStage, Sections, Settings, Stage
from spaceprobe.study.config import Study
from spaceprobe.tables.telling_apart import telling_apart
from spaceprobe.tables.text import SHORT_NAMES

HASH_LENGTH = 6
"""Hexadecimal digits at a name's end (chosen; names that would be equal get more)."""

_SPEAK_FOR_THEMSELVES = {
    "network.architecture",
    "network.activation",
    "network.model",
    "data.dataset",
    "training.optimizer",
}
"""Settings whose values say which setting they are of."""

T = TypeVar("T")

Axes = Mapping[str, object]
"""The values of what is swept, by dotted key."""

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True)
class Run:
    """One network to train and probe.

    Attributes:
        name: its label and a hash of its identity, such as ``2x30-s4-57b1c6``.
        sections: the settings that identify it.
        identity: those of them that differ from their defaults, by dotted key.
        axes: its values of those of them that are swept, by dotted key.
        probes: the settings of the other stages, the same for all runs of a study.
    """

    name: str
    sections: Sections
    identity: Mapping[str, object]
    axes: Mapping[str, object]
    probes: "Probes" = field(repr=False, compare=False)

    @property
    def label(self) -> str:
        """The values of its axes for a reader, such as ``2x30 · lr 0.003 · seed 0``."""
        shown = {key: value for key, value in self.axes.items() if key not in self.probes.implied}
        return label_of(shown) or _label(self.sections)

    def variants(self, stage: Stage) -> list[Sections]:
        """Return the settings that a stage has on this run, once for each combination of its swept settings.

        Each variant holds the sections of the run, of the stage, and of the stages that it needs; what is
        swept of other stages makes no variants.
        """
        return [{**self.sections, **variant} for variant in self.probes.variants(stage, self.axes)]


class Probes:
    """The settings of the stages that do not identify a run, and those of them that are swept.

    Attributes:
        implied: the dotted keys of zipped settings that tell no members apart beside those before them.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._identity = _identity_sections()
        self._variants: dict[str, list[Sections]] = {}
        self._members = members_of(study)
        self.implied = _implied(study)

    def variants(self, stage: Stage, axes: Axes = MappingProxyType({})) -> list[Sections]:
        """Return the settings that a stage has on a run, without the run's own.

        Args:
            stage: the stage.
            axes: the run's values of what is swept: zipped settings of probes depend on them.
        """
        members = [member for member in self._members if all(axes.get(k, v) == v for k, v in member.items())]
        asked = f"{stage.name} {json.dumps(members)}"
        if asked not in self._variants:
            points = _Points(self._study, self._sections(stage), members)
            self._variants[asked] = [sections for _, sections in points]
        return self._variants[asked]

    def varying(self, stage: Stage) -> dict[str, tuple[object, ...]]:
        """Return the dotted keys that tell a stage's variants apart, each with its values in order."""
        sections = self._sections(stage)
        return {
            key: _axis_order(self._study, key) for key in self._study.axes if key.split(".")[0] in sections
        }

    def _sections(self, stage: Stage) -> list[str]:
        """Return the sections of a stage, and of what it needs, that do not identify a run."""
        names = [name for name in stage.sections if name not in self._identity]
        for need in stage.needs:
            names += [n for n in self._sections(_stage_named(need)) if n not in names]
        return names


def members_of(study: Study, *, is_short: bool = False) -> list[dict[str, object]]:
    """Return the values that zipped settings take together: one dictionary for each place in their lists.

    Args:
        study: the study.
        is_short: whether settings are left out that tell no members apart beside those before them.
    """
    columns = [study.axes[key] for key in study.zipped]
    members = [dict(zip(study.zipped, values, strict=True)) for values in zip(*columns, strict=True)]
    implied = _implied(study) if is_short else set()
    return [{key: value for key, value in member.items() if key not in implied} for member in members]


def _implied(study: Study) -> set[str]:
    """Return the zipped settings that tell no members apart beside those before them."""
    return {*study.zipped} - {*telling_apart(members_of(study), study.zipped)}


def _axis_order(study: Study, key: str) -> tuple[object, ...]:
    """Return the values of an axis in the order of the runs, each once."""
    if key not in study.zipped:
        return in_order(study.axes[key])
    return tuple(distinct(study.axes[key]))


def distinct(values: Iterable[T]) -> list[T]:
    """Return values without those that came before; they need no hash.

    >>> distinct([[1], [2], [1]])
    [[1], [2]]
    """
    first: dict[str, T] = {}
    for value in values:
        first.setdefault(json.dumps(value, sort_keys=True), value)
    return [*first.values()]


def expand(study: Study) -> list[Run]:
    """Return the runs of a study, the first axis of the file varying slowest, its values `in_order`."""
    probes = Probes(study)
    points = list(_Points(study, _identity_sections()))
    identities = [_identity(sections) for _, sections in points]
    labels = [_label(sections) for _, sections in points]
    names = _unique_names(labels, [_digest(identity) for identity in identities])
    return [
        Run(name, sections, identity, axes, probes)
        for name, identity, (axes, sections) in zip(names, identities, points, strict=True)
    ]


def in_order(values: Sequence[object]) -> tuple[object, ...]:
    """Return the values of an axis as people read them: numbers by size, anything else as it is written.

    >>> in_order((0.01, 0.001, 1))
    (0.001, 0.01, 1)
    >>> in_order(("6x10", "2x30"))
    ('6x10', '2x30')
    """
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return tuple(sorted(numbers)) if len(numbers) == len(values) else tuple(values)


def label_of(axes: Mapping[str, object]) -> str:
    """Return the values of some axes for a reader, in their order; empty where there are none.

    >>> label_of({"network.architecture": "2x30", "training.learning_rate": 0.003, "training.seed": 0})
    '2x30 · lr 0.003 · seed 0'
    >>> label_of({"data.train_images": 500, "training.snapshots": [1, 3]})
    'train images 500 · snapshots 1,3'
    """
    return " · ".join(_axis_value(key, value) for key, value in axes.items())


def _axis_value(key: str, value: object) -> str:
    text = ",".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
    if key in _SPEAK_FOR_THEMSELVES:
        return text
    name = key.rpartition(".")[2]
    return f"{SHORT_NAMES.get(name, name.replace('_', ' '))} {text}"


def check_settings(runs: Sequence[Run], stages: Sequence[Stage]) -> None:
    """Check that the settings of runs go together in each of some stages.

    Raises:
        SpaceprobeError: they do not.
    """
    for stage in stages:
        if isinstance(stage, RunStage) and stage.check is not None:
            for run in runs:
                for sections in run.variants(stage):
                    stage.check(sections)


def varying_probe_settings(runs: Sequence[Run], stage: Stage) -> tuple[str, ...]:
    """Return the dotted keys that tell a stage's variants apart: key columns of its tables."""
    return tuple(runs[0].probes.varying(stage))


def swept_probe_values(runs: Sequence[Run], stage: Stage) -> Mapping[str, tuple[object, ...]]:
    """Return the values of each of these settings in the order of the variants, by dotted key."""
    return runs[0].probes.varying(stage)


def value_of(sections: Sections, key: str) -> object:
    """Return the plain value of a setting by its dotted key."""
    section, name = key.split(".", 1)
    return sections[section].model_dump(mode="json", include={name})[name]


class _Points:
    """The product of the axes of some sections; each is validated once for each of its values.

    Settings that are zipped are one axis, in the place of the first of them, whose values are the members.
    """

    def __init__(
        self, study: Study, sections: Sequence[str], members: Sequence[Mapping[str, object]] | None = None
    ) -> None:
        """Take a study.

        Args:
            study: the study.
            sections: those that vary.
            members: the values of zipped settings that are wanted; by default all.
        """
        self._base = {name: study.sections[name] for name in sections}
        keys = [key for key in study.axes if key.split(".")[0] in self._base]
        zipped = [key for key in keys if key in study.zipped]
        self._axes: list[list[Mapping[str, object]]] = []
        for key in keys:
            if key not in zipped:
                self._axes.append([{key: value} for value in in_order(study.axes[key])])
            elif key == zipped[0]:
                wanted = members or members_of(study)
                self._axes.append([*distinct({name: member[name] for name in zipped} for member in wanted)])
        self._made: dict[str, dict[tuple[int, ...], Settings]] = {name: {} for name in sections}

    def __iter__(self) -> Iterator[tuple[dict[str, object], Sections]]:
        """Yield the swept values by dotted key and the sections of each point."""
        own = {
            name: [
                i for i, axis in enumerate(self._axes) if any(key.startswith(f"{name}.") for key in axis[0])
            ]
            for name in self._base
        }
        ranges = [range(len(values)) for values in self._axes]
        for point in itertools.product(*ranges):
            swept = {k: v for axis, i in zip(self._axes, point, strict=True) for k, v in axis[i].items()}
            yield (
                swept,
                {name: self._section(name, tuple(point[i] for i in own[name]), swept) for name in self._base},
            )

    def _section(self, name: str, at: tuple[int, ...], swept: Mapping[str, object]) -> Settings:
        made = self._made[name]
        if at not in made:
            base = self._base[name]
            values = base.model_dump(mode="json")
            prefix = f"{name}."
            values |= {k.removeprefix(prefix): v for k, v in swept.items() if k.startswith(prefix)}
            made[at] = type(base).model_validate_json(json.dumps(values))
        return made[at]


def _stage_named(name: str) -> Stage:
    return next(stage for stage in STAGES if stage.name == name)


def _identity_sections() -> list[str]:
    return list(dict.fromkeys(name for stage in STAGES if stage.is_identity for name in stage.sections))


def _identity(sections: Sections) -> dict[str, object]:
    return {
        f"{section}.{name}": value
        for section, settings in sections.items()
        for name, value in settings.identity().items()
    }


def _label(sections: Sections) -> str:
    """Return the readable part of a run's name.

    Raises:
        ValueError: it is not fit for the name of a folder.
    """
    label = next(stage.label(sections) for stage in STAGES if isinstance(stage, RunStage) and stage.label)
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{label!r} cannot name a run: letters, digits, . _ - are allowed")
    return label


def _digest(identity: Mapping[str, object]) -> str:
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _unique_names(labels: Sequence[str], digests: Sequence[str]) -> list[str]:
    """Return a name for each run; names that would be equal get more of their hashes."""
    names = [f"{label}-{digest[:HASH_LENGTH]}" for label, digest in zip(labels, digests, strict=True)]
    for length in range(HASH_LENGTH + 1, 65):
        counts = Counter(names)
        if len(counts) == len(names):
            return names
        for i, name in enumerate(names):
            if counts[name] > 1:
                names[i] = f"{labels[i]}-{digests[i][:length]}"
    raise ValueError("two runs have the same settings")
