"""Checkpoints: weights in the safetensors format, loaded only after they were verified.

safetensors detects a damaged header but not a flipped bit in the weights, so a checkpoint is loaded only if
its SHA-256 and its shapes are the expected ones.
"""

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from spaceprobe.errors import SpaceprobeError

HEADER_LINE_BYTES = 200  # chosen: type, shape and place of a tensor take 75 or so; its name comes on top


class CheckpointError(SpaceprobeError):
    """A checkpoint is missing or is not what was written."""


def to_bytes(network: nn.Module) -> bytes:
    """Return the weights of a network in the safetensors format; equal weights give equal bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(dict(sorted(state.items())))


def load_into(network: nn.Module, path: Path, sha256: str) -> None:
    """Load a checkpoint into a network of the same architecture, after checking it.

    What is loaded takes twice the size of the file for a moment, what is refused no more than once, however
    large the file is or says that it is.

    Args:
        network: gives the expected names, shapes and types; changed only when everything agrees.
        path: the checkpoint.
        sha256: the digest recorded when it was written.

    Raises:
        CheckpointError: it is missing, no file, too large, damaged, or of other shapes.
    """
    weights = network.state_dict()
    expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in weights.items()}
    data = read_verified(path, sha256, max_bytes=_max_bytes(weights))
    try:
        state = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: is not a checkpoint ({error})") from error
    stored = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    if stored != expected:
        raise CheckpointError(f"{path}: holds {_shapes(stored)}, expected {_shapes(expected)}")
    network.load_state_dict(state)


def read_verified(path: Path, sha256: str, max_bytes: int) -> bytes:
    """Return the bytes of a file whose SHA-256 is the expected one.

    Args:
        path: the file.
        sha256: the digest recorded when it was written, in hexadecimal.
        max_bytes: how long it may be; of a longer one nothing is read.

    Raises:
        CheckpointError: it is missing, unreadable, no regular file, too large, or differs from what was
            written.
    """
    try:
        status = path.stat()  # before opening: opening a pipe waits for its other end
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path}: is not a regular file")
        if status.st_size > max_bytes:
            raise CheckpointError(f"{path}: has {status.st_size} bytes, at most {max_bytes} are expected")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)  # not all of it: it may grow meanwhile
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(f"{path}: is damaged (its SHA-256 is not the one recorded when it was written)")
    return data


def _max_bytes(weights: Mapping[str, Tensor]) -> int:
    """Return the most bytes that a checkpoint of these weights has."""
    lines = sum(HEADER_LINE_BYTES + 6 * len(name) for name in weights)  # JSON writes é as six characters
    return HEADER_LINE_BYTES + lines + sum(tensor.nbytes for tensor in weights.values())


def _shapes(state: Mapping[str, tuple[tuple[int, ...], object]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, (shape, _) in sorted(state.items()))
