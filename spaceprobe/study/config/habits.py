"""What people write out of habit, and how a study writes it; ranges of whole numbers."""

import re
from collections.abc import Mapping

from spaceprobe.study.config.composer import MAX_NODES
from spaceprobe.study.config.wording import shorten

_SPAN = re.compile(r"\s*(\d{1,9})\s*(?:-|–|\.\.\.?|to)\s*(\d{1,9})\s*", re.ASCII)
_CALL = re.compile(r"\s*range\(\s*(\d{1,9})\s*(?:,\s*(\d{1,9})\s*)?(?:,\s*([1-9]\d{0,8})\s*)?\)\s*", re.ASCII)


def is_range(value: object) -> bool:
    """Return whether a value is meant as a range of whole numbers."""
    return isinstance(value, dict) and not {"from", "to"}.isdisjoint(value)


def whole_numbers(value: Mapping[str, object], limit: int = MAX_NODES) -> list[int]:
    """Return the numbers of a range, both ends included.

    >>> whole_numbers({"from": 0, "to": 4}), whole_numbers({"from": 1, "to": 7, "step": 3})
    ([0, 1, 2, 3, 4], [1, 4, 7])

    Args:
        value: ``from``, ``to`` and, where it is not 1, ``step``.
        limit: the most numbers.

    Raises:
        ValueError: naming what was found and what is allowed.
    """
    found = f"found {as_yaml(value)}"
    first, last, step = value.get("from"), value.get("to"), value.get("step", 1)
    # type, not isinstance: true is not a number here
    if {*value} - {"from", "to", "step"} or not (type(first) is type(last) is type(step) is int):
        raise ValueError(
            f"{found}, allowed: whole numbers as in {{from: 0, to: 8, step: 2}}; step may be left out"
        )
    if step < 1 or last < first:
        raise ValueError(f"{found}, allowed: a `to` of at least `from`, and a `step` of at least 1")
    if (num := (last - first) // step + 1) > limit:
        raise ValueError(f"{found}, a range of {num} numbers, allowed: at most {limit} in all ranges")
    if (last - first) % step:
        reached = first + (num - 1) * step
        both = f"{reached} or {reached + step}"
        raise ValueError(f"{found}, allowed: a `to` that the steps reach, as it is included: {both}")
    return [*range(first, last + 1, step)]


def as_range(text: object) -> str:
    """Return the range that a text such as ``0-4`` means, as a study writes it; empty if it means none.

    >>> as_range("0-4"), as_range("range(5)"), as_range("range(2, 10, 3)"), as_range("4-0")
    ('{from: 0, to: 4}', '{from: 0, to: 4}', '{from: 2, to: 8, step: 3}', '')
    """
    if not isinstance(text, str):
        return ""
    numbers = range(0)
    if match := _SPAN.fullmatch(text):
        numbers = range(int(match[1]), int(match[2]) + 1)
    elif match := _CALL.fullmatch(text):
        numbers = range(*(int(word) for word in match.groups() if word))
    step = {} if numbers.step == 1 else {"step": numbers.step}
    return as_yaml({"from": numbers[0], "to": numbers[-1], **step}) if numbers else ""


def as_yaml(value: object) -> str:
    """Return a list or mapping of single values on one line, cut to a length that fits a message."""
    if isinstance(value, dict):
        return shorten(f"{{{', '.join(f'{name}: {item}' for name, item in value.items())}}}")
    return shorten(f"[{', '.join(map(str, value))}]") if isinstance(value, list) else shorten(str(value))
