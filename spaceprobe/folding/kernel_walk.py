"""Engine 3: the exact walk of an MLP, compiled for the CPU; the one for 10^8 paths.

It gives what the jvp walk gives (docs/design.md, "Engines"), for layers given as arrays. The modules in
`kernels` do the work: a fast walk, layer by layer, which is sure of every linear region or gives up, and a
careful walk, event by event, for the few paths on which the fast one gave up (ties, touches, ends on a
boundary). Here the layers are checked and packed, and the paths are distributed over threads.

What belongs to an image is computed once. One walk serves both directions of a path. Counts are integers
and maxima are maxima, so nothing depends on the number of threads or on which thread walks a path.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue

import numpy as np
from jaxtyping import Float64

from spaceprobe.folding.counts import CountedFolding, FoldingCounts, PathFolding
from spaceprobe.folding.kernels import entry
from spaceprobe.folding.kernels.network import Images, empty_images, lanes_for, pack
from spaceprobe.folding.kernels.product import TILE
from spaceprobe.folding.kernels.reading import NUM_VALUES
from spaceprobe.folding.kernels.tally import VIOLATIONS, Tally, cells, grown, is_crowded, new_tally
from spaceprobe.folding.kernels.workspace import FIRST_CAPACITY, Scratch, new_scratch
from spaceprobe.folding.options import DEFAULT_TOLERANCE, Precision, check_tolerance
from spaceprobe.machine.cpus import default_threads

Layers = Sequence[tuple[Float64[np.ndarray, "outputs inputs"], Float64[np.ndarray, " outputs"]]]
"""Weight and bias of each layer, in order."""

FLOAT32_TOLERANCE = 1e-5
"""Chosen: the tolerance of the fast walk in float32, which leaves closer calls to one in float64."""

WEIGHTS_PER_TASK = 1 << 23
"""Chosen: paths times hidden weights of a task, which takes some milliseconds for a 2x30. Progress is
reported after each."""

MIN_PATHS_PER_TASK = 1 << 9
"""Chosen: for networks of many weights, where a task takes some hundredths of a second."""

IMAGES_PER_TASK = 1 << 8
"""Chosen: the same for forward passes."""


def walk_mlp_paths(
    layers: Layers,
    relu_at_end: bool,
    a: Float64[np.ndarray, "paths inputs"],
    b: Float64[np.ndarray, "paths inputs"],
    *,
    threads: int | None = None,
    precision: Precision = "float64",
    tolerance: float = DEFAULT_TOLERANCE,
) -> PathFolding:
    """Return the folding of the straight paths from each row of ``a`` to the same row of ``b``.

    Args:
        layers: all layers, with a ReLU after each of them but the last.
        relu_at_end: whether a ReLU follows the last layer too.
        a: where the paths start.
        b: where they end.
        threads: the default is that of `default_threads`.
        precision: of the fast walk.
        tolerance: what counts as zero, relative to scale.

    Raises:
        ValueError: if shapes do not fit together or a number is not finite.
    """
    check_arguments(layers, {"a": a, "b": b}, tolerance, threads)
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; a path needs one row of each")
    values = np.zeros((len(a), NUM_VALUES), np.int64)
    plan = _plan(layers, relu_at_end, precision, tolerance)
    sources, targets = _forward_passes(plan, a, threads), _forward_passes(plan, b, threads)

    def walk(first: int, last: int) -> None:
        scratch = _scratch(plan, 1)
        while first < last:
            first, _ = entry.walk_batch(plan, sources, targets, first, last, scratch, values)
            if first < last:
                scratch = _scratch(plan, 1, 2 * scratch.capacity)

    for _ in _on_threads(walk, _tasks(plan, [1] * len(a)), threads):
        pass
    return PathFolding(*(np.ascontiguousarray(column) for column in values.T))


def fold_mlp_grid(
    layers: Layers,
    relu_at_end: bool,
    sources: Float64[np.ndarray, "sources inputs"],
    targets: Float64[np.ndarray, "targets inputs"] | None = None,
    *,
    threads: int | None = None,
    precision: Precision = "float64",
    tolerance: float = DEFAULT_TOLERANCE,
    progress: Callable[[int], None] | None = None,
) -> CountedFolding:
    """Return the folding of the paths from every source to every target, and back.

    Memory grows with the number of points and of distinct (length, reach), not with that of paths.

    Args:
        layers: all layers, with a ReLU after each of them but the last.
        relu_at_end: whether a ReLU follows the last layer too.
        sources: points at which paths start.
        targets: points at which they end; without them, paths lead from each source to all others.
        threads: the default is that of `default_threads`.
        precision: of the fast walk.
        tolerance: what counts as zero, relative to scale.
        progress: called, now and then, with how many more directed paths are done.

    Raises:
        ValueError: if shapes do not fit together or a number is not finite.
    """
    among = targets is None
    ends = {"sources": sources} if targets is None else {"sources": sources, "targets": targets}
    check_arguments(layers, ends, tolerance, threads)
    plan = _plan(layers, relu_at_end, precision, tolerance)
    seen = _forward_passes(plan, sources, threads)
    seen_targets = seen if targets is None else _forward_passes(plan, targets, threads)
    num_targets = len(seen_targets.z)
    idle: SimpleQueue[tuple[Scratch, Tally]] = SimpleQueue()
    for _ in range(threads or default_threads()):
        idle.put((_scratch(plan, entry.BLOCK), new_tally(len(sources), num_targets)))

    def walk(first: int, last: int) -> None:
        scratch, tally = idle.get()
        try:
            row, column = first, 0
            while row < last:
                row, column = entry.walk_rows(
                    plan, seen, seen_targets, row, column, last, among, scratch, tally
                )
                if row < last and is_crowded(tally):
                    tally = grown(tally)
                elif row < last:
                    scratch = _scratch(plan, entry.BLOCK, 2 * scratch.capacity)
        finally:  # the next task gets them even after an error
            idle.put((scratch, tally))

    paths_of_row = [num_targets - 1 - i if among else num_targets for i in range(len(sources))]
    for first, last in _on_threads(walk, _tasks(plan, paths_of_row), threads):
        if progress is not None:
            progress(2 * sum(paths_of_row[first:last]))
    num_paths = 2 * sum(paths_of_row) if among else sum(paths_of_row)
    return _gather([idle.get()[1] for _ in range(idle.qsize())], among, num_paths)


def check_arguments(
    layers: Layers, ends: dict[str, np.ndarray], tolerance: float, threads: int | None
) -> None:
    """Raise ValueError for shapes that do not fit together and numbers that are not finite."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}; at least one is needed")
    if not layers:
        raise ValueError("the network has no layers")
    check_tolerance(tolerance)
    num_inputs = layers[0][0].shape[1]
    for name, points in ends.items():
        if points.ndim != 2 or points.shape[1] != num_inputs:
            raise ValueError(f"{name} has shape {points.shape}; rows of {num_inputs} are needed")
        if not np.isfinite(points).all():
            raise ValueError(f"{name} holds a number that is not finite")
    for index, (weight, bias) in enumerate(layers):
        if weight.shape != (len(bias), num_inputs):
            needed = f"({len(bias)}, {num_inputs})"
            raise ValueError(f"weight of layer {index} has shape {weight.shape}, not {needed}")
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ValueError(f"layer {index} holds a number that is not finite")
        num_inputs = len(bias)


