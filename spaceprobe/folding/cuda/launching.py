"""Walks of an MLP on a CUDA device: what `spaceprobe.folding.kernel_walk` gives, by the CUDA kernel.

The images' forward passes are computed once, and stay on the device (`kept`). The pairs are streamed through
it, a million at a time, so memory does not grow with their number. Paths of which a warp is not sure, or
which have more flips than its memory holds, come back as a list, and the CPU walks them. Before anything is
counted, a few paths of each call are walked by the CPU too, and any difference is an error.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from spaceprobe.folding import kernel_walk
from spaceprobe.folding.counts import CountedFolding, PathFolding
from spaceprobe.folding.cuda.images import BLOCK_BYTES, resident_bytes
from spaceprobe.folding.cuda.kept import KeptPasses
from spaceprobe.folding.cuda.lanes import LANES
from spaceprobe.folding.cuda.layout import (
    MOST_UNITS,
    NUM_VALUES,
    Points,
    num_floats,
    num_integers,
    shared_bytes,
)
from spaceprobe.folding.cuda.toolchain import Gpu
from spaceprobe.folding.kernel_walk import Layers
from spaceprobe.folding.kernels.network import Network
from spaceprobe.folding.options import DEFAULT_TOLERANCE
from spaceprobe.folding.path_counter import REACH_BITS, PathCounter, TwoWayCounter
from spaceprobe.machine.cuda_errors import CudaError, told_plainly

CAPACITIES = (64, 128, 256, 512, 1024)
"""Flips that a warp's memory holds: few, which take little of it, more where paths need it. Chosen."""

SCRATCH_LIMIT = 3 << 29
"""Bytes of all warps' global memory. Chosen: enough for all that an H100 runs at a time, through layers of 64
units and with 512 flips; 4 GB are enough for it and the rest."""

PAIRS_PER_LAUNCH = 1 << 20
"""Chosen: milliseconds of small networks, a second of large ones; the list of paths left has 4 MB."""

PAIRS_OF_A_TRIAL = 1 << 12
"""Of the launches that find out how many flips a warp needs memory for. Chosen: enough for every warp."""

TOO_MANY_LEFT = 0.01
"""Share of the paths left to the CPU from which on a warp gets more memory. Chosen."""

NUM_COMPARED = 8
"""Images of each side whose paths are walked by the CPU too; the longest of these paths tells what memory a
warp gets first. Chosen: some milliseconds."""


def memory_bytes(network: Network, num_images: int, capacity: int) -> int:
    """Return what the paths between images take on a device at most; their number does not count.

    Args:
        network: packed.
        num_images: sources and targets.
        capacity: flips that a warp's memory holds at most.
    """
    tables = 4 * 8 * (capacity + 1) ** 2 + 2 * 8 * num_images
    left = 4 * PAIRS_PER_LAUNCH * (1 + NUM_VALUES)  # of matched paths also their values
    return resident_bytes(network, num_images) + BLOCK_BYTES + SCRATCH_LIMIT + tables + left


class Device(Protocol):
    """What runs the kernels: a GPU, or numpy in the tests.

    Attributes:
        place: where the tensors are.
        memory: its size in bytes.
    """

    place: torch.device
    memory: int

    def num_warps(self, shared: int) -> int:
        """Return how many warps with so many bytes of shared memory run at a time."""

    def launch(self, name: str, warps: int, shared: int, arguments: Sequence[Any]) -> None:
        """Run a kernel on tensors and numbers; tensors are flat."""


