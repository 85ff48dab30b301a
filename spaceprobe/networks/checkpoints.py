"""Checkpoints: weights as safetensors bytes that are believed only when they check out.

safetensors finds a damaged header but not a flipped bit in the weights, so every checkpoint comes with its
SHA-256 and is read only if bytes and shapes are the expected ones.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import nn

from spaceprobe.errors import SpaceprobeError

MAX_HEADER_BYTES = 1_000_000  # chosen: a header is a line a tensor


class CheckpointError(SpaceprobeError):
    """A checkpoint is missing or is not what was written."""


def to_bytes(network: nn.Module) -> bytes:
    """Returns the weights of a network in the safetensors format; equal weights give equal bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(dict(sorted(state.items())))


def load_into(network: nn.Module, path: Path, sha256: str) -> None:
    """Loads a checkpoint into a network of the same architecture, after checking it.

    Args:
        network: gives the expected names, shapes and types; changed only when everything agrees.
        path: the checkpoint.
        sha256: the digest recorded when it was written.

    Raises:
        CheckpointError: it is missing, too large, damaged, or of other shapes.
    """
    expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in network.state_dict().items()}
    num_bytes = sum(tensor.nbytes for tensor in network.state_dict().values())
    data = read_verified(path, sha256, max_bytes=num_bytes + MAX_HEADER_BYTES)
    state = safetensors.torch.load(data)
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    if found != expected:
        raise CheckpointError(f"{path}: holds {_shapes(found)}, expected {_shapes(expected)}")
    network.load_state_dict(state)


def read_verified(path: Path, sha256: str, max_bytes: int) -> bytes:
    """Returns the bytes of a file whose SHA-256 is the expected one.

    Raises:
        CheckpointError: it is missing, unreadable, too large, or differs from what was written.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise CheckpointError(f"{path}: has {size} bytes, at most {max_bytes} are expected")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(f"{path}: is damaged (its SHA-256 is not the one recorded when it was written)")
    return data


def _shapes(state: Mapping[str, tuple[tuple[int, ...], object]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, (shape, _) in sorted(state.items()))