def hidden_layers(layers: Layers, relu_at_end: bool) -> Layers:
    """Return the layers that a ReLU follows, at least one: only they have regions."""
    hidden = list(layers if relu_at_end else layers[:-1])
    if not hidden:  # one region, as with a single unit that is never on
        hidden = [(np.zeros((1, layers[0][0].shape[1])), np.zeros(1))]
    return hidden


def _plan(layers: Layers, relu_at_end: bool, precision: Precision, tolerance: float) -> entry.Plan:
    """Return the packed network."""
    hidden = hidden_layers(layers, relu_at_end)
    lanes = lanes_for(max(len(bias) for _, bias in hidden))
    exact = pack(hidden, lanes, np.float64)
    tag = (0.0,) * lanes
    tile = tag[:TILE]
    if precision == "float64":
        return entry.Plan(tag, tile, exact, tag, tile, exact, tolerance, tolerance)
    fast_tag = (np.float32(0),) * lanes
    fast = pack(hidden, lanes, np.float32)
    return entry.Plan(
        fast_tag, fast_tag[:TILE], fast, tag, tile, exact, max(tolerance, FLOAT32_TOLERANCE), tolerance
    )


def _forward_passes(plan: entry.Plan, points: np.ndarray, threads: int | None = None) -> Images:
    """Return the forward passes of the points."""
    images = empty_images(plan.exact, len(points), plan.fast.weights.dtype)
    inputs = np.ascontiguousarray(points, np.float64)

    def compute(first: int, last: int) -> None:
        entry.see_images(plan, inputs, images, first, last, np.empty(len(plan.exact.biases)))

    starts = range(0, len(points), IMAGES_PER_TASK)
    for _ in _on_threads(compute, [(i, min(i + IMAGES_PER_TASK, len(points))) for i in starts], threads):
        pass
    return images


