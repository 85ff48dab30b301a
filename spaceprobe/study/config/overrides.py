"""Settings from the command line: ``--set key=value`` and the flags of commands."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from spaceprobe.study.config.composer import compose, plain
from spaceprobe.study.config.document import Document
from spaceprobe.study.config.problems import ConfigError, Problem, SourceLocation
from spaceprobe.study.config.sections import Models, dotted_keys
from spaceprobe.study.config.wording import listed, nearest, shorten
from spaceprobe.study.config.yaml_text import check_characters, resolve_scalar

_MAX_ARGUMENT = 80  # characters of the command line that a message repeats (chosen)


def apply_overrides(
    document: Document, models: Models, overrides: Sequence[str], flags: Mapping[str, tuple[str, str]]
) -> None:
    """Put settings from the command line into a document, in place of the file's.

    The last one wins: a value replaces an axis of the file, an axis such as ``sweep.training.seed=[0,1]``
    replaces a value, and flags come after ``--set``.

    Args:
        document: the settings of the file; changed.
        models: the model of each section.
        overrides: arguments such as ``training.epochs=5``.
        flags: by dotted key, the flag as the user wrote it and its value.
    """
    for rank, argument in enumerate(overrides, start=1):
        location = SourceLocation(f"--set {shorten(argument, _MAX_ARGUMENT)}", rank=rank)
        key, equals, text = argument.partition("=")
        if equals and key.strip():
            _override(document, models, key.strip(), text, location)
        else:
            message = f"found no `key=value`, allowed: one such as {dotted_keys(models)[0]}=value"
            document.note(location, (), message)
    for rank, (key, (flag, text)) in enumerate(flags.items(), start=len(overrides) + 1):
        location = SourceLocation(f"{flag} {shorten(text, _MAX_ARGUMENT)}", rank=rank)
        _override(document, models, key, text, location)


def parse_value(text: str) -> object:
    r"""Return the value of an argument, which may also be a list or quoted text of YAML.

    Anything else is one plain scalar, so that ``C:\data`` and ``#1`` mean themselves.

    Raises:
        ValueError: naming what is wrong.
    """
    check_characters(text)
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        return resolve_scalar(text)
    problems: list[Problem] = []
    with suppress(ConfigError):  # its problems are in the list
        root = compose(text, "", problems)
    if problems:
        raise ValueError(problems[0].message)
    return plain(root)


def _override(document: Document, models: Models, key: str, text: str, location: SourceLocation) -> None:
    try:
        value = parse_value(text)
    except ValueError as error:
        document.note(location, (), str(error))
        return
    section, dot, name = key.partition(".")
    if dot:
        document.put(section, name, value, location)
        return
    keys = dotted_keys(models)
    related = [known for known in keys if key in known.split(".")]
    message = f"found no such setting, allowed: a dotted key such as {listed(related or keys[:1])}"
    document.note(location, (), message, lambda: [] if related else nearest(key, keys))
