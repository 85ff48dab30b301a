"""A study: its settings and axes, all checked, and the way back to YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from spaceprobe.stages.stage import Sections
from spaceprobe.study.config.scalars import resolve_scalar
from spaceprobe.study.config.sections import SLURM, STUDY, SWEEP, ZIP
from spaceprobe.study.slurm_settings import SlurmSettings

Axes = Mapping[str, tuple[object, ...]]
"""The plain values of each swept setting by dotted key, in the order of the file."""

HEADER = "# The study as it was resolved: every setting, defaults and command line included.\n"
"""The first line of the file that spaceprobe keeps with the results of a study."""


@dataclass(frozen=True)
class Study:
    """Settings and the axes to sweep, all checked.

    Attributes:
        name: the stem of its file, which names its folder of results.
        source: its file; ignored when studies are compared.
        sections: the settings at the first value of every axis.
        axes: the plain values of each swept setting by dotted key, in the order of the file.
        zipped: those of them that go together: the first values of all, the second values, and so on.
    """

    name: str
    source: Path | None = field(compare=False)
    sections: Sections
    axes: Axes
    zipped: tuple[str, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that `spaceprobe run` computes."""
        names: tuple[str, ...] = self.sections[STUDY].model_dump()["stages"]
        return names

    @property
    def tags(self) -> tuple[str, ...]:
        """Words of the user's on the study."""
        tags: tuple[str, ...] = self.sections[STUDY].model_dump()["tags"]
        return tags

    @property
    def note(self) -> str:
        """Sentences of the user's on the study."""
        return str(self.sections[STUDY].model_dump()["note"])

    @property
    def slurm(self) -> SlurmSettings:
        """What a SLURM cluster is asked for."""
        return cast(SlurmSettings, self.sections[SLURM])

    def resolved(self) -> dict[str, dict[str, object]]:
        """Return the study as plain values: what its file would hold if it left nothing out."""
        values: dict[str, dict[str, object]] = {}
        for section, settings in self.sections.items():
            dump = settings.model_dump(mode="json").items()
            values[section] = {name: v for name, v in dump if f"{section}.{name}" not in self.axes}
        if self.axes:
            values[SWEEP] = self._sweep()
        return values

    def _sweep(self) -> dict[str, object]:
        """Return the section ``sweep``, zipped settings in the place of the first of them."""
        sweep: dict[str, object] = {}
        for key, axis in self.axes.items():
            if key not in self.zipped:
                sweep[key] = list(axis)
            elif ZIP not in sweep:
                sweep[ZIP] = {name: list(self.axes[name]) for name in self.zipped}
        return sweep


def dump_study(study: Study) -> str:
    """Return a study as YAML that loads as the same study."""
    return HEADER + yaml.dump(
        study.resolved(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper with quotes around text that YAML 1.2 would read otherwise, and lists on one line."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature of PyYAML
        """Return that nothing is written as an alias: every value stands where it belongs."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML's own rules are those of YAML 1.1: 1e5 is text there
    is_safe = len(text) <= 100 and resolve_scalar(text) == text
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_safe else '"')


def _represent_list(dumper: yaml.SafeDumper, items: list[object]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
