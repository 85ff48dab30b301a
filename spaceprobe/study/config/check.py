"""Check a document against the models of its sections, and every combination of swept values."""

import itertools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError, create_model

from spaceprobe.stages.stage import NOT_IN_KEY, HintedValueError, Sections, Settings
from spaceprobe.study.config.composer import MAX_NODES
from spaceprobe.study.config.document import Document
from spaceprobe.study.config.explain import Details, allowed, explain, guess, own_words, takes_integers
from spaceprobe.study.config.habits import as_range, as_yaml, is_range, whole_numbers
from spaceprobe.study.config.problems import MAX_SHOWN, ConfigError, SourceLocation
from spaceprobe.study.config.sections import (
    EXTENDS,
    SWEEP,
    Models,
    dotted_keys,
    meant_by,
    names_of_settings,
    sweep_model,
)
from spaceprobe.study.config.study import Axes
from spaceprobe.study.config.wording import KeyPath, describe, listed, nearest

MAX_POINTS = 100_000
"""The most combinations of swept values (chosen; ten times what plans and tables are made for)."""


def check(
    document: Document, models: Models, fixed: Collection[str]
) -> tuple[Sections, Axes, tuple[str, ...]]:
    """Return the sections at the first value of every axis, the axes, and those of them that are zipped.

    Args:
        document: what the file and the command line set.
        models: the model of each section.
        fixed: the sections that cannot be swept.

    Raises:
        ConfigError: with all problems of the document, those found here included.
    """
    sweep = document.sections.get(SWEEP)
    known = {*dotted_keys(models)}
    axes = {key: values for key, values in sweep.items() if key in known} if isinstance(sweep, dict) else {}
    axes_model = sweep_model(models, axes)
    _expand_ranges(document, {**models, SWEEP: axes_model})
    axes = {key: sweep[key] for key in axes} if isinstance(sweep, dict) else {}
    _check_values(document, {**models, SWEEP: axes_model}, fixed)
    sound = {key: values for key, values in axes.items() if (SWEEP, key) not in document.refused}
    checked = _validated(axes_model, sound).model_dump(mode="json", include={*sound})
    for key, values in axes.items():
        _check_axis(document, models, fixed, key, checked.get(key, values))
    zipped = [key for key in document.zipped if key in axes]
    _check_zipped(document, {key: checked[key] for key in zipped if key in checked})
    lengths = [
        len(values) for key, values in axes.items() if isinstance(values, list) and key not in zipped[1:]
    ]
    if is_too_long := math.prod(lengths) > MAX_POINTS:
        product = " x ".join(map(str, lengths))
        message = f"found {math.prod(lengths)} combinations ({product}), allowed: {MAX_POINTS}"
        document.note((SWEEP,), message, document.keys[SWEEP,])
    sections: dict[str, Settings] = {}
    for name, model in models.items():
        own = [key for key in axes if key.startswith(f"{name}.")]
        own_or_zipped = {*own, *zipped} if {*own} & {*zipped} else own
        is_wrong = (name,) in document.refused or any(
            (SWEEP, key) in document.refused for key in own_or_zipped
        )
        if not (is_wrong or (own and is_too_long)):
            sections[name] = _check_points(document, name, model, {key: checked[key] for key in own})
    if document.problems:
        raise ConfigError(document.problems)
    ordered = {key: tuple(checked[key]) for key in axes}
    return sections, ordered, tuple(key for key in ordered if key in zipped) if len(zipped) > 1 else ()


def _check_zipped(document: Document, axes: Mapping[str, list[object]]) -> None:
    """Note zipped lists of another length than the first, else members that are there already."""
    first = next(iter(axes), "")
    others = [key for key, values in axes.items() if len(values) != len(axes[first])]
    for key in others:
        message = (
            f"found {_numbered(axes[key])}, but {first} has {len(axes[first])}, allowed: lists of equal "
            "length; add or remove values"
        )
        document.note((SWEEP, key), message)
    seen: dict[str, int] = {}
    for number, values in enumerate(zip(*axes.values(), strict=False) if not others else ()):
        earlier = seen.setdefault(json.dumps(values, sort_keys=True), number)
        if earlier < number:
            message = f"found the values of item {earlier} a second time, allowed: each once; remove one"
            document.note((SWEEP, first, number), message)


def _numbered(values: Sequence[object]) -> str:
    return f"{len(values)} value{'s' * (len(values) != 1)}"


