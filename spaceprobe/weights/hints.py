"""Hints as a command line gives them: patterns of names, and groups of convolutions."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from spaceprobe.weights.config import Configs
from spaceprobe.weights.layouts.layout import HintError, Hints
from spaceprobe.weights.quoting import quote


def read_hints(
    heads: int | None, transposed: Sequence[str], groups: Sequence[str], configs: Configs
) -> Hints:
    """Return what is known beside the tensors of a file.

    Args:
        heads: of attention; None where it is not given.
        transposed: patterns of names, such as ``up.*.weight``.
        groups: patterns and numbers, such as ``conv.*.weight=4``.
        configs: the JSON files beside the weights.

    Raises:
        HintError: a pattern has no number from 1 after an equals sign.
    """
    numbers: dict[str, int] = {}
    for entry in groups:
        pattern, _, number = (part.strip() for part in entry.rpartition("="))
        if not (pattern and number.isascii() and number.isdigit() and len(number) < 10 and int(number)):
            raise HintError(f"groups: expected PATTERN=G with G a whole number from 1, got {quote(entry)}")
        numbers[pattern] = int(number)
    return Hints(heads, transposed, numbers, configs)


def check_patterns(kernels: Iterable[str], hints: Hints) -> None:
    """Refuse a pattern that fits no kernel of a whole model.

    Args:
        kernels: names of all matrices of kind convolution, those of groups included.
        hints: the patterns.

    Raises:
        HintError: there is one.
    """
    names = {re.sub(r"\.group[0-9]+\Z", "", name) for name in kernels}
    for option, patterns in (("transposed", hints.transposed), ("groups", hints.groups)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise HintError(
                    f"{option}: none of {len(names)} kernels of convolutions fits {quote(pattern)}; "
                    "leave it out"
                )
