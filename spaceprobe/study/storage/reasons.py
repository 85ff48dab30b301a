"""Why a part has to be computed again: what differs between two keys, in words."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from spaceprobe.stages import STAGES
from spaceprobe.study.config import section_models

MAX_REPORTED = 3
"""Chosen: how many differences are reported."""

OWN = ("data_digest.", "network_digest.")
"""Begin the names of digests of what a user's data or network come from; their rest is in words."""

_DIGEST = re.compile("[0-9a-f]{64}")


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return what differs between the key of a stored part and the one asked for; empty if they agree.

    A setting that did not exist when the part was stored counts as having had its default.

    >>> differences({"training": {"epochs": 30}}, {"training": {"epochs": 40}})
    ['training.epochs 30 → 40']
    >>> differences({"checkpoint": "0" * 64}, {"checkpoint": "1" * 64})
    ['checkpoint digest differs']
    >>> before, after = ({"data_digest": {"data.file a.npz": sign * 64}} for sign in "01")
    >>> differences(before, after)
    ['data.file a.npz changed']

    Args:
        stored: the key of the part.
        asked: the key asked for.
    """
    before, after = _flat(stored), _flat(json.loads(json.dumps(asked)))
    for name in after.keys() & _defaults().keys():
        before.setdefault(name, _defaults()[name])
    changed = [name for name in dict.fromkeys([*after, *before]) if _differ(before, after, name)]
    changes = [_in_words(name, before.get(name), after.get(name)) for name in changed]
    num_more = len(changes) - MAX_REPORTED
    return changes if num_more <= 0 else [*changes[:MAX_REPORTED], f"{num_more} more"]


def is_same_epoch(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Return whether two keys are of the same epoch, if they have one.

    >>> is_same_epoch({"epoch": 3, "lmd": {"sample": 20}}, {"epoch": 3, "lmd": {"sample": 30}})
    True
    >>> is_same_epoch({"epoch": 2}, {"epoch": 3})
    False
    """
    return bool(stored.get("epoch") == asked.get("epoch"))


@cache
def _defaults() -> Mapping[str, Any]:
    """Return the default of every setting of a study file, by dotted key."""
    return _flat({name: model().model_dump(mode="json") for name, model in section_models(STAGES).items()})


def _differ(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> bool:
    return name not in before or name not in after or before[name] != after[name]


def _flat(key: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in key.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _in_words(name: str, before: Any, after: Any) -> str:
    if name.startswith(OWN):  # more than one file may be among them
        return f"{name.partition('.')[2]} changed"
    if any(isinstance(value, str) and _DIGEST.fullmatch(value) for value in (before, after)):
        return f"{name.removesuffix('_digest')} digest differs"
    return f"{name} {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
