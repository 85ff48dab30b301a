"""Load a study: a YAML file and settings of the command line, checked in one pass.

A study has the sections that its stages declare; ``study``, which lists the stages; ``slurm``; and ``sweep``,
which lists values of dotted keys: the study's runs are their product. No stage is known here by name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from spaceprobe.stages import STAGES
from spaceprobe.study.config.check import check
from spaceprobe.study.config.composer import compose
from spaceprobe.study.config.document import Document
from spaceprobe.study.config.finding import check_name, find_config, read_text
from spaceprobe.study.config.overrides import apply_overrides
from spaceprobe.study.config.sections import SWEEP, fixed_sections, section_models
from spaceprobe.study.config.study import Study


def load_study(
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, tuple[str, str]] | None = None,
    *,
    name: str | None = None,
) -> Study:
    """Return a study.

    Args:
        config: a path, or what a user may write for one (see `find_config`).
        overrides: the values of ``--set``, such as ``training.epochs=5``.
        flags: by dotted key, a flag as the user wrote it and its value: ``("--per-class", "50")``.
        name: the study's name, where it is not the stem of its file.

    Raises:
        ConfigError: with everything that is wrong, each with its location, in the order of the file.
    """
    path = config if isinstance(config, Path) else find_config(config)
    name = path.stem if name is None else name
    text = read_text(path)
    problems = check_name(name, path)
    models = section_models(STAGES)
    root = compose(text, str(path), problems)
    document = Document(root, str(path), problems, [*models, SWEEP])
    apply_overrides(document, models, overrides, flags or {})
    sections, axes = check(document, models, fixed_sections(STAGES))
    return Study(name, path, sections, axes)
