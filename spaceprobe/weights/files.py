"""Weights from untrusted files: read without running code, within a bound on memory."""

import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spaceprobe.errors import SpaceprobeError
from spaceprobe.weights import torch_files
from spaceprobe.weights.candidates import ChoiceError, describe
from spaceprobe.weights.pickles import RefusedError
from spaceprobe.weights.quoting import path_text, quote, quote_error
from spaceprobe.weights.torch_files import Declared

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
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


@dataclass(frozen=True)
class WeightSource:
    """The tensors of a file, declared but not read.

    Attributes:
        tensors: by name, sorted by name, numbers inside names by their value.
        origin: which part of the file they are and what else is in it, as a line; empty for the whole file.
        load: returns tensors by name, given the names, as the file stores them.
    """

    tensors: Mapping[str, Declared]
    origin: str
    load: Callable[[Iterable[str]], dict[str, Tensor]]

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return some of its tensors, in the order of the names, as `read_weights` does.

        Raises:
            WeightFileError: the file cannot be read any more.
        """
        names = [*names]
        loaded = self.load(names)
        # One after the other leaves its narrow storage to be freed, so that both are never there as a whole.
        return {name: _readable(loaded.pop(name)) for name in names}


def read_weights(path: Path, max_bytes: int = MAX_BYTES, key: str | None = None) -> dict[str, Tensor]:
    """Return all tensors of a file by name, sorted by name, numbers inside names by their value.

    float32 and float64 come as they are; float16, bfloat16 and the float8 types become float32, which
    changes no number (a float8 scale is a tensor of its own and is not multiplied in). Whole numbers,
    booleans and complex numbers come as they are: `matrices_of` leaves them out. Quantised,
    sparse, nested and meta tensors, and types packed below a byte, are refused by name.

    ``.safetensors`` by safetensors; ``.pt``, ``.pth``, ``.bin`` and ``.ckpt`` by what their pickle
    declares, checked as data: the bytes of the tensors are read at their places, nothing in the pickle is
    called, and torch.load is not used. Which dict is the state dict, `spaceprobe.weights.candidates.choose`
    says. A flipped bit in the weights of an archive of torch.save is found by its CRC-32; safetensors and the
    older stream of torch.save have no checksum, so there it is read as another number.

    Memory: what is returned, at most the cap; a hostile pickle of at most 100 MB may take some 100 bytes an
    opcode before it is refused. A tied or expanded tensor counts for each name, as if it were stored. NaN
    and infinity are not looked for.

    Args:
        path: a regular file; its suffix decides how it is read.
        max_bytes: cap on the file's size, and on the size of the tensors as they are returned.
        key: which state dict of several, as ``--key`` takes it; None to find it.

    Raises:
        WeightFileError: the file cannot be read, for whatever reason, in one sentence with the way out.
        ChoiceError: it holds several state dicts, or none under the key.
    """
    source = open_source(path, max_bytes, key)
    return source.read(source.tensors)


def open_source(path: Path, max_bytes: int = MAX_BYTES, key: str | None = None) -> WeightSource:
    """Return the tensors of a file without reading their numbers; see `read_weights`."""
    with one_sentence(path):
        size = _size(path, max_bytes)
        if path.suffix.lower() == ".safetensors":
            if key is not None:
                raise ChoiceError(
                    "--key belongs to files of torch.save: safetensors has no keys; leave it out"
                )
            return _open_safetensors(path, max_bytes)
        return _open_torch(path, size, max_bytes, key)


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into an error that names it."""
    try:
        yield
    except RefusedError as error:
        raise WeightFileError(f"{path_text(path)}: {error}") from error
    except ChoiceError as error:
        raise ChoiceError(f"{path_text(path)}: {error}") from error
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
            f"its suffix is {quote(path.suffix)}; {', '.join(('.safetensors', *TORCH_SUFFIXES))} are read; "
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


def _open_safetensors(path: Path, max_bytes: int) -> WeightSource:
    def load(names: Iterable[str]) -> dict[str, Tensor]:
        with one_sentence(path), _sound_safetensors(), safe_open(path, framework="pt", device="cpu") as file:
            # The file is mapped into memory: a copy of each tensor outlives it.
            return {name: _readable(file.get_tensor(name), copy=True) for name in names}

    with _sound_safetensors(), safe_open(path, framework="pt", device="cpu") as file:
        declared = {}
        for name in file.keys():  # noqa: SIM118 (not a mapping)
            part = file.get_slice(name)
            declared[name] = Declared(tuple(part.get_shape()), _safetensors_type(name, part.get_dtype()))
        check_declared(declared, max_bytes)
    return WeightSource(ordered(declared), "", load)


@contextmanager
def _sound_safetensors() -> Iterator[None]:
    try:
        yield
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


def _open_torch(path: Path, size: int, max_bytes: int, key: str | None) -> WeightSource:
    with path.open("rb") as file:
        inspected = torch_files.inspect(file, size, key)
    check_declared(inspected.tensors, max_bytes)

    def load(names: Iterable[str]) -> dict[str, Tensor]:
        with one_sentence(path), path.open("rb") as file:
            return torch_files.load(file, inspected, names)

    return WeightSource(ordered(inspected.tensors), describe(inspected.chosen), load)


def check_declared(declared: Mapping[str, Declared], max_bytes: int) -> None:
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


def ordered(tensors: Mapping[str, Declared]) -> dict[str, Declared]:
    """Return tensors sorted by name, numbers inside names by their value."""
    return {name: tensors[name] for name in sorted(tensors, key=natural_key)}


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which layer.2 comes before layer.10; two names never have the same."""
    parts = re.split("([0-9]+)", name)
    # Text parts come first and then alternate; a number counts by its digits, then by their value.
    numbered = [
        (len(part.lstrip("0")), part.lstrip("0")) if i % 2 else (0, part) for i, part in enumerate(parts)
    ]
    return [*numbered, (0, name)]
