"""Spectral norm, W = V / σ with σ = uᵀ V v (Miyato et al. 2018), in both spellings of torch.nn.utils."""

from collections.abc import Iterator

from torch import Tensor

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Pieces
from spaceprobe.weights.layouts.parametrized import parametrized


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    for name in tuple(pieces):
        names = _names(name, pieces)
        if names is None:
            continue
        base, u_name, v_name = names
        if base in pieces or u_name not in pieces or v_name not in pieces:
            continue
        stored, u, v = pieces[name], pieces[u_name].tensor, pieces[v_name].tensor
        dims = _dims(stored.tensor, u, v)
        if not dims:
            continue
        is_last = len(dims) == 2 and hints.is_transposed(base)
        note = f"spectral norm: V / uᵀVv, the rows of V along dimension {dims[is_last]}"
        if len(dims) == 2 and stored.tensor.ndim > 2 and not is_last:
            note += " (1 for a transposed convolution: give --transposed)"
        weight = _joined(stored.tensor, u, v, dims[is_last])
        yield Change([name, u_name, v_name], {base: stored.derive(weight, note)})


def _names(name: str, pieces: Pieces) -> tuple[str, str, str] | None:
    """Return the names of the weight, of u and of v, for the name of V."""
    if name.endswith("_orig"):
        base = name.removesuffix("_orig")
        return base, f"{base}_u", f"{base}_v"
    split = parametrized(name)
    if split is None or split[2] != "original":
        return None
    prefix, base, _ = split
    ours = {name, f"{prefix}0._u", f"{prefix}0._v"}
    if any(other.startswith(prefix) and other not in ours for other in pieces):
        return None  # another parametrization besides
    return base, f"{prefix}0._u", f"{prefix}0._v"


def _dims(weight: Tensor, u: Tensor, v: Tensor) -> list[int]:
    """Return the dimensions along which u and v fit: 0, and 1 for transposed convolutions."""
    if u.ndim != 1 or v.ndim != 1 or weight.ndim < 2 or not weight.is_floating_point():
        return []
    return [dim for dim in (0, 1) if len(u) == weight.shape[dim] and len(u) * len(v) == weight.numel()]


def _joined(weight: Tensor, u: Tensor, v: Tensor, dim: int) -> Tensor:
    sigma = u.double() @ weight.double().movedim(dim, 0).flatten(1) @ v.double()
    return (weight.double() / sigma).to(weight.dtype)


LAYOUT = Layout("spectral norm", _find)
