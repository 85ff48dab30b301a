"""Weights of 2, 4 or 8 bits in words of 32: GPTQ and AWQ, scale × (integer - zero) for groups of inputs."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Piece, Pieces, check_room

AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where each of eight outputs lies in a word (Lin et al.'s code, for reading two at once)."""

_LEAVES = ("qweight", "qzeros", "scales", "g_idx")
_REASON = "integers in words of 32 bits (GPTQ, AWQ) whose number of bits, groups or zeros are not told"
_ADDED = {"gptq": 1, "gptq_v2": 0}
"""What is added to a stored zero, by the ``checkpoint_format``."""


class _Stored(NamedTuple):
    integers: Tensor
    zeros: Tensor
    scales: Tensor
    groups: Tensor | None


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    for name in tuple(pieces):
        owner = name.removesuffix("qweight")
        if not name.endswith("qweight") or owner[-1:] not in ("", "."):
            continue
        takes = [owner + leaf for leaf in _LEAVES if owner + leaf in pieces]
        base = f"{owner}weight"
        joined = None
        if [*map(owner.__add__, _LEAVES[:3])] == takes[:3] and base not in pieces:
            stored = [pieces[owner + leaf].tensor if owner + leaf in pieces else None for leaf in _LEAVES]
            joined = _joined(_Stored(*stored), hints)  # type: ignore[arg-type]
        if joined is None:
            yield Change(takes, reason=_REASON)
        else:
            weight, note = joined
            yield Change(takes, {base: Piece((weight,), note=note)})


def _joined(stored: _Stored, hints: Hints) -> tuple[Tensor, str] | None:
    """Return the weight, outputs × inputs, and how it was made; None where that is not sure."""
    q, z, scales, groups = stored
    if (q.dtype, z.dtype) != (torch.int32, torch.int32) or not scales.is_floating_point():
        return None
    if not q.ndim == z.ndim == scales.ndim == 2 or len(z) != len(scales):
        return None
    num_groups, outputs = scales.shape
    if z.shape[1] * 32 % outputs:
        return None
    bits = z.shape[1] * 32 // outputs
    if bits not in (2, 4, 8) or hints.configs.quantisation.count("bits", "w_bit") not in (None, bits):
        return None
    per_word = 32 // bits
    is_gptq = q.shape[1] == outputs and (groups is not None or len(q) % num_groups == 0)
    is_awq = q.shape == (len(q), z.shape[1]) and bits == 4 and groups is None
    if is_gptq:
        inputs = len(q) * per_word
        check_room((inputs, outputs))
        added = _added(z, bits, hints)
        index = _group_index(groups, inputs, num_groups)
        if added is None or index is None:
            return None
        integers, zeros = _unpacked(q.T, bits).T, _unpacked(z, bits) + added
        return _scaled(integers, zeros, scales, index), f"GPTQ, {bits} bits, {num_groups} groups of inputs"
    index = _group_index(None, len(q), num_groups)
    if not is_awq or index is None:
        return None
    check_room((len(q), outputs))
    integers, zeros = _reordered(_unpacked(q, bits)), _reordered(_unpacked(z, bits))
    return _scaled(integers, zeros, scales, index), f"AWQ, 4 bits, {num_groups} groups of inputs"


def _added(zeros: Tensor, bits: int, hints: Hints) -> int | None:
    """Return what is added to a stored zero: told by the config, or by zeros that lie in the middle."""
    told = hints.configs.quantisation.text("checkpoint_format")
    if told:
        return _ADDED.get(told)
    unpacked, middle = _unpacked(zeros, bits), 2 ** (bits - 1)
    return next((added for added in (1, 0) if bool((unpacked == middle - added).all())), None)


def _group_index(groups: Tensor | None, inputs: int, num_groups: int) -> Tensor | None:
    """Return the group of each input; None where it is not sure."""
    if groups is None:
        return None if inputs % num_groups else torch.arange(inputs) // (inputs // num_groups)
    if groups.shape != (inputs,) or groups.is_floating_point():
        return None
    index = groups.long()
    return index if bool(((index >= 0) & (index < num_groups)).all()) else None


def _unpacked(words: Tensor, bits: int) -> Tensor:
    """Return the integers of each word along the rows, lowest bits first."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    integers: Tensor = (words[:, :, None] >> shifts) & (2**bits - 1)
    return integers.flatten(1)


def _reordered(integers: Tensor) -> Tensor:
    words = integers.reshape(len(integers), -1, 8)
    return words[:, :, list(AWQ_ORDER)].flatten(1)


def _scaled(integers: Tensor, zeros: Tensor, scales: Tensor, index: Tensor) -> Tensor:
    weight: Tensor = (integers - zeros[index]).float() * scales.float()[index]
    return weight.T.contiguous()


LAYOUT = Layout("GPTQ and AWQ", _find)
