"""Tensors of a file that torch.save wrote: inspected without loading it, then loaded as inspected."""

import math
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

from spaceprobe.weights.pickles import Call, Global, Persistent, RefusedError
from spaceprobe.weights.quoting import quote
from spaceprobe.weights.torch_containers import (
    STORAGE_TYPES,
    damaged,
    declared_storage,
    read_container,
)

STATE_KEYS = ("state_dict", "model_state_dict", "model")
"""Where a checkpoint keeps its state dict, looked up in this order."""

_TENSOR = "torch._utils._rebuild_tensor_v2"
_TYPED_TENSOR = "torch._utils._rebuild_tensor_v3"  # of types that have no storage of their own
_PARAMETER = "torch._utils._rebuild_parameter"
_UNREAD = {
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "without data (meta)",
}
_NO_TENSOR = ("torch.Size", "torch.device", "torch.serialization._get_layout")
_DTYPES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_QUANTISATIONS = ("torch.per_tensor_affine", "torch.per_channel_affine")
_ALLOWED = frozenset(
    [
        *("collections.OrderedDict", _TENSOR, _TYPED_TENSOR, _PARAMETER),
        *(*_UNREAD, *_NO_TENSOR, *_DTYPES, *_QUANTISATIONS, *STORAGE_TYPES),
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


class Inspected(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: by their names in the state dict.
        path: the keys that lead to the state dict: none, or one of `STATE_KEYS`.
    """

    tensors: dict[str, Declared]
    path: tuple[str, ...]


def inspect(file: BinaryIO, size: int) -> Inspected:
    """Return the tensors of a file that torch.save wrote, after a check of all that torch.load trusts.

    Every storage has exactly the bytes that are declared and every tensor lies inside its storage; an
    archive is not compressed and its CRC-32 agree. Nothing in a pickle is called.

    Args:
        file: open for reading, seekable.
        size: its bytes.

    Raises:
        RefusedError: something does not agree, code is in it, or there is no state dict.
        OSError: the file cannot be read.
    """
    pickle = read_container(file, size, _ALLOWED)
    path, state = _find_state(pickle.root)
    declared: dict[int, Declared] = {}
    for call in pickle.calls:
        if call.function in (_TENSOR, _TYPED_TENSOR):
            declared[id(call)] = _declared_tensor(call)
        elif call.function == _PARAMETER:
            declared[id(call)] = _declared_parameter(call, declared)
        elif call.function not in _NO_TENSOR:
            raise RefusedError(_unread(call, state))
    tensors = {_named(name): declared[id(value)] for name, value in state.items() if id(value) in declared}
    return Inspected(tensors, path)


def load(file: BinaryIO, inspected: Inspected) -> dict[str, Tensor]:
    """Return the inspected tensors, read by torch.load with ``weights_only=True`` into main memory.

    Raises:
        RefusedError: torch refuses the file, or reads something else than was inspected.
    """
    file.seek(0)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        for key in inspected.path:
            state = state[key]
        tensors = {name: state[name].detach() for name in inspected.tensors}
    # torch does not document the errors that a hostile file can cause: whichever it is, the file is at fault.
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        cause = quote(f"{type(error).__name__}: {first_line}")
        raise RefusedError(f"torch cannot read it ({cause}); save it as safetensors") from error
    for name, tensor in tensors.items():
        if (tuple(tensor.shape), tensor.dtype) != inspected.tensors[name]:
            raise damaged(f"{quote(name)} is not the tensor that it declares")
    return tensors


def _find_state(root: object) -> tuple[tuple[str, ...], dict[object, object]]:
    """Return the keys that lead to the state dict, and that dict: the first that names a tensor."""
    if isinstance(root, Call):
        raise RefusedError('holds a tensor without a name; save a dict, as {"weight": tensor}')
    if not isinstance(root, dict):
        raise RefusedError(f"holds a {type(root).__name__}; a dict of names and tensors is needed")
    for path in ((), *((key,) for key in STATE_KEYS)):
        state = root.get(path[0]) if path else root
        if isinstance(state, dict) and any(
            isinstance(value, Call) and value.function not in _NO_TENSOR for value in state.values()
        ):
            return path, state
    keys = ", ".join(quote(str(key)) for key in list(root)[:5]) or "nothing at all"
    raise RefusedError(
        f"holds no tensor under a name, but {keys}; a state dict is needed, "
        f"by itself or under {', '.join(STATE_KEYS)}"
    )


def _named(name: object) -> str:
    if not isinstance(name, str):
        raise RefusedError(f"holds a tensor under {quote(str(name))}, which is not a text; name it by a text")
    return name


def _unread(call: Call, state: Mapping[object, object]) -> str:
    name = next((quote(str(name)) for name, value in state.items() if value is call), "outside the weights")
    what = _UNREAD.get(call.function, f"made by {quote(call.function)}")
    return f"its tensor {name} is {what}; only dense tensors are read: convert it and save it again"


def _declared_parameter(call: Call, declared: Mapping[int, Declared]) -> Declared:
    if not call.args or id(call.args[0]) not in declared:
        raise damaged("a parameter without a tensor")
    return declared[id(call.args[0])]


def _declared_tensor(call: Call) -> Declared:
    """Return what a call declares, if that lies inside its storage."""
    if len(call.args) < 6 or not isinstance(call.args[0], Persistent):
        raise damaged("a tensor without a storage")
    storage = declared_storage(call.args[0])
    dtype = storage.dtype
    if call.function == _TYPED_TENSOR:
        mentioned = call.args[6] if len(call.args) > 6 else None
        if not isinstance(mentioned, Global) or mentioned.name not in _DTYPES:
            raise damaged("a tensor without a type")
        dtype = _DTYPES[mentioned.name]
    (offset,), shape, stride = (_counts(value) for value in ((call.args[1],), call.args[2], call.args[3]))
    if len(shape) != len(stride):
        raise damaged(f"shape {quote(str(shape))} with {len(stride)} strides")
    num_reached = offset + 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    if 0 not in shape and num_reached * dtype.itemsize > storage.num_bytes:
        raise damaged(f"a tensor of shape {quote(str(shape))} reaches beyond its {storage.num_bytes} bytes")
    return Declared(shape, dtype)


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(type(value) is int and value >= 0 for value in values):
        raise damaged("a shape, stride or offset that is not a whole number")
    return values
