"""Explain pydantic's errors without its own terms: what was found and what is allowed."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from spaceprobe.stages.stage import Settings
from spaceprobe.study.config.wording import KeyPath, describe, listed, nearest, printable, shorten

_KINDS = {"boolean": "true or false", "integer": "an integer", "number": "a number", "string": "text",
          "path": "a path", "null": "null"}  # fmt: skip
_BOUNDS = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "up to",
           "exclusiveMaximum": "below"}  # fmt: skip
_MAX_OWN = 400  # characters of a validator's own message, which may repeat a long value (chosen)

Details = Mapping[str, Any]
"""What pydantic says of one error."""


def explain(model: type[Settings], path: KeyPath, value: object, errors: Sequence[Details]) -> str:
    """Return one message for the errors of one value, of which a union gives several.

    Args:
        model: the model of the section.
        path: the setting, and the positions in it.
        value: what was found.
        errors: what pydantic says.
    """
    own = next((own_words(error) for error in errors if error["type"] == "value_error"), None)
    if own is None:
        found = "no value" if errors[0]["type"] == "missing" else describe(value)
        return f"found {found}, allowed: {allowed(model, path)}"
    is_named = isinstance(value, list) or printable(repr(value)) in own
    return own if is_named else f"found {describe(value)}: {own}"


def own_words(error: Details) -> str:
    """Return what a validator says itself."""
    return shorten(printable(" ".join(str(error["ctx"]["error"]).split())), _MAX_OWN)


def guess(value: object, errors: Sequence[Details]) -> list[str]:
    """Return the choice that a mistyped word may have meant, or none."""
    expected = " ".join(error["ctx"]["expected"] for error in errors if error["type"] == "literal_error")
    return nearest(value, re.findall("'([^']*)'", expected))


def allowed(model: type[Settings], path: KeyPath) -> str:
    """Return what a setting, or an item of it, may be, such as ``an integer from 1 to 10000, or all``."""
    return _allowed(model, str(path[0]), len(path) - 1) if path else "settings, indented below it"


@lru_cache  # a file may hold thousands of wrong values of one setting
def _allowed(model: type[Settings], name: str, depth: int) -> str:
    schema = _properties(model)[name]
    description = schema.get("description")
    for _ in range(depth):
        schema = next((part["items"] for part in schema.get("anyOf", [schema]) if "items" in part), schema)
    phrase = _phrase(schema)
    is_open = any(word in phrase for word in ("text", "path", "value"))
    return f"{phrase} ({description})" if is_open and description else phrase


def takes_integers(model: type[Settings], path: KeyPath) -> bool:
    """Return whether a setting, or an item of it, may be a list of whole numbers."""
    return "each item an integer" in allowed(model, path)


@lru_cache
def _properties(model: type[Settings]) -> dict[str, Any]:
    """Return the JSON schema of each setting."""
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    return properties


def _phrase(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema in words.

    >>> _phrase({"type": "integer", "minimum": 1, "maximum": 5}), _phrase({"const": "all"})
    ('an integer from 1 to 5', 'all')
    >>> _phrase({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
    'a number above 0 and up to 1'
    >>> _phrase({"type": "string", "minLength": 1, "maxLength": 5})
    'text of 1 to 5 characters'
    """
    if members := schema.get("anyOf"):
        # single words last: "an integer from 1 to 10000, or all"
        in_order = sorted(members, key=lambda member: "const" in member or member.get("type") == "null")
        return ", or ".join(map(_phrase, in_order))
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return listed([str(choice) for choice in choices])
    if schema.get("type") == "array":
        length = f" of at least {schema['minItems']}" if "minItems" in schema else ""
        length += f" of at most {schema['maxItems']}" if "maxItems" in schema else ""
        return f"a list{length}, each item {_phrase(schema['items'])}"
    kind = _KINDS.get(schema.get("format", schema.get("type")), "a value as in the documentation")
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} from {schema['minimum']} to {schema['maximum']}"
    if "maxLength" in schema:
        least = f"{schema['minLength']} to " if "minLength" in schema else "at most "
        return f"{kind} of {least}{schema['maxLength']} characters"
    bounds = " and ".join(f"{word} {schema[name]}" for name, word in _BOUNDS.items() if name in schema)
    return f"{kind} {bounds}".strip()
