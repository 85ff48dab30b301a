"""The settings in which two studies differ."""

from collections.abc import Iterator
from typing import Any

import yaml

ABSENT = "–"
"""The value of a setting that one of two studies does not have."""


def settings_differences(a_yaml: str, b_yaml: str) -> list[tuple[str, str, str]]:
    """Return the settings in which two resolved studies differ.

    Args:
        a_yaml: the text of the first study's study.yaml, every default written out.
        b_yaml: the text of the second's.

    Returns:
        Dotted key, value in the first study, value in the second; a value as YAML writes it on one line,
        `ABSENT` where a study has no such key. In the order of the first study, then what
        only the second has.

    Raises:
        ValueError: a text is not YAML, or not a mapping of settings.
    """
    a, b = dict(_flat(_loaded("first", a_yaml))), dict(_flat(_loaded("second", b_yaml)))
    pairs = {key: (_in_flow(a, key), _in_flow(b, key)) for key in {**a, **b}}
    return [(key, *pair) for key, pair in pairs.items() if pair[0] != pair[1]]


def _loaded(which: str, text: str) -> dict[Any, Any]:
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{which} study.yaml: is not YAML: {error}") from error
    if not isinstance(settings, dict):
        kind = type(settings).__name__
        raise ValueError(f"{which} study.yaml: expected a mapping of settings, got {kind}")  # noqa: TRY004  # of a file, not of an argument
    return settings


def _flat(settings: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and their values; an empty mapping is a value."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _in_flow(settings: dict[str, Any], key: str) -> str:
    """Return a value as YAML writes it on one line."""
    if key not in settings:
        return ABSENT
    text = yaml.safe_dump(settings[key], default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