def walk_mlp_paths(
    layers: Layers,
    relu_at_end: bool,
    a: Float64[np.ndarray, "paths inputs"],
    b: Float64[np.ndarray, "paths inputs"],
    *,
    device: str | torch.device,
    threads: int | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> PathFolding:
    """Return what `kernel_walk.walk_mlp_paths` returns.

    Raises:
        ValueError: if shapes do not fit together or a number is not finite.
        CudaError: the device, its driver or numba-cuda is missing or failed, or it differs from the CPU.
    """
    kernel_walk.check_arguments(layers, {"a": a, "b": b}, tolerance, threads)
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; a path needs one row of each")

    def on_cpu(i: np.ndarray, j: np.ndarray) -> PathFolding:
        return kernel_walk.walk_mlp_paths(
            layers, relu_at_end, a[i], b[j], threads=threads, tolerance=tolerance
        )

    few = np.arange(min(len(a), NUM_COMPARED**2))
    expected = np.stack(astuple(on_cpu(few, few)), axis=1)
    longest = int(expected[:, 0].max(initial=0))
    with told_plainly(device):
        hidden = kernel_walk.hidden_layers(layers, relu_at_end)
        walks = _Walks.of(Gpu.of(device), hidden, a, b, tolerance, KeptPasses())
        values = walks.enough_for(longest).matched(on_cpu)
    _check_same(int((values[few] != expected).any(axis=1).sum()), len(few))
    return PathFolding(*(np.ascontiguousarray(column) for column in values.T))


def fold_mlp_grid(
    layers: Layers,
    relu_at_end: bool,
    sources: Float64[np.ndarray, "sources inputs"],
    targets: Float64[np.ndarray, "targets inputs"] | None = None,
    *,
    device: str | torch.device,
    threads: int | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    progress: Callable[[int], None] | None = None,
    kept: KeptPasses | None = None,
) -> CountedFolding:
    """Return what `kernel_walk.fold_mlp_grid` returns.

    Args:
        layers: see there, as for what else is not named here.
        relu_at_end: see there.
        sources: see there.
        targets: see there.
        device: where to walk, such as ``"cuda"``.
        threads: of the CPU, for paths that are left to it.
        tolerance: see there.
        progress: see there.
        kept: forward passes of earlier calls; None to keep nothing.

    Raises:
        ValueError: if shapes do not fit together or a number is not finite.
        CudaError: the device, its driver or numba-cuda is missing or failed, or it differs from the CPU.
    """
    ends = {"sources": sources} if targets is None else {"sources": sources, "targets": targets}
    kernel_walk.check_arguments(layers, ends, tolerance, threads)
    hidden = kernel_walk.hidden_layers(layers, relu_at_end)

    others = sources if targets is None else targets

    def on_cpu(i: np.ndarray, j: np.ndarray) -> PathFolding:
        return kernel_walk.walk_mlp_paths(
            layers, relu_at_end, sources[i], others[j], threads=threads, tolerance=tolerance
        )

    with told_plainly(device):
        walks = _Walks.of(Gpu.of(device), hidden, sources, targets, tolerance, kept or KeptPasses())
        found = walks.corner(NUM_COMPARED).grid(on_cpu, None)
    corner = sources[:NUM_COMPARED], None if targets is None else targets[:NUM_COMPARED]
    expected = kernel_walk.fold_mlp_grid(layers, relu_at_end, *corner, threads=threads, tolerance=tolerance)
    _check_same(0 if _is_same(found, expected) else found.num_paths, found.num_paths)
    longest = int(expected.chi.cells[:, 0].max(initial=0))
    with told_plainly(device):
        return walks.enough_for(longest).grid(on_cpu, progress)


def _check_same(num_different: int, num_compared: int) -> None:
    if num_different:
        raise CudaError(
            f"the CUDA kernel and the CPU differ on the first {num_compared} paths, so nothing of it was "
            "kept: use --device cpu, and report it with the device's name"
        )


def _is_same(first: CountedFolding, second: CountedFolding) -> bool:
    pairs = [
        (getattr(first, name), getattr(second, name)) for name in ("chi", "peak", "chi_back", "peak_back")
    ]
    return all(
        np.array_equal(one.cells, other.cells) and np.array_equal(one.row_max, other.row_max)
        for one, other in pairs
    )


OnCpu = Callable[[Int64[np.ndarray, " paths"], Int64[np.ndarray, " paths"]], PathFolding]
"""Walks the paths from images i to images j on the CPU."""


@dataclass
class _Walks:
    """The paths between two groups of images, on a device.

    Attributes:
        device: what runs the kernels.
        net: the packed network, as the kernels take it.
        seen: the forward passes of sources and targets.
        is_among: whether the targets are the sources.
        depth: hidden layers.
        row: padded units of the widest layer.
        capacities: flips that a warp's memory holds: of `CAPACITIES` the one in use and those after it.
        tolerance: what counts as zero, relative to scale.
        is_settled: whether the memory in use was enough for nearly all paths of the last launch.
    """

    device: Device
    net: list[Tensor]
    seen: tuple[Points, Points]
    is_among: bool
    depth: int
    row: int
    capacities: list[int]
    tolerance: float
    is_settled: bool = False

    @classmethod
    def of(
        cls,
        device: Device,
        hidden: Layers,
        a: np.ndarray,
        b: np.ndarray | None,
        tolerance: float,
        kept: KeptPasses,
    ) -> "_Walks":
        """Pack the network and see the images, unless that was done before; a warp has the most memory.

        Args:
            device: what runs the kernels.
            hidden: the hidden layers.
            a: sources.
            b: targets; None for the paths among the sources.
            tolerance: what counts as zero, relative to scale.
            kept: what earlier calls left there.
        """
        if (widest := max(len(bias) for _, bias in hidden)) > MOST_UNITS:
            raise CudaError(
                f"a hidden layer of {widest} units is too wide for the CUDA kernel, which takes "
                f"{MOST_UNITS}; use --device cpu"
            )
        network = kept.network(hidden, device.place)
        needed = memory_bytes(network.packed, len(a) + (0 if b is None else len(b)), CAPACITIES[-1])
        if needed > device.memory:
            raise CudaError(
                f"{len(a)} and {len(a if b is None else b)} images through this network need "
                f"{needed / 1e9:.1f} GB on {device.place}, which has {device.memory / 1e9:.1f}: walk fewer "
                "(folding.per_class), or use --device cpu"
            )
        seen = kept.points(network, [a] if b is None else [a, b], device.memory - needed)
        return cls(
            device=device,
            net=network.arrays,
            seen=(seen[0], seen[-1]),
            is_among=b is None,
            depth=len(hidden),
            row=int(network.packed.groups.max()) * LANES,
            capacities=[CAPACITIES[-1]],
            tolerance=tolerance,
        )

    @property
    def num_points(self) -> tuple[int, int]:
        """The numbers of sources and targets."""
        return len(self.seen[0].z), len(self.seen[1].z)

    def corner(self, num_points: int) -> "_Walks":
        """Return the walks between the first sources and the first targets."""
        first, second = (Points(*(column[:num_points] for column in points)) for points in self.seen)
        return replace(self, seen=(first, second), capacities=[*self.capacities])

    def enough_for(self, longest: int) -> "_Walks":
        """Return the same walks with memory for as many flips as the longest known path has."""
        enough = [capacity for capacity in CAPACITIES if capacity >= longest]
        return replace(self, capacities=enough or [CAPACITIES[-1]])

    def matched(self, on_cpu: OnCpu) -> Int64[np.ndarray, "paths values"]:
        """Return the values of the paths from each source to its own target, and 0 violations."""
        num_paths = self.num_points[0]
        values = np.zeros((num_paths, NUM_VALUES + 1), np.int64)
        for first, count in self._stretches(num_paths):
            out = self._zeros(count * NUM_VALUES, torch.int32)
            left = self._run("walk_matched", first, count, [out])
            stretch = values[first : first + count]
            stretch[:, :NUM_VALUES] = out.reshape(count, NUM_VALUES).cpu().numpy()
            if len(left):
                stretch[left] = np.stack(astuple(on_cpu(first + left, first + left)), axis=1)
        return values

    def grid(self, on_cpu: OnCpu, progress: Callable[[int], None] | None) -> CountedFolding:
        """Return the counts of all paths of the grid."""
        num_sources, num_targets = self.num_points
        counter = TwoWayCounter.of_grid(num_sources, None if self.is_among else num_targets)
        side = max(self.capacities) + 1
        cells = self._zeros(4 * side * side, torch.int64)
        maxima = self._zeros(2 * (num_sources + num_targets), torch.float64)
        grid = [num_sources, num_targets, int(self.is_among), side, cells, maxima]
        num_walked = 0
        for first, count in self._stretches(num_sources * num_targets):
            left = self._run("walk_grid", first, count, grid)
            num_paths = self._paths_before(first + count) - self._paths_before(first)
            num_walked += num_paths - len(left)
            if len(left):
                i, j = np.divmod(first + left, num_targets)
                counter.add(on_cpu(i, j), i, j)
            if progress is not None:
                progress(2 * num_paths)
        tables = cells.reshape(4, side, side).cpu().numpy()
        counted = tables[::2].sum(axis=(1, 2)).tolist()
        if counted != [num_walked, num_walked]:
            raise CudaError(
                f"the CUDA kernel counted {counted[0]} and {counted[1]} of {num_walked} paths, so nothing of "
                "it was kept: use --device cpu, and report it with the device's name"
            )
        largest = maxima.cpu().numpy()
        forward, back = largest[: 2 * num_sources], largest[2 * num_sources :]
        _add_counts(counter.chi, tables[0], num_walked, forward[:num_sources])
        _add_counts(counter.peak, tables[1], num_walked, forward[num_sources:])
        _add_counts(counter.chi_back, tables[2], num_walked, back[:num_targets])
        _add_counts(counter.peak_back, tables[3], num_walked, back[num_targets:])
        num_pairs = self._paths_before(num_sources * num_targets)
        return counter.result(2 * num_pairs if self.is_among else num_pairs)

    def _stretches(self, num_pairs: int) -> Iterator[tuple[int, int]]:
        """Yield the first and the number of the pairs of each launch; few while memory may have to grow."""
        first = 0
        while first < num_pairs:
            most = PAIRS_PER_LAUNCH if self.is_settled else min(PAIRS_OF_A_TRIAL, PAIRS_PER_LAUNCH)
            count = min(most, num_pairs - first)
            yield first, count
            first += count

    def _paths_before(self, pair: int) -> int:
        """Return how many of the pairs before one, row by row, are paths."""
        num_targets = self.num_points[1]
        if not self.is_among or num_targets == 0:
            return pair
        row, column = divmod(pair, num_targets)
        return row * (num_targets - 1) - row * (row - 1) // 2 + max(0, column - row - 1)

    def _run(self, name: str, first: int, count: int, own: list[Any]) -> Int64[np.ndarray, " left"]:
        """Walk a stretch of pairs; return those left to the CPU, counted from the first."""
        capacity = self.capacities[0]
        shared = shared_bytes(capacity)
        sizes = [count_of(capacity, self.row, self.depth) for count_of in (num_floats, num_integers)]
        warps = max(1, min(self.device.num_warps(shared), count, SCRATCH_LIMIT // (8 * sum(sizes))))
        left, num_left = self._zeros(count, torch.int32), self._zeros(1, torch.int32)
        memory = [
            capacity,
            self.row,
            self._zeros(warps * sizes[0], torch.float64),
            self._zeros(warps * sizes[1], torch.int64),
        ]
        points = [column.flatten() for points in self.seen for column in points]
        arguments = [*self.net, *points, *memory, self.tolerance, first, count, *own, left, num_left]
        self.device.launch(name, warps, shared, arguments)
        found = np.sort(left[: int(num_left)].cpu().numpy().astype(np.int64))
        self.is_settled = len(found) <= TOO_MANY_LEFT * count or len(self.capacities) == 1
        if not self.is_settled:
            del self.capacities[0]
        return found

    def _zeros(self, count: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(count, dtype=dtype, device=self.device.place)


def _add_counts(
    counter: PathCounter,
    table: Int64[np.ndarray, "lengths reaches"],
    num_walked: int,
    row_max: Float64[np.ndarray, " points"],
) -> None:
    """Add a table of counts; what is missing in one of peaks are the paths that do not fold."""
    length, reach = np.nonzero(table)
    numbers = table[length, reach]
    cells = ((length << REACH_BITS) + reach).tolist()
    counter.counts.update(dict(zip(cells, numbers.tolist(), strict=True)))
    if rest := num_walked - int(numbers.sum()):
        counter.counts.update({0: rest})
    if counter.row_max is not None:
        np.maximum(counter.row_max, row_max, out=counter.row_max)
