"""Validate a section with pydantic, and explain its errors without pydantic's own terms."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from spaceprobe.stages.stage import Settings
from spaceprobe.study.config.wording import KeyPath, describe, listed, printable, shorten
from spaceprobe.study.config.yaml_text import resolve_scalar

_KINDS = {"boolean": "true or false", "integer": "an integer", "number": "a number", "string": "text",
          "path": "a path", "null": "null"}  # fmt: skip
_BOUNDS = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "up to",
           "exclusiveMaximum": "below"}  # fmt: skip
_MAX_OWN = 400  # characters of a validator's own message, which may repeat a long value (chosen)


def validate(
    model: type[Settings], values: Mapping[str, object]
) -> tuple[Settings | None, dict[KeyPath, str]]:
    """Return a section's settings, or None and a message by path.

    A path is (setting,) or (setting, item) or, where the settings do not go together, (). The values are
    validated as JSON, where pydantic's strict mode takes a list for a tuple and text for a path, since a file
    has no other way to write them.
    """
    try:
        return model.model_validate_json(json.dumps(values)), {}
    except ValidationError as error:
        groups: dict[KeyPath, list[Mapping[str, Any]]] = {}
        for detail in error.errors(include_url=False):
            groups.setdefault(_path(detail["loc"]), []).append(dict(detail))
        # a list with a wrong item is not also wrong as a whole, as another member of a union would report
        lists = {path[:1] for path in groups if len(path) > 1}
        return None, {
            path: _message(model, path, group) for path, group in groups.items() if path not in lists
        }


def choices(annotation: object) -> Iterator[str]:
    """Yield the words that an annotation lists as choices."""
    if get_origin(annotation) is Literal:
        yield from (choice for choice in get_args(annotation) if isinstance(choice, str))
    elif not isinstance(annotation, str):
        for part in get_args(annotation):
            yield from choices(part)


def adapt(annotation: object, value: object) -> object:
    """Return the choice that a value spells: the text ``0`` of a choice for the number 0."""
    if isinstance(value, list):
        return [adapt(annotation, item) for item in value]
    for choice in choices(annotation):
        meaning = resolve_scalar(choice)
        if type(meaning) is type(value) and meaning == value:
            return choice
    return value


def allowed(model: type[Settings], path: KeyPath) -> str:
    """Return what a setting, or an item of it, may be, such as ``an integer from 1 to 10000, or all``."""
    schema = _properties(model)[str(path[0])]
    description = schema.get("description")
    if len(path) > 1:
        schema = next((part["items"] for part in schema.get("anyOf", [schema]) if "items" in part), schema)
    phrase = _phrase(schema)
    is_open = any(word in phrase for word in ("text", "path", "value"))
    return f"{phrase} ({description})" if is_open and description else phrase


@lru_cache
def _properties(model: type[Settings]) -> dict[str, Any]:
    """Return the JSON schema of each setting."""
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    return properties


def _path(loc: Sequence[int | str]) -> KeyPath:
    """Return the setting and the item; pydantic adds the names of a union's members in between."""
    item = next((step for step in loc[1:] if isinstance(step, int)), None)
    return tuple(loc[:1]) if item is None else (loc[0], item)


def _message(model: type[Settings], path: KeyPath, group: Sequence[Mapping[str, Any]]) -> str:
    """Return one message for the errors of one setting, of which a union gives several."""
    value = group[0]["input"]
    for detail in group:
        if detail["type"] == "value_error":  # raised by a field's own validator
            own = shorten(printable(" ".join(str(detail["ctx"]["error"]).split())), _MAX_OWN)
            is_named = not path or isinstance(value, list | dict) or printable(repr(value)) in own
            return own if is_named else f"found {describe(value)}: {own}"
    kind = "no value" if group[0]["type"] == "missing" else describe(value)
    return f"found {kind}, allowed: {allowed(model, path)}"


def _phrase(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema in words.

    >>> _phrase({"type": "integer", "minimum": 1, "maximum": 5}), _phrase({"const": "all"})
    ('an integer from 1 to 5', 'all')
    """
    if members := schema.get("anyOf"):
        # single words last: "an integer from 1 to 10000, or all"
        in_order = sorted(members, key=lambda member: "const" in member or member.get("type") == "null")
        return ", or ".join(map(_phrase, in_order))
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return listed([str(choice) for choice in choices])
    if schema.get("type") == "array":
        length = f" of at least {schema['minItems']}" if "minItems" in schema else ""
        return f"a list{length}, each item {_phrase(schema['items'])}"
    kind = schema.get("format", schema.get("type"))
    return _KINDS.get(kind, "a value as in the documentation") + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    """Return the range of a number in words.

    >>> _bounds({"exclusiveMinimum": 0, "maximum": 1}), _bounds({"minimum": 2})
    (' above 0 and up to 1', ' of at least 2')
    """
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    bounds = [f"{word} {schema[name]}" for name, word in _BOUNDS.items() if name in schema]
    return f" {' and '.join(bounds)}" if bounds else ""
