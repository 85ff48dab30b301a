"""Weight norm, W = g V / ‖V‖ (Salimans and Kingma 2016), in both spellings of torch.nn.utils."""

from collections.abc import Iterator

import torch
from torch import Tensor

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Pieces
from spaceprobe.weights.layouts.parametrized import parametrized


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    del hints
    for name in tuple(pieces):
        names = _names(name)
        if names is None:
            continue
        other, base = names
        if other not in pieces:
            continue
        g, v = pieces[name].tensor, pieces[other].tensor
        if not _fits(g, v):
            continue
        if base in pieces:
            yield Change([name, other], reason="parts of weight norm beside the weight itself")
            continue
        dims = [dim for dim in range(v.ndim) if g.ndim == 0 or g.shape[dim] == 1]
        over = "all" if g.ndim == 0 or len(dims) == v.ndim else ", ".join(map(str, dims))
        note = f"weight norm: g V / ‖V‖, the norm over dimensions {over}"
        yield Change([name, other], {base: pieces[other].derive(_joined(g, v, dims), note)})


def _names(name: str) -> tuple[str, str] | None:
    """Return the name of V and that of the weight, for the name of g."""
    if name.endswith("_g"):
        base = name.removesuffix("_g")
        return f"{base}_v", base
    split = parametrized(name)
    if split is not None and split[2] == "original0":
        return f"{split[0]}original1", split[1]
    return None


def _fits(g: Tensor, v: Tensor) -> bool:
    """Return whether g is a length for each slice of V along one side, or for the whole."""
    if v.ndim < 2 or not (g.is_floating_point() and v.is_floating_point()):
        return False
    if g.ndim == 0:
        return True
    if g.ndim != v.ndim or sum(side != 1 for side in g.shape) > 1:
        return False
    return all(own in (1, side) for own, side in zip(g.shape, v.shape, strict=True))


def _joined(g: Tensor, v: Tensor, dims: list[int]) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(v.double(), dim=dims, keepdim=True)
    weight: Tensor = g.double() * v.double() / length
    return weight.to(v.dtype)


LAYOUT = Layout("weight norm", _find)