def _validated(model: type[Settings], values: Mapping[str, object]) -> Settings:
    """Return the settings of JSON values: strict pydantic takes a list for a tuple only from JSON."""
    return model.model_validate_json(json.dumps(values))


def _expand_ranges(document: Document, models: Models) -> None:
    """Put whole numbers in place of ranges: where an axis or a list of whole numbers belongs."""
    limit = MAX_NODES

    def expand(value: Any, path: KeyPath) -> Any:
        nonlocal limit
        if isinstance(value, list) and path[0] == SWEEP and len(path) == 2:
            return [expand(item, (*path, number)) for number, item in enumerate(value)]
        is_axis = path[0] == SWEEP and len(path) == 2
        if not (is_range(value) and (is_axis or takes_integers(models[str(path[0])], path[1:]))):
            return value
        try:
            numbers = whole_numbers(value, limit)
        except ValueError as error:
            document.note(path, str(error))
            return value
        limit -= len(numbers)
        document.places |= {(*path, number): document.places[path] for number in range(len(numbers))}
        return numbers

    for section, model in models.items():
        values = document.sections.get(section)
        if isinstance(values, dict):
            values |= {k: expand(v, (section, k)) for k, v in values.items() if k in model.model_fields}


def _check_values(document: Document, models: Models, fixed: Collection[str]) -> None:
    """Note every key that does not exist and every value that is not allowed by itself."""
    fields: dict[str, Any] = {name: (model, ...) for name, model in models.items()}
    errors: dict[KeyPath, list[Details]] = {}
    try:
        _validated(
            create_model("StudyFile", __base__=Settings, **fields),
            {**{name: {} for name in models}, **document.sections},
        )
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            path: KeyPath = detail["loc"] if detail["type"] == "missing" else ()
            for step in detail["loc"]:  # pydantic adds the names of a union's members in between
                path = (*path, step) if (*path, step) in document.places else path
            errors.setdefault(path, []).append(dict(detail))
    names = names_of_settings({name: model for name, model in models.items() if name != SWEEP})
    # a list with a wrong item is not also wrong as a whole, as another member of a union would report
    for path in sorted(errors, key=len, reverse=True):
        kind = errors[path][0]["type"]
        is_of_section = len(path) == 1 and kind == "value_error"  # settings are judged together at each point
        is_swept = kind == "missing" and ".".join(map(str, path)) in models[SWEEP].model_fields
        if path in document.refused or is_of_section or is_swept:
            continue
        if kind == "extra_forbidden":
            _note_unknown(document, models, names, path)
            continue
        value: Any = document.sections
        for step in path if kind != "missing" else ():
            value = value[step]
        message = explain(models[str(path[0])], path[1:], value, errors[path])
        places = document.places if len(path) > 1 else document.keys
        location = document.locate_section(str(path[0])) if kind == "missing" else places[path]
        if len(document.problems) < MAX_SHOWN:
            message += _hint(models, fixed, path, value, errors[path], is_file=location.line > 0)
        document.note(path, message, location, partial(guess, value, errors[path]))


def _hint(
    models: Models,
    fixed: Collection[str],
    path: KeyPath,
    value: object,
    errors: Sequence[Details],
    *,
    is_file: bool,
) -> str:
    """Return how to write what was probably meant, to follow a message; or nothing."""
    for error in (error["ctx"]["error"] for error in errors if error["type"] == "value_error"):
        if isinstance(error, HintedValueError):
            return "" if is_file else f"; {error.hint}"
    model, (section, *rest) = models[str(path[0])], path
    phrase = allowed(model, path[1:])
    meant = as_range(value) if "integer" in phrase else ""
    if len(path) == 2 and section != SWEEP and "a list" not in phrase:
        key, values = f"{section}.{rest[0]}", meant or as_yaml(value)
        is_many = meant or is_range(value) or (isinstance(value, list) and value)
        if not is_many or _why_not_swept(models, fixed, key):
            return ""
        where = f"below `sweep:`, as `{key}: {values}`" if is_file else f"as --set 'sweep.{key}={values}'"
        return f"; write several values {where}"
    return f"; write {meant}{' in place of the list' if len(path) > 2 else ''}" if meant else ""


