"""Which of several settings tell rows apart, so that labels can leave out those that follow from the rest."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def telling_apart(
    rows: Sequence[Mapping[Any, object]], names: Sequence[str], always: Collection[str] = ()
) -> list[str]:
    """Return those of some names whose values tell rows apart that those before them do not.

    >>> rows = [{"model": "mlp", "rate": 0.1, "size": 1}, {"model": "cnn", "rate": 0.1, "size": 2}]
    >>> telling_apart(rows, ["rate", "model", "size"])
    ['model']

    Args:
        rows: the values by name.
        names: in the order in which they are read.
        always: names that are kept in any case.
    """
    kept: list[str] = []
    num_apart = 1
    for name in names:
        combinations = {json.dumps([row[other] for other in (*kept, name)], default=str) for row in rows}
        if name in always or len(combinations) > num_apart:
            kept.append(name)
            num_apart = len(combinations)
    return kept
