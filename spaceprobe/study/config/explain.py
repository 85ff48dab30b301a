"""What pydantic found wrong with a section, in words for someone who never heard of pydantic."""

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from spaceprobe.stages.stage import Settings
from spaceprobe.study.config.problems import describe, listed, printable, shorten
from spaceprobe.study.config.strict_yaml import KeyPath
from spaceprobe.study.config.yaml_text import resolve_scalar

_MAX_OWN = 400  # characters of such a message, which may repeat a long value (chosen)
_OWN = frozenset({"value_error", "assertion_error"})  # raised by a field's own validator


def validate(
    model: type[Settings], values: Mapping[str, object]
) -> tuple[Settings | None, dict[KeyPath, str]]:
    """Returns a section's settings, or None and what is wrong with them.

    Validates as JSON, where pydantic's strict mode takes a list for a tuple and text for a path,
    since a file has no other way to write them.

    Args:
        model: the section's model.
        values: plain values by setting; all keys must be settings of the model.

    Returns:
        The settings, and a message by path: (setting,) or (setting, item) or, where the settings do
        not go together, ().
    """
    try:
        return model.model_validate_json(json.dumps(values)), {}
    except ValidationError as error:
        groups: dict[KeyPath, list[Mapping[str, Any]]] = {}
        for detail in error.errors(include_url=False):
            groups.setdefault(_path(detail["loc"]), []).append(dict(detail))
        # a list with a wrong item is not wrong as a whole too, as one member of a union would say
        items = {path[:1] for path in groups if len(path) > 1}
        return None, {
            path: _message(model, path, group) for path, group in groups.items() if path not in items
        }


def adapt(field: FieldInfo, value: object) -> object:
    """Returns the choice that a value spells: the text ``0`` of a choice for the number 0."""
    if isinstance(value, list):
        return [adapt(field, item) for item in value]
    for choice in choices(field.annotation):
        meaning = resolve_scalar(choice)
        if type(meaning) is type(value) and meaning == value:
            return choice
    return value


def choices(annotation: object) -> Iterator[str]:
    """Yields the words that an annotation lists as choices."""
    if get_origin(annotation) is Literal:
        yield from (choice for choice in get_args(annotation) if isinstance(choice, str))
    elif not isinstance(annotation, str):
        for part in get_args(annotation):
            yield from choices(part)


def allowed(field: FieldInfo) -> str:
    """Returns what a setting may be, such as ``an integer from 1 to 10000, or all``."""
    words = _phrase(field.annotation, field.metadata)
    is_open = any(word in words for word in ("text", "path", "value"))
    return f"{words} ({field.description})" if is_open and field.description else words


def _path(loc: Sequence[int | str]) -> KeyPath:
    """Returns the setting and the item; pydantic adds the names of a union's members in between."""
    item = next((step for step in loc[1:] if isinstance(step, int)), None)
    return tuple(loc[:1]) if item is None else (loc[0], item)


def _message(model: type[Settings], path: KeyPath, group: Sequence[Mapping[str, Any]]) -> str:
    """Returns one message for the errors of one setting, of which a union gives several."""
    found = group[0]["input"]
    for detail in group:
        own = " ".join(str(detail.get("ctx", {}).get("error", "")).split())
        if detail["type"] in _OWN and own:
            own = shorten(printable(own), _MAX_OWN)
            is_named = not path or printable(repr(found)) in own or not _is_scalar(found)
            return own if is_named else f"found {describe(found)}: {own}"
    if not path:
        return "found settings that do not go together"
    field = model.model_fields[str(path[0])]
    if group[0]["type"] == "missing":
        return f"found no value, allowed: {allowed(field)}"
    return f"found {describe(found)}, allowed: {allowed(field)}"


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _phrase(annotation: object, metadata: Sequence[object] = ()) -> str:
    """Returns an annotation in words."""
    origin: Any = get_origin(annotation)
    args = get_args(annotation)
    if origin is Annotated:
        return _phrase(args[0], [*_flat(args[1:]), *metadata])
    if origin in (Union, types.UnionType):
        # the plain words last: «an integer from 1 to 10000, or all»
        parts = sorted(args, key=_is_word)
        return ", or ".join(_phrase(part, metadata) for part in parts)
    if origin is Literal:
        return listed([str(choice) for choice in args])
    if origin in (tuple, list):
        return f"a list{_length(metadata)}, each item {_phrase(args[0])}" if args else "a list"
    names: dict[object, str] = {
        bool: "true or false",
        int: "an integer",
        float: "a number",
        str: "text",
        Path: "a path",
        type(None): "null",
    }
    bounds = _bounds(metadata) if annotation in (int, float) else ""
    return names.get(annotation, "a value as in the README") + bounds


def _is_word(annotation: object) -> bool:
    origin: Any = get_origin(annotation)
    return origin is Literal or annotation is type(None)


def _flat(metadata: Sequence[object]) -> list[object]:
    """Returns metadata with what a nested ``Field`` holds in its place."""
    return [
        part for entry in metadata for part in (entry.metadata if isinstance(entry, FieldInfo) else [entry])
    ]


def _bounds(metadata: Sequence[object]) -> str:
    """Returns the range of a number in words.

    >>> _bounds([at.Ge(1), at.Le(5)]), _bounds([at.Gt(0), at.Le(1)]), _bounds([at.Ge(2)])
    (' from 1 to 5', ' above 0 and up to 1', ' of at least 2')
    """
    limits = {
        name: getattr(entry, name)
        for entry in metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(entry, name, None) is not None
    }
    if "ge" in limits and "le" in limits:
        return f" from {limits['ge']} to {limits['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "up to", "lt": "below"}
    bounds = [f"{word} {limits[name]}" for name, word in words.items() if name in limits]
    return f" {' and '.join(bounds)}" if bounds else ""


def _length(metadata: Sequence[object]) -> str:
    low = next((m.min_length for m in metadata if isinstance(m, at.MinLen)), 0)
    high = next((m.max_length for m in metadata if isinstance(m, at.MaxLen)), None)
    if high is not None:
        return f" of {low} to {high}"
    return f" of at least {low}" if low else ""
