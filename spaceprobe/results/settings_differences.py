"""The settings in which two studies differ."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import yaml

from spaceprobe.study.config import Study

ABSENT = "–"
"""The value of a setting that one of two studies does not have."""

DATA_ROOT = "data.root"
"""Where files lie; their digests say what they are."""

_OF_NO_NUMBER = ("study", "slurm")
"""Sections that say what is computed where; the tables show which stages were."""


class SettingDifference(NamedTuple):
    """One setting in which two studies differ.

    Attributes:
        key: the setting's dotted key.
        first: its value in the first study, as YAML writes it on one line; ``sweep`` and a list if swept.
        second: its value in the second.
    """

    key: str
    first: str
    second: str


def settings_differences(a: Study, b: Study) -> list[SettingDifference]:
    """Return the settings in which two studies differ: those of every section, in the order of the stages.

    A setting that a study's file does not name has its default, so that a study of an earlier version does
    not differ by what was added since.
    """
    return _differences(_texts(a), _texts(b))


def key_differences(a: Study, b: Study) -> list[SettingDifference]:
    """Return those of them on which numbers depend.

    Left out are settings of speed and place, those that choose what is computed, which the rows of tables
    show, where data are read from, and the order of swept values but those that are zipped.
    """
    keys = _keys(a) | _keys(b)
    sides = [
        {
            key: f"sweep {_in_flow(sorted(study.axes[key], key=_by_size))}"
            if key in study.axes and key not in study.zipped
            else text
            for key, text in _texts(study).items()
            if key in keys
        }
        for study in (a, b)
    ]
    return _differences(*sides)


def _differences(a: Mapping[str, str], b: Mapping[str, str]) -> list[SettingDifference]:
    pairs = ((key, a.get(key, ABSENT), b.get(key, ABSENT)) for key in {**a, **b})
    return [SettingDifference(*pair) for pair in pairs if pair[1] != pair[2]]


def _texts(study: Study) -> dict[str, str]:
    """Return the values of all settings by dotted key, swept ones where they stand among the others."""
    values = {
        f"{section}.{name}": _in_flow(value)
        for section, settings in study.sections.items()
        for name, value in settings.model_dump(mode="json").items()
    }
    how = {key: "sweep zip" if key in study.zipped else "sweep" for key in study.axes}
    return values | {key: f"{how[key]} {_in_flow(list(axis))}" for key, axis in study.axes.items()}


def _keys(study: Study) -> set[str]:
    """Return the settings on which numbers depend."""
    return {
        f"{section}.{name}"
        for section, settings in study.sections.items()
        if section not in _OF_NO_NUMBER
        for name in settings.key()
    } - {DATA_ROOT}


def _by_size(value: object) -> tuple[bool, float, str]:
    """Return the place of a swept value in an order that does not depend on the file: numbers by size."""
    return (False, value, "") if isinstance(value, int | float) else (True, 0.0, str(value))


def _in_flow(value: object) -> str:
    """Return a value as YAML writes it on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return text.removesuffix("...\n").strip()
