"""What the kernels' primitives mean, in numpy: a value of a lane is an array of 32, one entry a lane.

`toolchain` replaces these functions by a GPU's. A value without lanes, such as a bit mask or the number of a
knot, is a plain number here and the same in all lanes there. Control flow depends on such values only, so the
lanes of a warp stay together.

Lanes see what other lanes wrote only after `sync`, and must not overwrite what others may still read before
it. The primitives here run all lanes in step and would not notice; the tests run the kernels with arrays
that do.
"""

from typing import Any

import numpy as np

LANES = 32
"""Of a warp, on every NVIDIA GPU."""

EVERY = (1 << LANES) - 1
"""The bits of all lanes."""

PRIMITIVES = (
    "lane", "sync", "ballot", "popcount", "lowest", "without_lowest", "is_set", "ones_below", "pick", "read",
    "get", "put", "add_atomically", "raise_atomically", "append", "warp_number", "num_warps", "shared_floats",
    "shared_integers", "shared_shorts",
)  # fmt: skip
"""The names of the functions here."""

_LANE = np.arange(LANES)


def lane() -> Any:
    """Return the number of each lane."""
    return _LANE


def sync() -> None:
    """Wait until what the lanes of the warp wrote is seen by all of them."""


def ballot(is_true: Any) -> int:
    """Return the bits of the lanes in which something is true."""
    return int(np.packbits(is_true, bitorder="little").view(np.uint32)[0])


def popcount(bits: int) -> int:
    """Return the number of ones."""
    return int(bits).bit_count()


def lowest(bits: int) -> int:
    """Return the position of the lowest 1 of bits that are not 0."""
    return (int(bits) & -int(bits)).bit_length() - 1


def without_lowest(bits: int) -> int:
    """Return bits that are not 0 without the lowest 1."""
    return bits & (bits - 1)


def is_set(bits: int) -> Any:
    """Return whether the lane's own bit is 1."""
    return (int(bits) >> _LANE) & 1 == 1


def ones_below(bits: int) -> Any:
    """Return the number of ones in the bits of the lanes before this one."""
    own = (int(bits) >> _LANE) & 1
    return np.cumsum(own) - own


def pick(condition: Any, first: Any, second: Any) -> Any:
    """Return the first value where the condition holds in the lane, else the second; both are computed."""
    return np.where(condition, first, second)


def widened(values: Any) -> Any:
    """Return what a GPU computes with: whole numbers of 64 bits."""
    return values.astype(np.int64) if values.dtype.kind in "iu" else values


def read(array: Any, index: Any) -> Any:
    """Return the entry at an index, one for all lanes or one for each; it must not be negative."""
    return widened(array[index])


def get(array: Any, index: Any, condition: Any, other: Any) -> Any:
    """Return the array's entry at each lane's index where the condition holds, else ``other``."""
    return np.where(condition, widened(array[np.where(condition, index, 0)]), other)


def put(array: Any, index: Any, value: Any, condition: Any) -> None:
    """Write each lane's value to its index where the condition holds."""
    condition = np.broadcast_to(condition, LANES)
    array[np.broadcast_to(index, LANES)[condition]] = np.broadcast_to(value, LANES)[condition]


def add_atomically(array: Any, index: Any, value: Any, condition: Any) -> None:
    """Add each lane's value at its index where the condition holds; lanes and warps may share an index."""
    condition = np.broadcast_to(condition, LANES)
    np.add.at(array, np.broadcast_to(index, LANES)[condition], np.broadcast_to(value, LANES)[condition])


def raise_atomically(array: Any, index: Any, value: Any, condition: Any) -> None:
    """Raise the entry at each lane's index to the lane's value where the condition holds."""
    condition = np.broadcast_to(condition, LANES)
    np.maximum.at(array, np.broadcast_to(index, LANES)[condition], np.broadcast_to(value, LANES)[condition])


def append(array: Any, num_entries: Any, value: Any) -> None:
    """Write one value behind the entries of an array that all warps fill, once for the warp."""
    array[num_entries[0]] = value
    num_entries[0] += 1


def warp_number() -> int:
    """Return the number of this warp."""
    return 0


def num_warps() -> int:
    """Return how many warps share the work."""
    return 1


def shared_floats(count: int) -> Any:
    """Return the warp's shared memory as that many float64, from its start."""
    return np.zeros(count)


def shared_integers(count: int, before: int) -> Any:
    """Return the warp's shared memory as that many int32, behind so many bytes."""
    del before
    return np.zeros(count, np.int32)


def shared_shorts(count: int, before: int) -> Any:
    """Return the warp's shared memory as that many uint16, behind so many bytes."""
    del before
    return np.zeros(count, np.uint16)
