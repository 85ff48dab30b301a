"""Loads a study: a YAML file and words of the command line, checked in one pass.

A study has one section for each that a stage declares; ``study``, which lists its stages; and ``sweep``,
which lists values of dotted keys: the study's runs are their product. No stage is known here by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, create_model

from spaceprobe.stages.stage import RunStage, Sections, Settings, Stage
from spaceprobe.study.config.check import Axes, check
from spaceprobe.study.config.draft import SWEEP, Models, draft_file
from spaceprobe.study.config.finding import check_name, find_config, read_document
from spaceprobe.study.config.overrides import apply_overrides
from spaceprobe.study.config.problems import ConfigError, Place
from spaceprobe.study.config.yaml_text import resolve_scalar
from spaceprobe.study.slurm_settings import SlurmSettings

STUDY = "study"
"""The section that says what belongs to the study as a whole."""

SLURM = "slurm"
"""The section that says what SLURM is asked for, where it is."""

_HEADER = "# The study as it was resolved: every setting, defaults and command line included.\n"


@dataclass(frozen=True)
class Study:
    """Settings and the axes to sweep, all checked.

    Attributes:
        name: the stem of its file, which names its folder of results.
        source: its file; no part of equality.
        sections: the settings at the first value of every axis.
        axes: the plain values of each swept setting by dotted key, in the order of the file.
    """

    name: str
    source: Path | None = field(compare=False)
    sections: Sections
    axes: Axes

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that `spaceprobe run` takes it through."""
        names: tuple[str, ...] = self.sections[STUDY].model_dump()["stages"]
        return names

    @property
    def slurm(self) -> SlurmSettings:
        """What SLURM is asked for, where it is."""
        return cast(SlurmSettings, self.sections[SLURM])

    def resolved(self) -> dict[str, dict[str, object]]:
        """Returns the study as plain values: what its file would say if it left nothing out."""
        plain: dict[str, dict[str, object]] = {}
        for section, settings in self.sections.items():
            values = settings.model_dump(mode="json").items()
            plain[section] = {k: v for k, v in values if f"{section}.{k}" not in self.axes}
        if self.axes:
            plain[SWEEP] = {key: list(values) for key, values in self.axes.items()}
        return plain


def load_study(
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, tuple[str, str]] | None = None,
    *,
    stages: Iterable[Stage] | None = None,
    name: str | None = None,
) -> Study:
    """Returns a study.

    Args:
        config: a path, or what a user may write for one (see `find_config`).
        overrides: the values of ``--set``, such as ``training.epochs=5``.
        flags: by dotted key, a flag as the user wrote it and its value: ``("--per-class", "50")``.
        stages: whose sections it has; all stages if None.
        name: the study's name, where it is not the stem of its file.

    Raises:
        ConfigError: with everything that is wrong, each with its place, in the order of the file.
    """
    path = config if isinstance(config, Path) else find_config(config)
    top = Place(str(path), 1, 1)
    stages = all_stages(stages)
    document = read_document(path)
    draft = draft_file(document, section_models(stages), top, _fixed_sections(stages))
    name = path.stem if name is None else name
    draft.problems.extend(check_name(name, top))
    if not document.is_whole:
        raise ConfigError(draft.problems)
    apply_overrides(draft, overrides, flags or {})
    sections, axes = check(draft)
    if draft.problems:
        raise ConfigError(draft.problems)
    return Study(name, path, sections, axes)


def dump_study(study: Study) -> str:
    """Returns a study as YAML that loads as the same study."""
    return _HEADER + yaml.dump(
        study.resolved(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def section_models(stages: Iterable[Stage] | None = None) -> Models:
    """Returns the model of each section, in the order of the stages, then those that belong to none.

    Raises:
        ValueError: if two stages declare one section differently, or one calls it as one of spaceprobe's own.
    """
    stages = all_stages(stages)
    models: dict[str, type[Settings]] = {}
    for stage in stages:
        for section, model in stage.sections.items():
            if section in (STUDY, SLURM, SWEEP) or models.setdefault(section, model) is not model:
                raise ValueError(f"stage {stage.name} cannot declare the section {section}")
    models[STUDY] = study_model(tuple((stage.name, stage.needs) for stage in stages))
    models[SLURM] = SlurmSettings
    return models


@lru_cache  # one class for one list of stages: settings are equal only within a class
def study_model(stages: tuple[tuple[str, tuple[str, ...]], ...]) -> type[Settings]:
    """Returns the model of the section ``study``.

    Args:
        stages: the name of each stage and the stages that it needs.
    """
    names = tuple(name for name, _ in stages)

    def split_words(value: object) -> object:
        words = value.split(",") if isinstance(value, str) else value
        return tuple(words) if isinstance(words, list) else words

    def check_needs(chosen: tuple[str, ...]) -> tuple[str, ...]:
        for name, needs in stages:
            if name in chosen and not {*needs} <= {*chosen}:
                lacking = ", ".join(need for need in needs if need not in chosen)
                raise ValueError(f"{name} reads what {lacking} writes: list it as well")
        return tuple(name for name in names if name in chosen)

    name_type: Any = Literal[names]
    chosen: Any = Annotated[tuple[name_type, ...], BeforeValidator(split_words), AfterValidator(check_needs)]
    field = Field(names, min_length=1, description="what `spaceprobe run` does")
    return create_model("StudySettings", __base__=Settings, stages=(chosen, field))


def all_stages(stages: Iterable[Stage] | None = None) -> tuple[Stage, ...]:
    """Returns the given stages, or all that spaceprobe has."""
    if stages is None:
        from spaceprobe.stages import STAGES  # here: stages may import this module

        return STAGES
    return tuple(stages)


def _fixed_sections(stages: Iterable[Stage]) -> set[str]:
    """Returns the sections that no stage reads for a single run, so that sweeping them is void."""
    stages = tuple(stages)
    of_runs = {name for stage in stages if isinstance(stage, RunStage) for name in stage.sections}
    return {STUDY, SLURM} | {name for stage in stages for name in stage.sections if name not in of_runs}


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.2 would read as something else, and writes lists on one line."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature of PyYAML
        """Returns that nothing is written as an alias, which the reader refuses."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML's own rules are those of YAML 1.1: 1e5 is text there
    is_safe = resolve_scalar(text) == text if len(text) <= 100 else False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_safe else '"')


def _represent_list(dumper: yaml.SafeDumper, items: list[object]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
