"""Weights of 8 bits with scales beside them: by block, row or tensor, and LLM.int8 of bitsandbytes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Piece, Pieces, check_room

DEFAULT_BLOCK = (128, 128)  # DeepSeek-V3, and all that follow it
_SUFFIXES = ("_scale_inv", "_scale")
_UNSURE = "8-bit weights and their scales, whose blocks are not told"
_ALONE = "scales and zeros of weights in a form that is not joined"
_NOT_JOINED = (
    # the weight that they belong to, None for any, and scales beside it
    (
        None,
        ("weight_scale", "weight_scale_inv", "weight_scale_2", "weight_scales", "weight_zero_point"),
    ),  # compressed-tensors
    ("_data", ("_scale", "_shift")),  # quanto
    ("W_q", ("scale", "zero")),  # HQQ
    ("B", ("s",)),  # Marlin
    ("weight", ("scales",)),
)
_ROW_MAXIMA = "SCB"  # of bitsandbytes: the largest absolute value of each row


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    for name in tuple(pieces):
        owner, _, leaf = name.rpartition(".")
        if leaf == _ROW_MAXIMA:
            yield from _row_maxima(name, f"{owner}.weight".lstrip("."), pieces)
        suffix = next((end for end in _SUFFIXES if name.endswith(end)), "")
        base = name.removesuffix(suffix)
        if suffix and base in pieces and pieces[base].tensor.ndim >= 2:
            yield from _scaled(name, base, pieces, hints)
        elif name in pieces and any(
            leaf in scales and (weight is None or f"{owner}.{weight}".lstrip(".") in pieces)
            for weight, scales in _NOT_JOINED
        ):
            yield Change([name], reason=_ALONE)


def _row_maxima(name: str, base: str, pieces: Pieces) -> Iterator[Change]:
    if base not in pieces or pieces[base].tensor.dtype != torch.int8:
        return
    stored, maxima = pieces[base], pieces[name].tensor
    if stored.tensor.ndim != 2 or maxima.numel() != len(stored.tensor):
        yield Change([base, name], reason=_UNSURE)
        return
    weight = stored.tensor.float() * (maxima.float().reshape(-1, 1) / 127)
    note = "int8 × the largest value of its row / 127 (LLM.int8)"
    yield Change([base, name], {base: stored.derive(weight, note)})


def _scaled(name: str, base: str, pieces: Pieces, hints: Hints) -> Iterator[Change]:
    stored, scale = pieces[base], pieces[name].tensor
    if not _is_narrow(stored.tensor):
        yield Change([name], reason="scales beside weights that are not of 8 bits")
        return
    others = [other for other in (f"{base}_scale_2", f"{base}_zero_point") if other in pieces]
    has_zeros = any(bool(pieces[other].tensor.count_nonzero()) for other in others)
    is_sure = scale.is_floating_point() and not has_zeros  # others are exponents, of MXFP8
    found = None if not is_sure else _expanded(scale, stored.tensor, hints)
    if found is None:
        yield Change([base, name, *others], reason=_UNSURE)
        return
    check_room(stored.tensor.shape)
    expanded, note = found
    kind = "8 bits" if stored.tensor.is_floating_point() else "int8"
    yield Change([base, name, *others], {base: _multiplied(stored, expanded, f"{kind} × its scale {note}")})


def _multiplied(stored: Piece, scale: Tensor, note: str) -> Piece:
    return stored.derive((stored.tensor.float() * scale).to(torch.float32), note)


def _is_narrow(weight: Tensor) -> bool:
    """Return whether every number is one of 8 bits: int8, or a float8 that was read as a float32."""
    if not weight.is_floating_point():
        return weight.dtype == torch.int8
    types = (torch.float8_e4m3fn, torch.float8_e5m2)
    return weight.dtype == torch.float32 and any(
        torch.equal(weight.to(kind).float(), weight) for kind in types
    )


def _expanded(scale: Tensor, weight: Tensor, hints: Hints) -> tuple[Tensor, str] | None:
    """Return the scale for each entry, and how it goes; None where that is not told."""
    if scale.numel() == 1:
        return scale.float().reshape(()), "of the whole"
    rows = len(weight)
    if scale.numel() == rows and scale.shape in ((rows,), (rows, *[1] * (weight.ndim - 1))):
        return scale.float().reshape(-1, *[1] * (weight.ndim - 1)), "of each row"
    if scale.ndim != weight.ndim or scale.shape[:-2] != weight.shape[:-2]:  # experts have blocks of their own
        return None
    sizes = hints.configs.quantisation.values.get("weight_block_size") or DEFAULT_BLOCK
    if not isinstance(sizes, list | tuple) or [type(size) for size in sizes] != [int, int] or min(sizes) < 1:
        return None
    if [-(-side // size) for side, size in zip(weight.shape[-2:], sizes, strict=True)] != [*scale.shape[-2:]]:
        return None
    tall = scale.float().repeat_interleave(sizes[0], -2)[..., : weight.shape[-2], :]
    blocks = tall.repeat_interleave(sizes[1], -1)[..., : weight.shape[-1]]
    return blocks, f"of each block of {sizes[0]} × {sizes[1]}"


LAYOUT = Layout("8-bit weights", _find)
