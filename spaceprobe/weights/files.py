"""Weights from untrusted files: read without running code, within a bound on memory."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spaceprobe.errors import SpaceprobeError
from spaceprobe.weights import torch_files
from spaceprobe.weights.pickles import RefusedError
from spaceprobe.weights.quoting import path_text, quote, quote_error
from spaceprobe.weights.torch_files import Declared

TORCH_SUFFIXES = (".pt", ".pth", ".bin")
MAX_BYTES = 8 * 2**30  # chosen: a network of 2 billion float32 weights, in half the memory of a laptop

EXACT_IN_FLOAT32 = (
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
)
"""Every number of these types is a float32."""

_WHOLE = (torch.bool, torch.int8, torch.int16, torch.int32, torch.int64)
_UNSIGNED = (torch.uint8, torch.uint16, torch.uint32, torch.uint64)
AS_STORED = (torch.float32, torch.float64, torch.complex64, torch.complex128, *_WHOLE, *_UNSIGNED)
"""Types that are read as they are."""

_SAFETENSORS_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "C64": torch.complex64,
    "BOOL": torch.bool,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
}


class WeightFileError(SpaceprobeError):
    """A file of weights is missing, damaged, too large, not safe to read, or holds no weights."""


def read_weights(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Tensor]:
    """Return all tensors of a file by name, sorted by name, numbers inside names by their value.

    float32 and float64 come as they are; float16, bfloat16 and the float8 types become float32, which
    changes no number (a float8 scale is a tensor of its own and is not multiplied in). Whole numbers,
    booleans and complex numbers come as they are: `matrices_of` leaves them out. Quantised,
    sparse, nested and meta tensors, and types packed below a byte, are refused by name.

    ``.safetensors`` by safetensors; ``.pt``, ``.pth`` and ``.bin`` by ``torch.load`` with
    ``weights_only=True``, after a check of everything that it trusts, and by nothing else. There the
    state dict is the file's dict if that names a tensor, else the first of `torch_files.STATE_KEYS`
    that does; other values in it are left out. A flipped bit in the weights of an archive of
    torch.save is found by its CRC-32; safetensors and the older stream of torch.save have no checksum,
    so there it is read as another number.

    Memory: what is returned, at most the cap, and the file besides (loaded, or mapped by safetensors); a
    hostile pickle of at most 100 MB may take some 100 bytes an opcode before it is refused. A tied or
    expanded tensor counts for each name, as if it were stored. NaN and infinity are not looked for.

    Args:
        path: a regular file; its suffix decides how it is read.
        max_bytes: cap on the file's size, and on the size of the tensors as they are returned.

    Raises:
        WeightFileError: the file cannot be read, for whatever reason, in one sentence with the way out.
    """
    try:
        size = _size(path, max_bytes)
        if path.suffix.lower() == ".safetensors":
            return _read_safetensors(path, max_bytes)
        return _read_torch(path, size, max_bytes)
    except RefusedError as error:
        raise WeightFileError(f"{path_text(path)}: {error}") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightFileError(
            f"{path_text(path)}: cannot be read ({reason}); give a file that is there and readable"
        ) from error
    except MemoryError as error:
        raise WeightFileError(
            f"{path_text(path)}: this machine has too little memory for it; give a smaller file"
        ) from error


def _size(path: Path, max_bytes: int) -> int:
    """Return the size of a file that can be read, in bytes; do not open it, since a FIFO would wait."""
    try:
        status = path.stat()
    except ValueError as error:  # a null character
        raise RefusedError(f"is not a path ({error}); give the path of a file") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
        raise RefusedError(f"is {kind}; give a file of weights")
    if path.suffix.lower() not in (".safetensors", *TORCH_SUFFIXES):
        raise RefusedError(
            f"its suffix is {quote(path.suffix)}, {', '.join(('.safetensors', *TORCH_SUFFIXES))} are read; "
            "save the weights in one of these formats"
        )
    if status.st_size == 0:
        raise RefusedError("is empty; get the file again")
    if status.st_size > max_bytes:
        raise RefusedError(
            f"has {status.st_size} bytes, at most {max_bytes} are read; give a smaller file, such as one "
            "shard of it"
        )
    return status.st_size


def _read_safetensors(path: Path, max_bytes: int) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            declared = {}
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                part = file.get_slice(name)
                declared[name] = Declared(tuple(part.get_shape()), _safetensors_type(name, part.get_dtype()))
            _check(declared, max_bytes)
            # The file is mapped into memory: a copy of each tensor outlives it.
            return {name: _readable(file.get_tensor(name), copy=True) for name in _ordered(declared)}
    except (SafetensorError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError(
            f"is not a sound safetensors file ({quote_error(error)}); get it again or save it again"
        ) from error


def _safetensors_type(name: str, dtype: str) -> torch.dtype:
    if dtype not in _SAFETENSORS_TYPES:
        raise RefusedError(_unread_type(name, dtype))
    return _SAFETENSORS_TYPES[dtype]


def _read_torch(path: Path, size: int, max_bytes: int) -> dict[str, Tensor]:
    with path.open("rb") as file:
        inspected = torch_files.inspect(file, size)
        _check(inspected.tensors, max_bytes)
        loaded = torch_files.load(file, inspected)
    # One after the other leaves its narrow storage to be freed, so that both are never there as a whole.
    return {name: _readable(loaded.pop(name)) for name in _ordered(inspected.tensors)}


def _check(declared: Mapping[str, Declared], max_bytes: int) -> None:
    """Refuse tensors of types that are not read, or more of them than fit under the cap."""
    if not declared:
        raise RefusedError("holds no tensor; give a file of weights")
    total = 0
    for name, tensor in declared.items():
        if tensor.dtype not in (*EXACT_IN_FLOAT32, *AS_STORED):
            raise RefusedError(_unread_type(name, str(tensor.dtype)))
        itemsize = 4 if tensor.dtype in EXACT_IN_FLOAT32 else tensor.dtype.itemsize
        total += tensor.num_elements * itemsize
        if total > max_bytes:
            raise RefusedError(
                f"unfolds to more than {max_bytes} bytes (at tensor {quote(name)} of shape "
                f"{quote(str(tensor.shape))}); give a file with fewer weights, such as one shard of it"
            )


def _unread_type(name: str, dtype: str) -> str:
    return (
        f"its tensor {quote(name)} is of type {quote(dtype)}, which is not read: convert it to float32 or "
        "another common type and save it again"
    )


def _readable(tensor: Tensor, *, copy: bool = False) -> Tensor:
    if tensor.dtype in EXACT_IN_FLOAT32:
        return tensor.to(torch.float32)
    return tensor.clone() if copy else tensor


def _ordered(names: Mapping[str, Declared]) -> list[str]:
    return sorted(names, key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which layer.2 comes before layer.10; two names never have the same."""
    parts = re.split("([0-9]+)", name)
    # Text parts come first and then alternate; a number counts by its digits, then by their value.
    numbered = [
        (len(part.lstrip("0")), part.lstrip("0")) if i % 2 else (0, part) for i, part in enumerate(parts)
    ]
    return [*numbered, (0, name)]
