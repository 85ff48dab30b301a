"""The constants of an ONNX file as tensors: their sizes are checked against their bytes first."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spaceprobe.model_sources.onnx_graphs.refusal import OnnxRefusal
from spaceprobe.weights.quoting import quote

if TYPE_CHECKING:
    from onnx import TensorProto

MAX_ELEMENTS = 2**29
"""Chosen: numbers of all constants, 4 GB in float64."""

MAX_DIMENSIONS = 16
"""Chosen: no network has tensors of so many."""

ITEM_BYTES = {
    "FLOAT": 4, "DOUBLE": 8, "FLOAT16": 2, "BFLOAT16": 2, "INT64": 8, "INT32": 4, "INT8": 1, "UINT8": 1,
    "BOOL": 1,
}  # fmt: skip
"""Bytes of a number, by the types that are read."""

TYPED_FIELDS = {
    "FLOAT": "float_data", "DOUBLE": "double_data", "INT64": "int64_data", "FLOAT16": "int32_data",
    "BFLOAT16": "int32_data", "INT32": "int32_data", "INT8": "int32_data", "UINT8": "int32_data",
    "BOOL": "int32_data",
}  # fmt: skip
"""Where a tensor without raw bytes has its numbers."""


def read_tensor(tensor: "TensorProto", what: str) -> Tensor:
    """Return a constant: floats in float32 or float64, in which each has the value that it has in the file.

    Whole numbers become int64, truth values bool.

    Args:
        tensor: as it stands in the file.
        what: names it in messages.

    Raises:
        OnnxRefusal: it is of another type, its numbers do not fit its sizes, or one is not finite.
    """
    from onnx import TensorProto, numpy_helper

    named = TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in _known_types() else "unknown"
    if named not in ITEM_BYTES:
        raise OnnxRefusal(f"{what} holds {named} numbers: expected {', '.join(ITEM_BYTES)}")
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise OnnxRefusal(f"{what} lies in another file, which is not read; export the model in one file")
    if tensor.HasField("segment"):
        raise OnnxRefusal(f"{what} is one segment of several, which are not read")
    sizes = [*tensor.dims]
    if len(sizes) > MAX_DIMENSIONS or any(size < 0 for size in sizes):
        raise OnnxRefusal(
            f"{what} has the sizes {sizes[:MAX_DIMENSIONS]}: expected at most {MAX_DIMENSIONS}, none below 0"
        )
    count = math.prod(sizes)
    if count > MAX_ELEMENTS:
        raise OnnxRefusal(f"{what} has {count:,} numbers, at most {MAX_ELEMENTS:,} are read")
    if tensor.HasField("raw_data"):
        has, expected, unit = len(tensor.raw_data), count * ITEM_BYTES[named], "bytes"
    else:
        has, expected, unit = len(getattr(tensor, TYPED_FIELDS[named])), count, "numbers"
    if has != expected:
        raise OnnxRefusal(
            f"{what} is of sizes {sizes}, so {expected:,} {unit}, and holds {has:,}; export the model again"
        )
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise OnnxRefusal(f"{what} cannot be read ({str(error).partition(chr(10))[0][:100]})") from error
    if named in ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16"):
        numbers = np.array(array, dtype=np.float64 if named == "DOUBLE" else np.float32)
        if not np.isfinite(numbers).all():
            raise OnnxRefusal(
                f"{what} holds NaN or infinite numbers, through which no path can be walked; give finite ones"
            )
    else:
        numbers = np.array(array, dtype=np.bool_ if named == "BOOL" else np.int64)
    return torch.from_numpy(numbers)


def _known_types() -> set[int]:
    from onnx import TensorProto

    return set(TensorProto.DataType.values())


def tensor_name(name: str) -> str:
    """Return what messages call a constant."""
    return f"the constant {quote(name)}"
