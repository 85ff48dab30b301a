"""The CUDA kernels compiled for the CPU: the primitives are loops over the lanes of a warp.

What `spaceprobe.folding.cuda.lanes` says in numpy, some fifty times as fast, for thousands of paths. It does
not watch for races, as `tests.warp_memory` does.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit, types
from numba.extending import overload

from spaceprobe.folding.cuda import lanes
from spaceprobe.folding.cuda.binding import bind
from spaceprobe.folding.cuda.lanes import LANES

# As on a GPU, where sums of products are fused; an overflow or a division by zero is not an error.
COMPILED: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "no_cpython_wrapper": True}


def of_lane(value, lane):
    """Return the value in a lane: of a vector its entry, else the number itself, which all lanes share."""
    raise NotImplementedError


@overload(of_lane)
def _of_lane(value, lane):
    if isinstance(value, types.Array):
        return lambda value, lane: value[lane]
    return lambda value, lane: value


def same_kind(first, second):
    """Return an empty vector for what is picked of two values."""
    raise NotImplementedError


def _scalar(kind):
    return kind.dtype if isinstance(kind, types.Array) else types.unliteral(kind)


@overload(same_kind)
def _same_kind(first, second):
    has_float = isinstance(_scalar(first), types.Float) or isinstance(_scalar(second), types.Float)
    if has_float:
        return lambda first, second: np.empty(LANES, np.float64)
    return lambda first, second: np.empty(LANES, np.int64)


def wide(array):
    """Return the type of what is computed with an array's entries."""
    return np.int64 if isinstance(array.dtype, types.Integer) else np.float64


def entries(array, index):
    """Return the entries at an index, one for all lanes or one for each."""
    raise NotImplementedError


@overload(entries)
def _entries(array, index):
    if not isinstance(index, types.Array):
        return lambda array, index: array[index]
    kind = wide(array)

    def gathered(array, index):
        out = np.empty(LANES, kind)
        for k in range(LANES):
            out[k] = array[index[k]]
        return out

    return gathered


def wide_lanes(array):
    """Return an empty vector for an array's entries."""
    raise NotImplementedError


@overload(wide_lanes)
def _wide_lanes(array):
    kind = wide(array)
    return lambda array: np.empty(LANES, kind)


def lane():
    return np.arange(LANES)


def sync():
    pass


def ballot(is_true):
    bits = 0
    for k in range(LANES):
        if of_lane(is_true, k):
            bits |= 1 << k
    return bits


def popcount(bits):
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count


def lowest(bits):
    place = 0
    while not (bits >> place) & 1:
        place += 1
    return place


def without_lowest(bits):
    return bits & (bits - 1)


def is_set(bits):
    out = np.empty(LANES, np.bool_)
    for k in range(LANES):
        out[k] = (bits >> k) & 1 == 1
    return out


def ones_below(bits):
    out = np.empty(LANES, np.int64)
    count = 0
    for k in range(LANES):
        out[k] = count
        count += (bits >> k) & 1
    return out


def pick(condition, first, second):
    out = same_kind(first, second)
    for k in range(LANES):
        out[k] = of_lane(first, k) if of_lane(condition, k) else of_lane(second, k)
    return out


def read(array, index):
    return entries(array, index)


def get(array, index, condition, other):
    out = wide_lanes(array)
    for k in range(LANES):
        out[k] = array[of_lane(index, k)] if of_lane(condition, k) else other
    return out


def put(array, index, value, condition):
    for k in range(LANES):
        if of_lane(condition, k):
            array[of_lane(index, k)] = of_lane(value, k)


def add_atomically(array, index, value, condition):
    for k in range(LANES):
        if of_lane(condition, k):
            array[of_lane(index, k)] += of_lane(value, k)


def raise_atomically(array, index, value, condition):
    for k in range(LANES):
        if of_lane(condition, k):
            place = of_lane(index, k)
            array[place] = max(array[place], of_lane(value, k))


def append(array, num_entries, value):
    array[num_entries[0]] = value
    num_entries[0] += 1


def warp_number():
    return 0


def num_warps():
    return 1


def shared_floats(count):
    return np.zeros(count)


def shared_integers(count, before):
    return np.zeros(count, np.int32)


def shared_shorts(count, before):
    return np.zeros(count, np.uint16)


def absolute(value):
    return np.abs(value)


@cache
def compiled(kernel: str) -> Any:
    """Return a kernel compiled for one warp."""
    primitives = {name: njit(**COMPILED)(globals()[name]) for name in lanes.PRIMITIVES}
    primitives["abs"] = njit(**COMPILED)(absolute)  # numba's own takes no vectors
    bound = bind(kernel, primitives, lambda _, function: njit(**COMPILED)(function))
    return njit(error_model="numpy", fastmath={"contract"})(bound)


class CompiledWarps:
    """Runs the kernels by one warp; a stand-in for `toolchain.Gpu`."""

    def __init__(self) -> None:
        self.place = torch.device("cpu")
        self.memory = 4 * 10**9

    def num_warps(self, shared: int) -> int:
        assert shared <= 48 * 1024
        return 1

    def launch(self, name: str, warps: int, shared: int, arguments: list[Any]) -> None:
        del shared
        assert warps == 1
        compiled(name)(*(x.numpy() if isinstance(x, torch.Tensor) else x for x in arguments))
