"""Hints as a command line gives them: patterns of names, and groups of convolutions."""

from spaceprobe.weights.config import Configs
from spaceprobe.weights.layouts.layout import Hints


def read_hints(heads: int | None, transposed: str | None, groups: str | None, configs: Configs) -> Hints:
    """Return what is known beside the tensors of a file.

    Args:
        heads: of attention; None where it is not given.
        transposed: patterns of names, such as ``up.*.weight``, separated by commas.
        groups: patterns and numbers, such as ``conv.*.weight=4``, separated by commas.
        configs: the JSON files beside the weights.

    Raises:
        ValueError: a pattern has no number from 1 after an equals sign.
    """
    numbers: dict[str, int] = {}
    for entry in _entries(groups):
        pattern, _, number = (part.strip() for part in entry.rpartition("="))
        if not (pattern and number.isascii() and number.isdigit() and len(number) < 10 and int(number)):
            raise ValueError(f"groups: expected PATTERN=G with G a whole number from 1, got {entry!r}")
        numbers[pattern] = int(number)
    return Hints(heads, _entries(transposed), numbers, configs)


def _entries(text: str | None) -> list[str]:
    return [entry.strip() for entry in (text or "").split(",") if entry.strip()]
