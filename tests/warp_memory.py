"""The CUDA kernels on numpy arrays, with a memory that notices what a warp out of step would get wrong.

A lane that reads what another lane wrote since the last `sync`, or writes what another lane has read or
written since then, is an error: on a GPU the lanes need not be at the same place.
"""

from typing import Any

import numpy as np
import torch

from spaceprobe.folding.cuda import lanes
from spaceprobe.folding.cuda.binding import bind

NOBODY, SEVERAL = -1, -2


class RaceError(AssertionError):
    """Two lanes touch one entry without a `sync` between them."""


class Watched:
    """An array that knows which lane read and wrote each entry, and between which two syncs."""

    def __init__(self, values: np.ndarray, clock: list[int], marks: np.ndarray | None = None) -> None:
        self.values, self.clock = values, clock
        # by entry: who wrote, when, who read, when
        self.marks = np.full((4, len(values)), NOBODY) if marks is None else marks

    def __getitem__(self, part: slice) -> "Watched":
        return Watched(self.values[part], self.clock, self.marks[:, part])

    def read(self, index: Any, who: Any) -> Any:
        writer, wrote_at, reader, read_at = self.marks
        now = self.clock[0]
        if np.any((wrote_at[index] == now) & (writer[index] != who)):
            raise RaceError("read of what another lane wrote")
        known = np.where(read_at[index] == now, reader[index], who)
        reader[index] = np.where(known == who, who, SEVERAL)
        if np.ndim(index) and len(np.unique(index)) < len(index):  # several lanes at one entry
            entries, counts = np.unique(index, return_counts=True)
            reader[entries[counts > 1]] = SEVERAL
        read_at[index] = now
        return lanes.widened(self.values[index])

    def write(self, index: np.ndarray, value: np.ndarray, who: np.ndarray) -> None:
        writer, wrote_at, reader, read_at = self.marks
        now = self.clock[0]
        if len(np.unique(index)) < len(index):
            raise RaceError("two lanes write one entry")
        if np.any((wrote_at[index] == now) & (writer[index] != who)):
            raise RaceError("write of what another lane wrote")
        if np.any((read_at[index] == now) & (reader[index] != who)):
            raise RaceError("write of what another lane read")
        writer[index], wrote_at[index] = who, now
        self.values[index] = value


class Warps:
    """Runs the kernels in numpy, warp after warp; a stand-in for `toolchain.Gpu`."""

    def __init__(self, num_warps: int = 1, *, is_watched: bool = False) -> None:
        self.place = torch.device("cpu")
        self.memory = 4 * 10**9
        self.launches: list[tuple[str, int]] = []
        self._most = num_warps
        self._is_watched = is_watched

    def num_warps(self, shared: int) -> int:
        assert shared <= 48 * 1024
        return self._most

    def launch(self, name: str, warps: int, shared: int, arguments: list[Any]) -> None:
        self.launches.append((name, warps))
        plain = [x.numpy() if isinstance(x, torch.Tensor) else x for x in arguments]
        clock = [0]
        for warp in range(warps):
            primitives = {known: getattr(lanes, known) for known in lanes.PRIMITIVES}
            primitives |= {"warp_number": lambda warp=warp: warp, "num_warps": lambda: warps}
            given = plain
            if self._is_watched:
                primitives |= watching(clock, shared)
                floats, integers = (Watched(plain[place], clock) for place in (16, 17))
                given = [*plain[:16], floats, integers, *plain[18:]]
            bind(name, primitives)(*given)


def watching(clock: list[int], shared: int) -> dict[str, Any]:
    """Return the primitives that touch memory or sync."""

    def sync() -> None:
        clock[0] += 1

    def read(array: Any, index: Any) -> Any:
        if not isinstance(array, Watched):
            return lanes.read(array, index)
        assert np.all(np.asarray(index) >= 0)
        return array.read(index, lanes.lane() if np.ndim(index) else SEVERAL)

    def get(array: Any, index: Any, condition: Any, other: Any) -> Any:
        index, condition = (np.broadcast_to(x, lanes.LANES) for x in (index, condition))
        assert np.all(index[condition] >= 0)
        values = np.full(lanes.LANES, other)
        values[condition] = array.read(index[condition], lanes.lane()[condition])
        return values

    def put(array: Any, index: Any, value: Any, condition: Any) -> None:
        if not isinstance(array, Watched):
            lanes.put(array, index, value, condition)
            return
        index, value, condition = (np.broadcast_to(x, lanes.LANES) for x in (index, value, condition))
        assert np.all(index[condition] >= 0)
        array.write(index[condition], value[condition], lanes.lane()[condition])

    def shared_floats(count: int) -> Watched:
        return Watched(np.full(count, np.nan), clock)

    def shared_integers(count: int, before: int) -> Watched:
        assert before + 4 * count < shared
        return Watched(np.full(count, -(10**6), np.int32), clock)

    def shared_shorts(count: int, before: int) -> Watched:
        assert before + 2 * count == shared
        return Watched(np.full(count, 10**4, np.uint16), clock)

    made = (sync, read, get, put, shared_floats, shared_integers, shared_shorts)
    return {function.__name__: function for function in made}
