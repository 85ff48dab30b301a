"""Tensors of a file that torch.save wrote: inspected as data, then read by their places in the file."""

import math
from collections.abc import Iterable, Mapping
from io import BufferedReader
from typing import NamedTuple

import torch
from torch import Tensor

from spaceprobe.weights.candidates import Candidate, choose
from spaceprobe.weights.pickles import Call, Global, Persistent, RefusedError
from spaceprobe.weights.quoting import quote
from spaceprobe.weights.torch_containers import (
    STORAGE_TYPES,
    Container,
    damaged,
    declared_storage,
    read_container,
)

_TENSOR = "torch._utils._rebuild_tensor_v2"
_TYPED_TENSOR = "torch._utils._rebuild_tensor_v3"  # of types that have no storage of their own
_FIRST_TENSOR = "torch._utils._rebuild_tensor"  # of torch 0.3 and before: without gradients and hooks
_NUM_ARGUMENTS = {_TENSOR: 6, _TYPED_TENSOR: 7, _FIRST_TENSOR: 4}
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_UNREAD = {
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "without data (meta)",
}
_NO_TENSOR = ("torch.Size", "torch.device", "torch.serialization._get_layout")
_BESIDE = (
    *("collections.Counter", "_codecs.encode", "numpy.dtype"),
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    *(
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in ("set", "frozenset", "bytearray", "complex")
    ),
)
"""Plain values that stand beside weights, in the state of a schedule or as an accuracy: ignored."""
_DTYPES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_QUANTISATIONS = ("torch.per_tensor_affine", "torch.per_channel_affine")
_ALLOWED = frozenset(
    [
        *("collections.OrderedDict", *_NUM_ARGUMENTS, *_PARAMETERS),
        *(*_UNREAD, *_NO_TENSOR, *_BESIDE, *_DTYPES, *_QUANTISATIONS, *STORAGE_TYPES),
    ]
)


class Declared(NamedTuple):
    """The shape of a tensor and the type that it is stored in, as a file declares them."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_elements(self) -> int:
        """Product of the shape; a file stores fewer of an expanded tensor."""
        return math.prod(self.shape)


class Place(NamedTuple):
    """Where a tensor lies in a file.

    Attributes:
        start: of its storage, in bytes from the file's first.
        offset: of its first element in the storage, in elements.
        stride: elements between neighbours along each side.
        num_reached: elements of the storage up to its last one.
        is_conjugated: whether the stored numbers are the conjugated ones.
        is_negated: whether the stored numbers are the negative ones.
    """

    start: int
    offset: int
    stride: tuple[int, ...]
    num_reached: int
    is_conjugated: bool = False
    is_negated: bool = False


class Inspected(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: by their names in the state dict.
        places: where these lie, by the same names.
        chosen: the state dict, and what else is in the file.
    """

    tensors: dict[str, Declared]
    places: dict[str, Place]
    chosen: Candidate


def inspect(file: BufferedReader, size: int, key: str | None = None) -> Inspected:
    """Return the tensors of a file that torch.save wrote, after a check of all that is trusted later.

    Every storage has exactly the bytes that are declared and every tensor lies inside its storage; an
    archive is not compressed and its CRC-32 agree. Nothing in a pickle is called.

    Args:
        file: open for reading, seekable.
        size: its bytes.
        key: which state dict; see `spaceprobe.weights.candidates.choose`.

    Raises:
        RefusedError: something does not agree, code is in it, or there is no state dict.
        ChoiceError: there are several, or none under the key.
        OSError: the file cannot be read.
    """
    container = read_container(file, size, _ALLOWED)
    declared: dict[int, Declared] = {}
    places: dict[int, Place] = {}
    unread: list[Call] = []
    for call in container.pickle.calls:
        if call.function in _NUM_ARGUMENTS:
            declared[id(call)], places[id(call)] = _declared_tensor(call, container)
        elif call.function in _PARAMETERS:
            if not call.args or id(call.args[0]) not in declared:
                raise damaged("a parameter without a tensor")
            declared[id(call)] = declared[id(call.args[0])]
            places[id(call)] = places[id(call.args[0])]
        elif call.function not in (*_NO_TENSOR, *_BESIDE):
            unread.append(call)
    shapes = {number: tensor.shape for number, tensor in declared.items()}
    chosen = choose(container.pickle.root, {id(call) for call in unread}, shapes, key)
    if unread:
        raise RefusedError(_unread(unread[0], chosen.state))
    names = {_named(name): id(value) for name, value in chosen.state.items() if id(value) in declared}
    return Inspected(
        {name: declared[number] for name, number in names.items()},
        {name: places[number] for name, number in names.items()},
        chosen,
    )


