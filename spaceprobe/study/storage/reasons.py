"""Why a part has to be computed again, in words: what differs between two keys."""

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_SHOWN = 3
"""Chosen: differences that are told; where everything differs, nobody reads a list."""

_DIGEST = re.compile("[0-9a-f]{64}")


def differences(
    stored: Mapping[str, Any],
    asked: Mapping[str, Any],
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[str]:
    """Return what differs between the key of a part and the one asked for; empty where they agree.

    >>> differences({"training": {"epochs": 30}}, {"training": {"epochs": 40}})
    ['training.epochs 30 → 40']
    >>> differences({"checkpoint": "0" * 64}, {"checkpoint": "1" * 64})
    ['checkpoint digest differs']

    Args:
        stored: the key of the part.
        asked: the key asked for.
        defaults: the default of each setting by section: what a part stands for that is older than the
            setting.
    """
    before, after = _flat(stored), _flat(json.loads(json.dumps(asked)))
    for section, settings in (defaults or {}).items():
        for name, value in settings.items():
            dotted = f"{section}.{name}"
            if dotted in after:
                before.setdefault(dotted, value)
    changed = [name for name in dict.fromkeys([*after, *before]) if _differ(before, after, name)]
    words = [_in_words(name, before.get(name), after.get(name)) for name in changed]
    return words if len(words) <= MAX_SHOWN else [*words[:MAX_SHOWN], f"{len(words) - MAX_SHOWN} more"]


def is_alike(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Return whether two keys are of the same thing, such as an epoch and a class pair, however it was made.

    >>> is_alike({"epoch": 3, "lmd": {"sample": 20}}, {"epoch": 3, "lmd": {"sample": 30}})
    True
    >>> is_alike({"epoch": 2}, {"epoch": 3})
    False
    """
    places = {name: value for name, value in asked.items() if name in ("epoch", "pair")}
    return all(stored.get(name) == value for name, value in places.items())


def _differ(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> bool:
    return name not in before or name not in after or before[name] != after[name]


def _flat(key: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a key with dotted names for what is nested."""
    flat: dict[str, Any] = {}
    for name, value in key.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _in_words(name: str, before: Any, after: Any) -> str:
    if any(isinstance(value, str) and _DIGEST.fullmatch(value) for value in (before, after)):
        return f"{name.removesuffix('_digest')} digest differs"
    return f"{name} {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
