"""Check the keys and values of a document against the models, and every combination of swept values."""

import itertools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from spaceprobe.stages.stage import NOT_IN_KEY, Sections, Settings
from spaceprobe.study.config.document import Document
from spaceprobe.study.config.explain import adapt, choices, validate
from spaceprobe.study.config.problems import MAX_SHOWN, ConfigError
from spaceprobe.study.config.sections import SWEEP, Models, axis_model, dotted_keys
from spaceprobe.study.config.study import Axes
from spaceprobe.study.config.wording import KeyPath, describe, listed, nearest

MAX_POINTS = 100_000
"""The most combinations of swept values (chosen; ten times what plans and tables are made for)."""


def check(document: Document, models: Models, fixed: Collection[str]) -> tuple[Sections, Axes]:
    """Return the sections at the first value of every axis, and the axes.

    Args:
        document: what the file and the command line set.
        models: the model of each section.
        fixed: the sections that cannot be swept.

    Raises:
        ConfigError: with all problems of the document, those found here included.
    """
    _check_keys(document, models)
    axes = _check_axes(document, models, fixed)
    sections = {name: _check_section(document, name, model, axes) for name, model in models.items()}
    if document.problems:
        raise ConfigError(document.problems)
    return {name: settings for name, settings in sections.items() if settings}, axes


def _check_keys(document: Document, models: Models) -> None:
    """Note sections and settings that do not exist, and take them out."""
    known = {section: [*model.model_fields] for section, model in models.items()}
    known[SWEEP] = dotted_keys(models)
    for path in [path for path in document.keys if path]:
        section, name = str(path[0]), str(path[-1])
        values = document.sections.get(section, {})
        if section not in known and len(path) == 1:
            _note_unknown(document, path, [*known], known[SWEEP])
        elif section in known and len(path) > 1 and name not in known[section]:
            _note_unknown(document, path, known[section], known[SWEEP])
            del document.keys[path]
            values.pop(name, None)
        elif section in known and len(path) > 1 and name in values:
            home, setting = name.split(".") if section == SWEEP else (section, name)
            values[name] = adapt(models[home].model_fields[setting].annotation, values[name])


def _note_unknown(document: Document, path: KeyPath, known: Sequence[str], keys: Sequence[str]) -> None:
    """Note a key that is not one of those known in its place; `keys` are the dotted keys of all settings."""
    name = str(path[-1])
    namesakes = [key for key in keys if key == name or key.endswith(f".{name}")]
    if len(path) == 1 and namesakes:
        section, setting = namesakes[0].split(".")
        message = f"found a setting outside its section, allowed: `{setting}:` indented below `{section}:`"
        document.note(document.keys[path], path, message)
        return
    what, allowed = ("section" if len(path) == 1 else "setting"), listed(known)
    if len(path) > 1 and path[0] == SWEEP:
        allowed = f"a dotted key such as {next((k for k in keys if k.startswith(f'{name}.')), keys[0])}"
        known = [] if namesakes else known
    message = f"found no such {what}, allowed: {allowed}"
    document.note(document.keys[path], path, message, lambda: [*nearest(name, known), *namesakes])


def _check_axes(document: Document, models: Models, fixed: Collection[str]) -> Axes:
    """Return the axes that are allowed by themselves, as the models dump their values."""
    sweep: dict[str, object] = document.sections.get(SWEEP, {})
    lengths = [len(values) for values in sweep.values() if isinstance(values, list)]
    if math.prod(lengths) > MAX_POINTS:
        product = " x ".join(map(str, lengths))
        message = f"found {math.prod(lengths)} combinations ({product}), allowed: {MAX_POINTS}"
        document.note(document.keys[SWEEP,], (SWEEP,), message)
    axes: dict[str, tuple[object, ...]] = {}
    for key in [str(path[1]) for path in document.keys if path[:1] == (SWEEP,) and len(path) > 1]:
        if values := _check_axis(document, models, fixed, key):
            axes[key] = values
        else:
            document.refused.add((SWEEP, key))
    return axes


