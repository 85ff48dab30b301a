"""The JSON Schema of a study file, by which editors complete and check one.

It tells what types can tell: keys, kinds of values, bounds and choices. What concerns several settings, such
as a snapshot after the last epoch, `load_study` alone knows.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spaceprobe.stages.stage import Settings
from spaceprobe.study.config.document import TEMPLATE
from spaceprobe.study.config.sections import EXTENDS, SWEEP, ZIP, Models, dotted_keys

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The version of JSON Schema: the newest that all editors understand."""

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}
_RANGE = "range"
_OUTSIDE = ("default", "description")
"""What is said of a setting as a whole, whatever its kind of value."""


def study_schema(models: Models, fixed: Collection[str]) -> Schema:
    """Return the JSON Schema of a study file.

    Args:
        models: the model of each section.
        fixed: the sections that cannot be swept.
    """
    axes = {
        key: _axis(_settings(models[section])[name])
        for key in dotted_keys(models)
        for section, name in [key.split(".")]
        if section not in fixed
    }
    swept = {key: _defined(key) for key in axes}
    together = _mapping(swept, minProperties=1, description="settings that go together: lists of one length")
    sweep = _mapping(
        {**swept, ZIP: together}, description="the values of each swept setting: a run for each combination"
    )
    extends = {
        "type": "string",
        "minLength": 1,
        "description": "the study to build on: a YAML file beside this one, or the name of a shipped study",
    }
    sections = {name: _section(model) for name, model in models.items()} | {SWEEP: sweep}
    return {
        "$schema": DIALECT,
        "title": "A study of spaceprobe",
        **_mapping(
            {EXTENDS: extends, **{name: _any_of([each, _NULL], each) for name, each in sections.items()}},
            minProperties=1,
            patternProperties={f"^{TEMPLATE}": True},
        ),
        "if": {"required": [EXTENDS]},
        # a null takes away what the study below has set, so without one there is nothing for it to take
        "else": {"properties": {name: _without_nulls(model) for name, model in models.items()}},
        "definitions": {_RANGE: _whole_numbers(), **axes},
    }


def _settings(model: type[Settings]) -> dict[str, Schema]:
    """Return what pydantic says of each setting of a section."""
    settings: dict[str, Schema] = model.model_json_schema()["properties"]
    return settings


def _section(model: type[Settings]) -> Schema:
    """Return the schema of a section, in which every setting may be null as well."""
    properties = {}
    for name, setting in _settings(model).items():
        kinds = _kinds(setting)
        properties[name] = _any_of(kinds if _NULL in kinds else [*kinds, _NULL], setting)
    return _mapping(
        properties, description=model.model_json_schema().get("description", "the study as a whole")
    )


def _axis(setting: Schema) -> Schema:
    """Return the schema of a list of values of a setting, or of the range that stands for it."""
    values = {"type": "array", "items": {"anyOf": _kinds(setting)}, "minItems": 1}
    return {"anyOf": [values, _defined(_RANGE)], "description": setting["description"]}


def _kinds(setting: Schema) -> list[Schema]:
    """Return the kinds of value of a setting: a range is one where a list of whole numbers is."""
    kinds = []
    for kind in setting.get("anyOf", [setting]):
        kinds.append({key: part for key, part in kind.items() if key not in ("title", *_OUTSIDE)})
        if kind.get("items", {}).get("type") == "integer":
            kinds.append(_defined(_RANGE))
    return kinds


def _without_nulls(model: type[Settings]) -> Schema:
    """Return what refuses a null where a setting has no such value."""
    settings = _settings(model).items()
    return {
        "properties": {name: {"not": _NULL} for name, setting in settings if _NULL not in _kinds(setting)}
    }


def _any_of(kinds: Sequence[Schema], described: Schema) -> Schema:
    return {"anyOf": [*kinds], **{key: described[key] for key in _OUTSIDE if key in described}}


def _mapping(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": {**properties}, "additionalProperties": False, **more}


def _defined(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _whole_numbers() -> Schema:
    number = {"type": "integer"}
    return _mapping(
        {"from": number, "to": number, "step": {"type": "integer", "minimum": 1, "default": 1}},
        required=["from", "to"],
        description="whole numbers, both ends included",
    )
