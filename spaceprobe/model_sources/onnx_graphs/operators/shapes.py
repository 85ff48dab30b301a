"""Operators that move entries, and those that compute with shapes, which are whole numbers."""

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.model_sources.onnx_graphs.operators.call import Call, Made, Operator

MAX_SIZES = 16
"""Chosen: numbers of a shape."""

PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
FLOAT_TYPES = (1, 10, 11, 16)
WHOLE_TYPES = (2, 3, 5, 6, 7, 9, 12, 13)
"""Numbers of types in ONNX (TensorProto.DataType)."""

LARGEST_PLACE = 2**62
"""Exporters write a larger number for "to the end"."""


def identity(call: Call) -> Made:
    """The value itself."""
    return call.made(lambda x: x)


def dropout(call: Call) -> Made:
    """Nothing, outside training."""
    mode = call.constant(2)
    if (call.has(2) and mode is None) or (mode is not None and bool(mode.any())):
        raise call.refuse("draws at random while training: export the network in evaluation mode")
    return call.made(lambda x: x)


def constant(call: Call) -> Tensor:
    """A tensor that stands in the node."""
    given = dict(call.node.attributes)
    if len(given) != 1:
        raise call.refuse("holds other than one value")
    name, value = given.popitem()
    if isinstance(value, Tensor):
        return value
    if name not in ("value_float", "value_floats", "value_int", "value_ints"):
        raise call.refuse(f"holds a {name}, which is not supported")
    return torch.tensor(value, dtype=torch.float32 if "float" in name else torch.int64)


def constant_of_shape(call: Call) -> Made:
    """One number in a given shape."""
    value = call.attribute("value", torch.zeros(1))
    if value.numel() != 1:
        raise call.refuse(f"repeats {value.numel()} numbers: expected one")
    return call.made(lambda shape: value.to(shape.device).expand(_numbers(shape)), reads=(0,))


def reshape(call: Call) -> Made:
    """Other sizes. A batch that the file fixes becomes that of what comes."""
    allows_zero = bool(call.attribute("allowzero", 0))
    fixed = call.whole_numbers("shape", 1) if "shape" in call.node.attributes else None
    known = call.constant(1)
    if known is not None:
        if known.is_floating_point() or known.ndim != 1 or len(known) > MAX_SIZES:
            raise call.refuse(
                f"takes a shape of {known.dtype} and of sizes {tuple(known.shape)}: expected "
                f"up to {MAX_SIZES} whole numbers"
            )
        fixed = known.tolist()

    def run(x: Tensor, shape: Tensor | None = None) -> Tensor:
        sizes = [*(fixed if fixed is not None else _numbers(shape))]
        if not allows_zero:
            sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
        if fixed is not None and sizes and sizes[0] != x.shape[0]:
            rest, per_input = sizes[1:], math.prod(x.shape[1:])
            is_split = -1 not in rest and math.prod(rest) == per_input
            is_made_for = -1 in rest and sizes[0] == call.batch
            if is_split or is_made_for:
                sizes[0] = x.shape[0]
        return x.reshape(sizes)

    return call.made(run) if fixed is not None else call.made(run, 0, 1, reads=(1,))


def flatten(call: Call) -> Made:
    """A row of each input."""
    axis = call.attribute("axis", 1)

    def run(x: Tensor) -> Tensor:
        if axis % x.ndim != 1 and not (x.ndim == 1 and axis == 1):
            raise ValueError(f"flattens from dimension {axis} on, which mixes the batch: expected 1")
        return x.flatten(1)

    return call.made(run)


def transpose(call: Call) -> Made:
    """Dimensions in another order; the opposite one by default."""
    order = call.whole_numbers("perm")
    return call.made(lambda x: x.permute(order if order is not None else [*range(x.ndim)][::-1]))


def concatenate(call: Call) -> Made:
    """Values behind one another. A constant that was made for one input stands beside each."""
    axis = call.attribute("axis", 0)
    places = range(len(call.node.inputs))
    is_constant = [call.constant(place) is not None for place in places]

    def run(*values: Tensor) -> Tensor:
        others = [value for value, known in zip(values, is_constant, strict=True) if not known]
        if others and axis % others[0].ndim:
            values = tuple(
                value.expand(others[0].shape[0], *value.shape[1:])
                if known and value.ndim == others[0].ndim and value.shape[0] == 1
                else value
                for value, known in zip(values, is_constant, strict=True)
            )
        return torch.cat(values, axis)

    return call.made(run, *places)


def squeeze(call: Call) -> Made:
    """Without dimensions of size 1."""
    axes = call.whole_numbers("axes", 1)
    if axes is None:
        raise call.refuse("does not say which dimensions; export it with axes")

    def run(x: Tensor) -> Tensor:
        if any(x.shape[axis] != 1 for axis in axes):
            raise ValueError(
                f"removes dimensions {axes} of a value of sizes {tuple(x.shape)}: expected 1 there"
            )
        return x.squeeze(tuple(axes)) if len(axes) != 1 else x.squeeze(axes[0])

    return call.made(run)


