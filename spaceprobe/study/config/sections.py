"""The sections of a study file: those of the stages, ``study``, ``slurm`` and ``sweep``."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, create_model

from spaceprobe.stages.stage import AlsoCalled, RunStage, Settings, Stage
from spaceprobe.study.slurm_settings import SlurmSettings

STUDY = "study"
"""The section of what belongs to the study as a whole."""

SLURM = "slurm"
"""The section of what a SLURM cluster is asked for."""

SWEEP = "sweep"
"""The section that lists the swept values of dotted keys."""

ZIP = "zip"
"""The key of ``sweep`` whose settings go together instead of being combined."""

EXTENDS = "extends"
"""The key at the top of a file that names the study on which it is built."""

MAX_TAGS, MAX_TAG, MAX_NOTE = 20, 40, 1000
"""The most tags of a study, and characters of a tag and of the note. Chosen: they fit a page's head."""

Models = Mapping[str, type[Settings]]
"""The model of each section, in the order of the stages."""


def section_models(stages: Sequence[Stage]) -> Models:
    """Return the model of each section, in the order of the stages, then those that belong to no stage.

    Raises:
        ValueError: two stages declare one section differently, or one declares a section of spaceprobe's own.
    """
    models: dict[str, type[Settings]] = {}
    for stage in stages:
        for section, model in stage.sections.items():
            if section in (STUDY, SLURM, SWEEP, EXTENDS) or models.setdefault(section, model) is not model:
                raise ValueError(f"stage {stage.name} cannot declare the section {section}")
    optional = tuple(stage.name for stage in stages if stage.is_optional)
    models[STUDY] = study_model(tuple((stage.name, stage.needs) for stage in stages), optional)
    models[SLURM] = SlurmSettings
    return models


def fixed_sections(stages: Sequence[Stage]) -> set[str]:
    """Return the sections that cannot be swept, since no stage reads them for a single run."""
    of_runs = {name for stage in stages if isinstance(stage, RunStage) for name in stage.sections}
    return {STUDY, SLURM} | {name for stage in stages for name in stage.sections if name not in of_runs}


def dotted_keys(models: Models) -> list[str]:
    """Return the keys of all settings, such as ``training.seed``."""
    return [f"{section}.{name}" for section, model in models.items() for name in model.model_fields]


def names_of_settings(models: Models) -> Mapping[str, list[str]]:
    """Return the dotted keys that a word may mean: of a setting of that name, else of one also called so."""
    own: dict[str, list[str]] = {}
    also: dict[str, list[str]] = {}
    for key in dotted_keys(models):
        section, name = key.split(".")
        for word in (name, key):
            own.setdefault(word, []).append(key)
        for item in models[section].model_fields[name].metadata:
            for word in item.names if isinstance(item, AlsoCalled) else ():
                also.setdefault(word, []).append(key)
    return also | own


def meant_by(word: str, names: Mapping[str, list[str]]) -> list[str]:
    """Return the dotted keys of the settings that a word may mean, however it is written."""
    return names.get(word) or names.get(word.rsplit(".", 1)[-1].casefold().replace("-", "_"), [])


def sweep_model(models: Models, keys: Collection[str]) -> type[Settings]:
    """Return the model of the section ``sweep`` with axes of some settings: each a list of values."""
    axes: dict[str, Any] = {}
    for key in keys:
        section, name = key.split(".")
        field = models[section].model_fields[name]
        item: Any = Annotated[field.annotation, Field(), *field.metadata]
        axes[key] = (tuple[item, ...], Field((), min_length=1, description=field.description))
    return create_model("SweepSettings", __base__=Settings, **axes)


@lru_cache  # one class for one list of stages: settings are equal only within a class
def study_model(
    stages: tuple[tuple[str, tuple[str, ...]], ...], optional: tuple[str, ...] = ()
) -> type[Settings]:
    """Return the model of the section ``study``.

    Args:
        stages: the name of each stage and the stages that it needs.
        optional: the names of those that a study has only where it lists them.
    """
    names = tuple(name for name, _ in stages)
    default = tuple(name for name in names if name not in optional)

    def split_words(value: object) -> object:
        words = value.split(",") if isinstance(value, str) else value
        return tuple(words) if isinstance(words, list) else words

    def check_needs(chosen: tuple[str, ...]) -> tuple[str, ...]:
        for name, needs in stages:
            if name in chosen and not {*needs} <= {*chosen}:
                missing = ", ".join(need for need in needs if need not in chosen)
                raise ValueError(f"{name} reads what {missing} writes: list it as well")
        return tuple(name for name in names if name in chosen)

    def check_once(tags: tuple[str, ...]) -> tuple[str, ...]:
        again = [tag for number, tag in enumerate(tags) if tag in tags[:number]]
        if again:
            raise ValueError(f"{again[0]!r} is there twice, allowed: each tag once; remove one")
        return tags

    name_type: Any = Literal[names]
    chosen: Any = Annotated[tuple[name_type, ...], BeforeValidator(split_words), AfterValidator(check_needs)]
    tag_type: Any = Annotated[str, Field(min_length=1, max_length=MAX_TAG)]
    return create_model(
        "StudySettings",
        __base__=Settings,
        stages=(chosen, Field(default, min_length=1, description="what `spaceprobe run` does")),
        tags=(
            Annotated[tuple[tag_type, ...], AfterValidator(check_once)],
            Field((), max_length=MAX_TAGS, description="words of yours that stand in the report"),
        ),
        note=(str, Field("", max_length=MAX_NOTE, description="sentences of yours that stand in the report")),
    )
