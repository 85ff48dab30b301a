"""Build a study on another one, which it names with ``extends``.

Each file is read by itself, then laid over what it extends: sections merge setting by setting, and a
``sweep`` takes the place of the whole sweep below it. A null takes away what the studies below set, so that
the setting has its default again. What was written where is kept, so that an error names the file that it is
in.
"""

import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spaceprobe.study.config.document import Document
from spaceprobe.study.config.finding import read_text, shipped_configs, whole_studies
from spaceprobe.study.config.problems import ConfigError, Problem, SourceLocation
from spaceprobe.study.config.sections import EXTENDS, SWEEP
from spaceprobe.study.config.wording import KeyPath, describe, did_you_mean, listed, nearest, shorten

MAX_BASES = 8
"""The most studies below one (chosen; more than a reader can keep in mind)."""

_IS_FILE = re.compile(r"[/\\]|\.ya?ml$", re.IGNORECASE)
"""What tells a file from the name of a shipped study."""


def read_document(path: Path, problems: Sequence[Problem], known: Sequence[str]) -> Document:
    """Return the values of a study's file, laid over those of the studies that it extends.

    Args:
        path: the file.
        problems: what is wrong with the study's name.
        known: the names of the sections of a study.

    Raises:
        ConfigError: a file cannot be read or is not a mapping, or the study to extend does not exist.
    """
    layers = [Document(read_text(path), str(path), [*problems], known)]
    paths = [path]
    while (location := layers[-1].keys.get((EXTENDS,))) is not None:
        try:
            paths.append(_find_base(layers[-1], paths))
            text = _text_of(paths[-1], layers[-1].places[EXTENDS,])
            layers.append(_read_base(text, paths[-1], known, -len(layers), location))
        except ConfigError as error:
            raise ConfigError(
                [*error.errors, *(each for layer in layers for each in layer.problems)]
            ) from None
    for upper, lower in reversed([*itertools.pairwise(layers)]):  # the lowest first: a null is of all below
        _lay_over(upper, lower)
    layers[0].keys.pop((EXTENDS,), None)  # not a section
    return layers[0]


def _text_of(path: Path, named_at: SourceLocation) -> str:
    """Return the text of a file that another one extends.

    Raises:
        ConfigError: it cannot be read; the place is that where it is named.
    """
    try:
        return read_text(path)
    except ConfigError as error:
        raise ConfigError((named_at, f"{EXTENDS}: {at}: {message}") for at, message in error.errors) from None


def _read_base(text: str, path: Path, known: Sequence[str], rank: int, named_at: SourceLocation) -> Document:
    """Return the values of a file that another one extends.

    Raises:
        ConfigError: it is not a mapping; the message says which line extends it.
    """
    try:
        return Document(text, str(path), [], known, rank)
    except ConfigError as error:
        raise ConfigError(
            (place._replace(rank=rank), f"{message}; {named_at} extends it")
            for place, message in error.errors
        ) from None


def _find_base(document: Document, paths: Sequence[Path]) -> Path:
    """Return the file that a study extends.

    Args:
        document: the study.
        paths: its file, after those of the studies that are built on it.

    Raises:
        ConfigError: there is none, or it is one of these, or they are too many.
    """
    if (EXTENDS,) in document.refused:  # the problem has been noted
        raise ConfigError(document.problems)
    value, location = document.extends, document.places[EXTENDS,]
    folder = paths[-1].parent
    shipped = shipped_configs()
    message = ""
    if not isinstance(value, str) or not value:
        message = f"found {describe(value)}, allowed: a YAML file or the name of a shipped study"
    elif len(paths) > MAX_BASES:
        message = f"found more than {MAX_BASES} studies one below the other, allowed: {MAX_BASES}"
    elif not _IS_FILE.search(value):
        if value in shipped:
            path = shipped[value]
        else:
            names = listed(whole_studies(shipped))
            message = f"found {describe(value)}, allowed: a YAML file or one of {names}"
            is_beside = os.path.lexists(folder / f"{shorten(value)}.yaml")
            guesses = [f"{value}.yaml"] if is_beside else nearest(value, shipped)
            message += did_you_mean(guesses)
    else:
        path = folder / value
        if not os.path.lexists(path):
            message = (
                f"found {describe(value)}, allowed: a file that exists, given from {folder.absolute()} on"
            )
    if not message:
        real = [os.path.realpath(each) for each in paths]
        if os.path.realpath(path) in real:
            circle = [*map(str, paths[real.index(os.path.realpath(path)) :]), str(path)]
            message = f"found a circle, {' → '.join(circle)}, allowed: studies that end"
    if message:
        raise ConfigError([(location, f"{EXTENDS}: {message}")])
    return path


def _lay_over(document: Document, base: Document) -> None:
    """Take from a base what a document lays nothing over; see the module."""
    document.problems += base.problems
    for section, values in base.sections.items():
        if section not in document.sections:
            _adopt(document, base, (section,), values, document.sections)
            document.zipped = [*base.zipped] if section == SWEEP else document.zipped
            continue
        own = document.sections[section]
        if section == SWEEP or not isinstance(own, dict):
            continue  # what is not a mapping is refused later
        if not isinstance(values, dict):  # refused later as well, where it was written
            _adopt(document, base, (section,), values, document.sections)
            continue
        for name, value in values.items():
            if name not in own:
                _adopt(document, base, (section, name), value, own)
            elif own[name] is None and (section, name) not in document.refused:
                _forget(document, section, name)


def _adopt(document: Document, base: Document, path: KeyPath, value: object, home: dict[str, Any]) -> None:
    """Put a value of a base into a document, with the places of all that is in it."""
    home[str(path[-1])] = value
    size = len(path)
    document.keys |= {at: place for at, place in base.keys.items() if at[:size] == path}
    document.places |= {at: place for at, place in base.places.items() if at[:size] == path}
    refused = {at for at in base.refused if at[:size] == path}
    document.refused |= refused | ({path[:length] for length in range(size)} if refused else set())


def _forget(document: Document, section: str, name: str) -> None:
    """Take a setting out of a document, which has its default again."""
    del document.sections[section][name]
    del document.keys[section, name]
    del document.places[section, name]
