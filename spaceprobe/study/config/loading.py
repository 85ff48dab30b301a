"""Load a study: a YAML file and settings of the command line, checked in one pass.

A study has the sections that its stages declare; ``study``, which lists the stages; ``slurm``; and ``sweep``,
which lists values of dotted keys: the study's runs are their product, but that the lists below ``zip`` go
together. A file that ``extends`` another is laid over it. No stage is known here by name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from spaceprobe.stages import STAGES
from spaceprobe.stages.stage import Sections
from spaceprobe.study.config.check import check
from spaceprobe.study.config.document import Document
from spaceprobe.study.config.extending import read_document
from spaceprobe.study.config.finding import check_name, find_config
from spaceprobe.study.config.problems import SourceLocation
from spaceprobe.study.config.sections import (
    STUDY,
    SWEEP,
    Models,
    dotted_keys,
    fixed_sections,
    meant_by,
    names_of_settings,
    section_models,
)
from spaceprobe.study.config.study import Study
from spaceprobe.study.config.wording import listed, nearest, shorten

_MAX_ARGUMENT = 80  # characters of the command line that a message repeats (chosen)


def load_study(
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, tuple[str, str]] | None = None,
    *,
    name: str | None = None,
) -> Study:
    """Return a study.

    The last setting wins: a value of the command line replaces an axis of the file, an axis such as
    ``sweep.training.seed=[0,1]`` replaces a value, and flags come after ``--set``.

    Args:
        config: a path, or what a user may write for one (see `find_config`).
        overrides: the values of ``--set``, such as ``training.epochs=5``.
        flags: by dotted key, a flag as the user wrote it and its value: ``("--per-class", "50")``.
        name: the study's name, where it is not the stem of its file.

    Raises:
        ConfigError: with everything that is wrong, each with its location, in the order of the files.
    """
    path = config if isinstance(config, Path) else find_config(config)
    name = path.stem if name is None else name
    models = section_models(STAGES)
    document = read_document(path, check_name(name, path), [*models, SWEEP])
    _put(document, models, overrides, flags or {})
    sections, axes, zipped = check(document, models, fixed_sections(STAGES))
    return Study(name, path, sections, axes, zipped)


def load_sections(overrides: Sequence[str], flags: Mapping[str, tuple[str, str]]) -> Sections:
    """Return the settings of a command line without a study: the defaults, but for what it sets.

    Raises:
        ConfigError: with everything that is wrong.
    """
    models = section_models(STAGES)
    document = Document(f"{STUDY}: {{}}", "the defaults", [], [*models])
    _put(document, models, overrides, flags)
    return check(document, models, fixed_sections(STAGES))[0]


def _put(
    document: Document, models: Models, overrides: Sequence[str], flags: Mapping[str, tuple[str, str]]
) -> None:
    """Put the settings of a command line into a document, flags after the values of ``--set``."""
    words = [(f"--set {word}", *word.partition("=")) for word in overrides]
    words += [(f"{flag} {text}", key, "=", text) for key, (flag, text) in flags.items()]
    for rank, (argument, key, equals, text) in enumerate(words, start=1):
        location = SourceLocation(rank, 0, 0, shorten(argument, _MAX_ARGUMENT))
        _override(document, models, key.strip(), text if equals else None, location)


def _override(
    document: Document, models: Models, key: str, text: str | None, location: SourceLocation
) -> None:
    """Put a setting of the command line into a document; None as its text where there is no ``=``."""
    keys = dotted_keys(models)
    section, dot, name = key.partition(".")
    if text is None or not key:
        document.note((), f"found no `key=value`, allowed: one such as {keys[0]}=value", location)
    elif dot:
        document.put(section, name, text, location)
    else:
        related = [known for known in keys if key == known.split(".")[0]] or meant_by(
            key, names_of_settings(models)
        )
        message = f"found no such setting, allowed: a dotted key such as {listed(related or keys[:1])}"
        document.note((), message, location, lambda: [] if related else nearest(key, keys))