def load(file: BufferedReader, inspected: Inspected, names: Iterable[str]) -> dict[str, Tensor]:
    """Return some of the inspected tensors; names of the same numbers share one tensor.

    Only the bytes of these tensors are read, and nothing but numbers comes of them.

    Raises:
        RefusedError: the file became shorter meanwhile.
        OSError: the file cannot be read.
    """
    read: dict[tuple[Declared, Place], Tensor] = {}
    tensors = {}
    for name in names:
        where = inspected.tensors[name], inspected.places[name]
        if where not in read:
            read[where] = _read_tensor(file, *where)
        tensors[name] = read[where]
    return tensors


def _read_tensor(file: BufferedReader, declared: Declared, place: Place) -> Tensor:
    if 0 in declared.shape:
        return torch.empty(declared.shape, dtype=declared.dtype)
    itemsize = declared.dtype.itemsize
    content = torch.empty((place.num_reached - place.offset) * itemsize, dtype=torch.uint8)
    file.seek(place.start + place.offset * itemsize)
    if file.readinto(content.numpy().data) != len(content):
        raise damaged("it became shorter while it was read")
    tensor = content.view(declared.dtype).as_strided(declared.shape, place.stride)
    if place.is_conjugated:
        tensor = tensor.conj().resolve_conj()
    return -tensor if place.is_negated else tensor


def _named(name: object) -> str:
    if not isinstance(name, str):
        raise RefusedError(f"holds a tensor under {quote(str(name))}, which is not a text; name it by a text")
    return name


def _unread(call: Call, state: Mapping[object, object]) -> str:
    name = next((quote(str(name)) for name, value in state.items() if value is call), "outside the weights")
    what = _UNREAD.get(call.function, f"made by {quote(call.function)}")
    return f"its tensor {name} is {what}; only dense tensors are read: convert it and save it again"


def _declared_tensor(call: Call, container: Container) -> tuple[Declared, Place]:
    """Return what a call declares and where that lies, if it lies inside its storage."""
    if len(call.args) < _NUM_ARGUMENTS[call.function] or not isinstance(call.args[0], Persistent):
        raise damaged("a tensor without a storage")
    storage = declared_storage(call.args[0])
    dtype = storage.dtype
    if call.function == _TYPED_TENSOR:
        mentioned = call.args[6]
        if not isinstance(mentioned, Global) or mentioned.name not in _DTYPES:
            raise damaged("a tensor without a type")
        dtype = _DTYPES[mentioned.name]
    (offset,), shape, stride = (_counts(value) for value in ((call.args[1],), call.args[2], call.args[3]))
    if len(shape) != len(stride):
        raise damaged(f"shape {quote(str(shape))} with {len(stride)} strides")
    num_reached = offset + 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    if 0 not in shape and num_reached * dtype.itemsize > storage.num_bytes:
        raise damaged(f"a tensor of shape {quote(str(shape))} reaches beyond its {storage.num_bytes} bytes")
    marks = call.args[-1] if len(call.args) > 6 and isinstance(call.args[-1], dict) else {}
    place = Place(
        container.starts[storage.key],
        offset,
        stride,
        num_reached,
        marks.get("conj") is True,
        marks.get("neg") is True,
    )
    return Declared(shape, dtype), place


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(type(value) is int and value >= 0 for value in values):
        raise damaged("a shape, stride or offset that is not a whole number")
    return values