def _check_axis(document: Document, models: Models, fixed: Collection[str], key: str) -> tuple[object, ...]:
    """Return the values of an axis; none if one of them is not allowed."""
    section, name = key.split(".")
    location = document.keys[SWEEP, key]
    is_idle = NOT_IN_KEY in models[section].model_fields[name].metadata
    if is_idle or section in fixed:
        why = "changes no number" if is_idle else "belongs to the study as a whole"
        message = f"found in a sweep, but it {why}, allowed: one value, set under {section}"
        document.note(location, (SWEEP, key), message)
    if single := document.keys.get((section, name)):  # which of the two is meant cannot be known
        message = f"found here and, set to one value, in line {single.line}, allowed: one of them; remove one"
        document.note(location, (SWEEP, key), message)
    if key not in document.sections[SWEEP]:
        return ()  # it was refused before
    values = document.sections[SWEEP][key]
    settings, messages = _validate(document, SWEEP, axis_model(models, key), {key: values})
    if (key,) in messages:
        return ()
    plain = settings.model_dump(mode="json")[key] if settings else values
    seen: set[str] = set()
    for number, value in enumerate(plain):
        text = json.dumps(value, sort_keys=True)
        if text in seen and (key, number) not in messages:
            message = f"found {describe(values[number])} a second time, allowed: each value once; remove one"
            document.note(document.locate((SWEEP, key, number)), (SWEEP, key, number), message)
        seen.add(text)
    return tuple(plain) if settings else ()


def _check_section(document: Document, section: str, model: type[Settings], axes: Axes) -> Settings | None:
    """Return a section at the first value of every axis; note where its values do not go together."""
    start = f"{section}."
    swept = {key.removeprefix(start): values for key, values in axes.items() if key.startswith(start)}
    values = document.sections.get(section, {}) | {name: axis[0] for name, axis in swept.items()}
    settings, messages = _validate(document, section, model, values)
    has_bad_axis = any(path[0] == SWEEP and str(path[-1]).startswith(start) for path in document.refused)
    if has_bad_axis or any(messages) or math.prod(map(len, swept.values())) > MAX_POINTS:
        return settings
    limit = len(document.problems) + MAX_SHOWN
    for numbers in itertools.product(*(range(len(axis)) for axis in swept.values())):
        point = {name: axis[number] for (name, axis), number in zip(swept.items(), numbers, strict=True)}
        _, messages = validate(model, {**values, **point})
        if not messages:
            continue
        if not swept:
            document.note(document.locate_section(section), (section,), messages[()])
            continue
        paths = [(SWEEP, start + name, number) for name, number in zip(swept, numbers, strict=True)]
        last = max(map(document.locate, paths), key=lambda location: location.order)
        text = " and ".join(f"{start}{name} = {describe(value)}" for name, value in point.items())
        document.note(last, (SWEEP,), f"with {text}: {messages[()]}")
        if len(document.problems) == limit:
            break
    return settings


def _validate(
    document: Document, section: str, model: type[Settings], values: Mapping[str, object]
) -> tuple[Settings | None, Mapping[KeyPath, str]]:
    """Validate a section and note what is wrong with its values, not whether they go together."""
    settings, messages = validate(model, values)
    for path, message in messages.items():
        key = (section, *path)
        name, *items = path or ("",)
        if name in values:
            value: Any = values[str(name)]
            wrong = value[int(items[0])] if items and isinstance(value, list) else value
            guess = partial(nearest, wrong, choices(model.model_fields[str(name)].annotation))
            document.note(document.locate(key), key, message, guess)
        elif path and document.refused.isdisjoint({key[:1], key, (SWEEP,), (SWEEP, f"{section}.{name}")}):
            document.note(document.locate_section(section), key, message)
    return settings, messages
