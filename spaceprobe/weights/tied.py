"""Matrices that a file holds under two names: the same storage, or the same numbers."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

_SAMPLED = 8


def find_tied(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the names that hold what an earlier name holds already, each with that first name.

    Equal are shape, type and every bit. A tensor whose entries are all the same, such as one of zeros, is
    tied to none unless the two share their storage.

    Args:
        tensors: of two sides or more, by name.
    """
    tied: dict[str, str] = {}
    first: dict[object, list[str]] = {}
    for name, tensor in tensors.items():
        candidates = first.setdefault(_sample(tensor), [])
        twin = next((other for other in candidates if _is_tied(tensors[other], tensor)), None)
        if twin is None:
            candidates.append(name)
        else:
            tied[name] = twin
    return tied


def tie_digest(tensor: Tensor) -> str | None:
    """Return what two tensors of different blocks have in common if and only if they are tied.

    Equal are shape, type and every bit, as of `find_tied`; None for a tensor whose entries are all the same.
    """
    if _is_constant(tensor):
        return None
    digest = hashlib.sha256(repr((tuple(tensor.shape), tensor.dtype)).encode())
    digest.update(_bits(tensor).numpy().reshape(-1).data)
    return digest.hexdigest()


def _sample(tensor: Tensor) -> object:
    """Return something that is the same for equal tensors and hardly ever for others."""
    stride = max(1, tensor.numel() // _SAMPLED)
    entries = tensor.flatten()[::stride]
    return tuple(tensor.shape), tensor.dtype, entries.contiguous().view(torch.uint8).numpy().tobytes()


def _is_tied(one: Tensor, other: Tensor) -> bool:
    if one.data_ptr() == other.data_ptr() and one.stride() == other.stride():
        return True
    if not torch.equal(_bits(one), _bits(other)):
        return False
    return not _is_constant(one)


def _is_constant(tensor: Tensor) -> bool:
    return bool((tensor == tensor.reshape(-1)[0]).all())


def _bits(tensor: Tensor) -> Tensor:
    """Return the bits of the entries: NaN differs from itself, and 0 equals -0."""
    return tensor.contiguous().view(torch.uint8)