def _scratch(plan: entry.Plan, block: int, capacity: int = FIRST_CAPACITY) -> Scratch:
    return new_scratch(plan.fast, len(plan.tag), block, capacity)


def _tasks(plan: entry.Plan, paths_of_row: list[int]) -> list[tuple[int, int]]:
    """Return ranges of rows, each with enough paths for a thread; from shapes alone."""
    num_weights = int((plan.exact.widths * plan.exact.fan_in)[1:].sum())
    enough = max(WEIGHTS_PER_TASK // max(num_weights, 1000), MIN_PATHS_PER_TASK)
    tasks = []
    first = num_paths = 0
    for row, more in enumerate(paths_of_row):
        num_paths += more
        if num_paths >= enough or row + 1 == len(paths_of_row):
            tasks.append((first, row + 1))
            first, num_paths = row + 1, 0
    return tasks


def _on_threads(
    walk: Callable[[int, int], None], tasks: list[tuple[int, int]], threads: int | None
) -> Iterator[tuple[int, int]]:
    """Run the tasks on threads and yield each when it is done; an error or Ctrl-C drops the rest."""
    pool = ThreadPoolExecutor(threads or default_threads(), "kernel-walk")
    try:
        running = {pool.submit(walk, *task): task for task in tasks}
        for future in as_completed(running):
            future.result()
            yield running[future]
    finally:
        pool.shutdown(cancel_futures=True)


def _gather(tallies: list[Tally], among: bool, num_paths: int) -> CountedFolding:
    """Return the sum of what the threads counted."""
    maxima = np.max([tally.row_max for tally in tallies], axis=0)
    maxima_back = np.max([tally.row_max_back for tally in tallies], axis=0)
    if among:
        maxima = np.maximum(maxima, maxima_back)
    counts = []
    for measure, row_max in ((0, maxima[0]), (1, maxima[1]), (2, maxima_back[0]), (3, maxima_back[1])):
        tables = [measure, measure + 2] if among and measure < 2 else [measure]
        rows = np.concatenate([cells(tally, table) for tally in tallies for table in tables])
        counts.append(FoldingCounts(_summed(rows), row_max))
    chi, peak, chi_back, peak_back = counts
    if among:
        chi_back, peak_back = chi, peak
    num_violations = sum(int(tally.totals[VIOLATIONS]) for tally in tallies)
    return CountedFolding(chi, peak, chi_back, peak_back, num_paths, num_violations)


def _summed(rows: np.ndarray) -> np.ndarray:
    """Return rows (length, reach, number), sorted, each length and reach once."""
    pairs, index = np.unique(rows[:, :2], axis=0, return_inverse=True)
    numbers = np.zeros(len(pairs), np.int64)
    np.add.at(numbers, index.ravel(), rows[:, 2])
    return np.concatenate([pairs, numbers[:, None]], axis=1)