def _why_not_swept(models: Models, fixed: Collection[str], key: str) -> str:
    """Return why a setting cannot be swept, or nothing."""
    section, name = key.split(".")
    if NOT_IN_KEY in models[section].model_fields[name].metadata:
        return "changes no number"
    return "belongs to the study as a whole" if section in fixed else ""


def _note_unknown(document: Document, models: Models, names: Mapping[str, list[str]], path: KeyPath) -> None:
    """Note a key that is not one of those known in its place."""
    name, location = str(path[-1]), document.keys[path]
    meant = meant_by(name, names)
    if len(path) == 1 and meant:
        section, setting = meant[0].split(".")
        message = f"found a setting outside its section, allowed: `{setting}:` indented below `{section}:`"
        document.note(path, message, location)
        return
    what, known = (
        ("section", [*models]) if len(path) == 1 else ("setting", [*models[str(path[0])].model_fields])
    )
    words = listed(known) if known else ""
    known += [EXTENDS] if len(path) == 1 and name != EXTENDS else []  # a key of files, not a section
    if path[0] == SWEEP:
        known = [word for word in names if "." in word]
        words = f"a dotted key such as {next((k for k in known if k.startswith(f'{name}.')), known[0])}"
        known = [] if meant else known
    message = f"found no such {what}, allowed: {words}"
    near = nearest(name, known) if len(document.problems) < MAX_SHOWN else []  # guessing takes time
    guesses = [*near, *(key for key in meant if key not in {f"{path[0]}.{word}" for word in near})]
    document.note(path, message, location, lambda: guesses)


def _check_axis(document: Document, models: Models, fixed: Collection[str], key: str, values: object) -> None:
    """Note what is wrong with an axis beside the single values."""
    section, name = key.split(".")
    path, location = (SWEEP, key), document.keys[SWEEP, key]
    if why := _why_not_swept(models, fixed, key):
        message = f"found in a sweep, but it {why}, allowed: one value, set under {section}"
        document.note(path, message, location)
    if single := document.keys.get((section, name)):  # which of the two is meant cannot be known
        document.note(path, _on_both(location, single, section, name), location)
    seen: set[str] = set()
    is_zipped = key in document.zipped  # whose single values may come again
    for number, value in enumerate(values if isinstance(values, list) and not is_zipped else ()):
        text = json.dumps(value, sort_keys=True)
        item = (*path, number)
        if text in seen and item not in document.refused:
            found = describe(document.sections[SWEEP][key][number])
            document.note(item, f"found {found} a second time, allowed: each value once; remove one")
        seen.add(text)


def _on_both(axis: SourceLocation, single: SourceLocation, section: str, name: str) -> str:
    """Return the message on a setting that is swept and set to one value."""
    if axis.rank == single.rank or not single.line:
        where = f"line {single.line}"
        return f"found swept here and set to one value in {where}, allowed: one of the two; remove one"
    way_out = f"write `{name}: null` below `{section}:` in {axis.source} to take that away"
    if single.rank > axis.rank:
        way_out = f"remove that, or write in {single.source} a `{SWEEP}:` of its own"
    return f"found swept here and set to one value in {single}, allowed: one of the two; {way_out}"


def _check_points(
    document: Document, section: str, model: type[Settings], axes: Mapping[str, list[object]]
) -> Settings:
    """Return a section at the first value of every axis; note where its values do not go together."""
    first: Settings | None = None
    limit = len(document.problems) + MAX_SHOWN
    zipped = [key for key in axes if key in document.zipped]
    keys = [key for key in axes if key not in zipped[1:]]
    for point_numbers in itertools.product(*(range(len(axes[key])) for key in keys)):
        places = dict(zip(keys, point_numbers, strict=True))
        if zipped:
            places |= dict.fromkeys(zipped, places[zipped[0]])
        point = {key: axes[key][places[key]] for key in axes}
        values = {key.removeprefix(f"{section}."): value for key, value in point.items()}
        try:
            settings = _validated(model, {**document.sections.get(section, {}), **values})
        except ValidationError as error:
            path, location = (section,), document.locate_section(section)
            message = own_words(dict(error.errors()[0]))
            if axes:
                with_values = " and ".join(f"{key} = {describe(value)}" for key, value in point.items())
                path, message = (SWEEP,), f"with {with_values}: {message}"
                location = max(document.places[SWEEP, *at] for at in places.items())
            document.note(path, message, location)
            if len(document.problems) == limit:
                break
        else:
            first = first or settings
    return first or model.model_construct()