def unsqueeze(call: Call) -> Made:
    """With more dimensions of size 1."""
    axes = call.whole_numbers("axes", 1) or []

    def run(x: Tensor) -> Tensor:
        num_dims = x.ndim + len(axes)
        for axis in sorted(axis % num_dims for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return call.made(run)


def pad(call: Call) -> Made:
    """More entries around, of one number or of those inside."""
    mode = call.attribute("mode", "constant")
    if mode not in PAD_MODES:
        raise call.refuse(f"pads by {mode!r}: expected {', '.join(PAD_MODES)}")
    pads = call.whole_numbers("pads", 1)
    value = call.number("value", 2) or 0.0
    axes = call.whole_numbers("", 3) if call.has(3) else None
    if pads is None or len(pads) % 2:
        raise call.refuse("does not say how much is padded on both sides of each dimension")

    def run(x: Tensor) -> Tensor:
        count = len(pads) // 2
        places = [axis % x.ndim for axis in (axes if axes is not None else range(count))]
        if len(places) != count or count > x.ndim:
            raise ValueError(f"pads {count} dimensions of a value of {x.ndim}")
        around = {place: (pads[number], pads[count + number]) for number, place in enumerate(places)}
        if any(around.get(0, (0, 0))):
            raise ValueError("pads the batch: expected other dimensions")
        first = min((place for place, pair in around.items() if any(pair)), default=x.ndim)
        if mode != "constant" and first < 2:
            first = 2 if first == x.ndim else first
        flat = [number for place in range(x.ndim - 1, first - 1, -1) for number in around.get(place, (0, 0))]
        if not flat:
            return x
        return F.pad(x, flat, PAD_MODES[mode], value if mode == "constant" else None)

    return call.made(run)


def shape_of(call: Call) -> Made:
    """The sizes of a value."""
    start, end = call.attribute("start", 0), call.attribute("end")
    return call.made(lambda x: torch.tensor([*x.shape][start:end], dtype=torch.int64))


def gather(call: Call) -> Made:
    """Entries of a dimension by their number."""
    axis = call.attribute("axis", 0)

    def run(x: Tensor, index: Tensor) -> Tensor:
        size = x.shape[axis]
        if index.numel() and not (int(index.min()) >= -size and int(index.max()) < size):
            raise ValueError(f"takes entries that a dimension of {size} does not have")
        moved = torch.where(index < 0, index + size, index)
        if index.ndim == 0:
            return x.select(axis, int(moved))
        taken = x.index_select(axis, moved.reshape(-1).to(x.device))
        return taken if index.ndim == 1 else taken.unflatten(axis, index.shape)

    found = call.constant(1)
    if found is not None and found.is_floating_point():
        raise call.refuse("takes entries by numbers that are not whole")
    return call.made(run, 0, 1, reads=(1,))


def cut(call: Call) -> Made:
    """A range of entries of some dimensions."""
    places = [place for place in range(1, 5) if call.has(place)]
    from_attributes = {name: call.whole_numbers(name) for name in ("starts", "ends", "axes")}

    def run(x: Tensor, *numbers: Tensor) -> Tensor:
        given: dict[int, Any] = dict(zip(places, map(_numbers, numbers), strict=True))
        starts = from_attributes["starts"] or given.get(1, [])
        ends = from_attributes["ends"] or given.get(2, [])
        axes = from_attributes["axes"] or given.get(3) or [*range(len(starts))]
        steps = given.get(4) or [1] * len(starts)
        if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
            raise ValueError(f"cuts from {starts} to {ends} by {steps}: expected as many, and no step of 0")
        slices = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            size = x.shape[axis]
            if step < 0:
                places_taken = range(size)[start : None if end < -size else end : step]
                x = x.index_select(axis, torch.tensor([*places_taken], device=x.device))
            elif not (start in (0, -size) and end >= size and step == 1):
                slices[axis] = slice(start, min(end, LARGEST_PLACE), step)
        return x[tuple(slices)]

    return call.made(run, 0, *places, reads=range(1, len(places) + 1))


def expand(call: Call) -> Made:
    """Dimensions of size 1 repeated."""
    known = call.constant(1)

    def run(x: Tensor, shape: Tensor) -> Tensor:
        sizes = _numbers(shape)
        if (
            known is not None
            and call.batch is not None
            and len(sizes) == x.ndim
            and sizes[:1] == [call.batch]
        ):
            sizes[0] = x.shape[0]
        return x.expand(torch.broadcast_shapes(x.shape, sizes))

    return call.made(run, 0, 1, reads=(1,))


def cast(call: Call) -> Made:
    """Another type; between floats there is nothing to do."""
    target = call.attribute("to")
    if target in FLOAT_TYPES:
        return call.made(lambda x: x if x.is_floating_point() else x.to(torch.float32))
    if target not in WHOLE_TYPES:
        raise call.refuse(f"makes numbers of type {target}, which is not supported")

    def run(x: Tensor) -> Tensor:
        if x.is_floating_point():
            raise ValueError("rounds to whole numbers, which is not supported")
        return x.to(torch.int64)

    return call.made(run)


def _numbers(shape: Tensor | None) -> list[int]:
    if shape is None or shape.is_floating_point() or shape.ndim > 1 or shape.numel() > MAX_SIZES:
        raise ValueError(f"expected up to {MAX_SIZES} whole numbers in a row for a shape")
    return [int(number) for number in shape.reshape(-1).tolist()]


SHAPES: dict[str, Operator] = {
    "Identity": identity,
    "Dropout": dropout,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": transpose,
    "Concat": concatenate,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Pad": pad,
    "Shape": shape_of,
    "Gather": gather,
    "Slice": cut,
    "Expand": expand,
    "Cast": cast,
}
