"""Weights below torch's ``parametrizations``: their names, and those that no other layout can join."""

import re
from collections.abc import Iterator

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Pieces

_NAME = re.compile(r"((?:.*\.)?)parametrizations\.([^.]+)\.(.+)", re.DOTALL)
_PART = re.compile(r"(?:in_proj_)?weight(?:_[ih]h(?:_l[0-9]+(?:_reverse)?)?)?_(?:orig|g|v)")
_REASON = "parametrized weights whose formula is not in the file"


def parametrized(name: str) -> tuple[str, str, str] | None:
    """Return what a parametrized tensor's name says: see the example; None for any other name.

    Returns:
        The start of the names of all its tensors, the weight's own name, and the rest of the tensor's name:
        of ``a.parametrizations.weight.0._u``: ``a.parametrizations.weight.``, ``a.weight`` and ``0._u``.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    owner, leaf, part = match.groups()
    return f"{owner}parametrizations.{leaf}.", f"{owner}{leaf}", part


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    """Leave out what is left: orthogonal weights, several parametrizations of one weight, one's own."""
    del hints
    for name in tuple(pieces):
        if parametrized(name) is not None:
            yield Change([name], reason=_REASON)
        elif _PART.fullmatch(name.rpartition(".")[2]) and pieces[name].tensor.ndim >= 2:
            yield Change([name], reason="parts of a weight without the others")


LAYOUT = Layout("parametrizations", _find)
