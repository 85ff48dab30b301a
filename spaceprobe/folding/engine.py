"""The entry points: paths one by one, as counts, or step by step."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from spaceprobe.folding.block_walker import blocks, join, make_walker
from spaceprobe.folding.choice import engine_beside_kernel, mlp_for_kernel, passed_over, warn_of_uncounted
from spaceprobe.folding.counted import Counted, Threshold, Units
from spaceprobe.folding.counts import CountedFolding, PathFolding, PathTrace
from spaceprobe.folding.cuda.kept import KeptPasses
from spaceprobe.folding.guards import check_images, check_same_shape
from spaceprobe.folding.measure import space_folding
from spaceprobe.folding.options import DEFAULT_TOLERANCE, Bits, Method, Precision, check_options, check_walk
from spaceprobe.folding.path_counter import TwoWayCounter
from spaceprobe.folding.points import Points, read_points

MATCHED_BLOCK = 1 << 14
"""Chosen: matched paths that are walked between two reports of progress."""


def walk_paths(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    method: Method = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
    precision: Precision = "float64",
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
) -> PathFolding:
    """Return the folding of the straight paths from a to b, read from both ends.

    Every activation of the module that is piecewise affine counts, with one bit for each place where it
    bends, under whichever name it is called, and nothing else. Results are those of float64.

    Args:
        network: for ``sampled`` any module with activations, else a piecewise-linear one
            (docs/definitions.md, "Activations").
        a: starts, of shape ``(num_paths, *input shape)``; a tensor, an array or lists of real numbers.
        b: ends, of the same shape.
        method: ``exact`` sees every linear region that the open segment crosses; ``sampled`` sees
            `num_points` evenly spaced points, both ends included, as in the folding paper; ``adaptive``
            starts with these and halves intervals with several flips until each has one, or is 2^-20 of
            the path long; the result then is an `AdaptiveFolding`, which counts those. Three
            engines are exact and agree: ``kernel``, compiled for ReLU MLPs (on a GPU only by name);
            ``layerwise``, for any piecewise-linear module on any device; ``jvp``, for modules whose only
            activations are ReLUs.
            ``exact`` takes the fastest that can, by what the network is (`engine_for`).
        num_points: for ``sampled`` and ``adaptive``, at least 2.
        device: where to walk, such as ``"cuda"``.
        tolerance: for the exact engines; a unit is at its boundary where |z| ≤ tolerance · scale
            (docs/definitions.md, "Settling").
        threads: of the kernel and of the layerwise walk on a CPU; None for OMP_NUM_THREADS where it is set,
            else all cores.
        precision: of the kernel and of the layerwise walk; with ``float32`` close calls are still decided in
            float64.
        bits: of smooth activations, which are sampled: the ``sign`` of the pre-activation, or in which
            ``monotone`` piece it lies, on which the activation rises or falls (docs/definitions.md, "Smooth
            activations").
        units: ``activations``, or ``all`` to count windows as well: each output of max-pooling, of a maximum
            or minimum of two tensors, and of one over dimensions is a unit, whose symbol is the index of the
            winner (docs/definitions.md, "Windows").
        threshold: for networks of ReLUs; a bit is on where z > threshold, while the network bends at 0
            (docs/definitions.md, "Thresholds"). A number, or a sequence with an entry for each ReLU that
            runs: a number, or a tensor of the shape of its units.

    Raises:
        ValueError: if the arguments do not fit together, the module has no ReLU or is random, or a threshold
            is given for another activation.
        TypeError: if an exact walk is asked for through a function that is not piecewise linear, or by
            ``jvp`` through another activation than a ReLU; for a threshold of another type.
    """
    a, b = read_points("a", a), read_points("b", b)
    folding = walk_batch(
        network,
        a,
        b,
        method=method,
        num_points=num_points,
        device=device,
        tolerance=tolerance,
        threads=threads,
        precision=precision,
        bits=bits,
        units=units,
        threshold=threshold,
    )
    warn_of_uncounted(passed_over(network, a, units=units, bits=bits), units, stacklevel=3)
    return folding


def walk_batch(
    network: nn.Module,
    a: Tensor,
    b: Tensor,
    *,
    method: Method = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
    precision: Precision = "float64",
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
) -> PathFolding:
    """Return what `walk_paths` returns, without its warning: for callers that say what is not counted.

    Raises:
        ValueError: see `walk_paths`.
        TypeError: see `walk_paths`.
    """
    check_options(method, num_points, tolerance, bits)
    check_walk(threads, precision)
    check_images("a", a)
    check_images("b", b)
    check_same_shape(("a", "b"), a.shape, b.shape)
    counted = Counted(units, threshold, bits)
    mlp = mlp_for_kernel(network, a, method, device, precision, counted)
    if mlp is not None:
        points = as_points(a), as_points(b)
        if torch.device(device).type == "cuda":
            from spaceprobe.folding.cuda import launching

            return launching.walk_mlp_paths(
                *mlp, *points, device=device, threads=threads, tolerance=tolerance
            )
        from spaceprobe.folding import kernel_walk

        return kernel_walk.walk_mlp_paths(
            *mlp, *points, threads=threads, precision=precision, tolerance=tolerance
        )
    engine = engine_beside_kernel(network, a, method, counted)
    walker = make_walker(network, a, engine, num_points, device, tolerance, counted, threads, precision)
    foldings = []
    for block in blocks(len(a), walker.block_size):
        ends = (walker.network.ends(images[block]) for images in (a, b))
        foldings.append(walker.fold(*ends))
    return join(foldings)


def fold_grid(
    network: nn.Module,
    sources: Points,
    targets: Points | None = None,
    *,
    method: Method = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
    precision: Precision = "float64",
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
    progress: Callable[[int], None] | None = None,
    warn: bool = True,
    kept: KeptPasses | None = None,
) -> CountedFolding:
    """Return the folding of every path between two groups of points, as counts, in both directions.

    Each pair of points is walked once, and its path read from both ends. Memory does not grow with
    the number of paths.

    Args:
        network: see `walk_paths`.
        sources: of shape ``(num_sources, *input shape)``.
        targets: of shape ``(num_targets, *input shape)``; None for the paths among the sources
            themselves, the path from a point to itself left out. There, both directions are the same.
        method: see `walk_paths`.
        num_points: see `walk_paths`.
        device: see `walk_paths`.
        tolerance: see `walk_paths`.
        threads: see `walk_paths`; counts do not depend on it.
        precision: see `walk_paths`.
        bits: see `walk_paths`.
        units: see `walk_paths`.
        threshold: see `walk_paths`.
        progress: called, now and then, with how many more directed paths are done.
        warn: whether to warn of functions that are not counted (`UncountedUnits`); False for callers that
            say so otherwise.
        kept: of the kernel on a GPU; forward passes of points of earlier calls, which are not computed again
            as long as the caller changes neither those points nor moves them.

    Raises:
        ValueError: see `walk_paths`.
        TypeError: see `walk_paths`.
    """
    check_options(method, num_points, tolerance, bits)
    check_walk(threads, precision)
    sources = read_points("sources", sources)
    check_images("sources", sources)
    if targets is not None:
        targets = read_points("targets", targets)
        check_images("targets", targets)
        check_same_shape(("a source", "a target"), sources.shape[1:], targets.shape[1:])
    counted = Counted(units, threshold, bits)
    mlp = mlp_for_kernel(network, sources, method, device, precision, counted)
    if mlp is not None:
        ends = as_points(sources), None if targets is None else as_points(targets)
        if torch.device(device).type == "cuda":
            from spaceprobe.folding.cuda import launching

            return launching.fold_mlp_grid(
                *mlp, *ends, device=device, threads=threads, tolerance=tolerance, progress=progress, kept=kept
            )
        from spaceprobe.folding import kernel_walk

        return kernel_walk.fold_mlp_grid(
            *mlp, *ends, threads=threads, precision=precision, tolerance=tolerance, progress=progress
        )
    engine = engine_beside_kernel(network, sources, method, counted)
    walker = make_walker(network, sources, engine, num_points, device, tolerance, counted, threads, precision)
    source_ends = walker.network.ends(sources)
    target_ends = source_ends if targets is None else walker.network.ends(targets)
    num_sources, num_targets = len(source_ends.value), len(target_ends.value)
    counter = TwoWayCounter.of_grid(num_sources, None if targets is None else num_targets)
    num_pairs = num_sources * (num_sources - 1) // 2 if targets is None else num_sources * num_targets
    for block in blocks(num_pairs, walker.block_size):
        number = np.arange(block.start, block.stop)
        i, j = pair_among(number, num_sources) if targets is None else np.divmod(number, num_targets)
        folding = walker.fold(
            source_ends.take(torch.from_numpy(i).to(walker.network.device)),
            target_ends.take(torch.from_numpy(j).to(walker.network.device)),
        )
        counter.add(folding, i, j)
        if progress is not None:
            progress(2 * len(number))
    if warn:
        warn_of_uncounted(passed_over(network, sources, units=units, bits=bits), units, stacklevel=3)
    return counter.result(num_pairs * 2 if targets is None else num_pairs)


def fold_matched(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    method: Method = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    threads: int | None = None,
    precision: Precision = "float64",
    bits: Bits = "sign",
    units: Units = "activations",
    threshold: Threshold = 0.0,
    progress: Callable[[int], None] | None = None,
    warn: bool = True,
) -> CountedFolding:
    """Return the folding of the path from each point of a to the same point of b, as counts, and back.

    The counts have no row maxima: each source has one target.

    Args:
        network: see `walk_paths`.
        a: starts, of shape ``(num_paths, *input shape)``.
        b: ends, of the same shape.
        method: see `walk_paths`.
        num_points: see `walk_paths`.
        device: see `walk_paths`.
        tolerance: see `walk_paths`.
        threads: see `walk_paths`; counts do not depend on it.
        precision: see `walk_paths`.
        bits: see `walk_paths`.
        units: see `walk_paths`.
        threshold: see `walk_paths`.
        progress: called, now and then, with how many more directed paths are done.
        warn: whether to warn of functions that are not counted (`UncountedUnits`); False for callers that
            say so otherwise.

    Raises:
        ValueError: see `walk_paths`.
        TypeError: see `walk_paths`.
    """
    a, b = read_points("a", a), read_points("b", b)
    check_images("a", a)
    check_images("b", b)
    check_same_shape(("a", "b"), a.shape, b.shape)
    counter = TwoWayCounter.of_matched()
    for block in blocks(len(a), MATCHED_BLOCK):
        folding = walk_batch(
            network,
            a[block],
            b[block],
            method=method,
            num_points=num_points,
            device=device,
            tolerance=tolerance,
            threads=threads,
            precision=precision,
            bits=bits,
            units=units,
            threshold=threshold,
        )
        counter.add(folding)
        if progress is not None:
            progress(2 * len(folding.length))
    if warn:
        warn_of_uncounted(passed_over(network, a, units=units, bits=bits), units, stacklevel=3)
    return counter.result(len(a))


def trace_path(
    network: nn.Module,
    a: Points,
    b: Points,
    *,
    method: Method = "exact",
    num_points: int = 100,
    device: str | torch.device = "cpu",
    tolerance: float = DEFAULT_TOLERANCE,
    bits: Bits = "sign",
    warn: bool = True,
    units: Units = "activations",
    threshold: Threshold = 0.0,
) -> PathTrace:
    """Return a single path step by step.

    Args:
        network: see `walk_paths`.
        a: start, of the input's shape, without a batch dimension.
        b: end, of the same shape.
        method: see `walk_paths`. An exact trace has one step for the start and one for each event, a
            sampled one a step for each point, an adaptive one a step for each interval in which something
            flips, at its end.
        num_points: see `walk_paths`.
        device: see `walk_paths`.
        tolerance: see `walk_paths`.
        bits: see `walk_paths`.
        warn: see `fold_grid`.
        units: see `walk_paths`.
        threshold: see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`.
        TypeError: see `walk_paths`.
    """
    a, b = read_points("a", a)[None], read_points("b", b)[None]
    check_options(method, num_points, tolerance, bits)
    check_images("a", a)
    check_images("b", b)
    check_same_shape(("a", "b"), a.shape[1:], b.shape[1:])
    counted = Counted(units, threshold, bits)
    engine = engine_beside_kernel(network, a, method, counted)
    walker = make_walker(network, a, engine, num_points, device, tolerance, counted)
    history = walker.walk(walker.network.ends(a), walker.network.ends(b))
    t, length, from_a = (rows[:, 0].cpu().numpy() for rows in (history.t, history.length, history.from_a))
    is_step = np.full(len(t), fill_value=True)
    if method != "sampled":
        is_step[1:] = np.diff(length) > 0
    length, distance = length[is_step].astype(np.int64), from_a[is_step].astype(np.int64)
    chi = space_folding(length, np.maximum.accumulate(distance))
    if warn:
        warn_of_uncounted(passed_over(network, a, units=units, bits=bits), units, stacklevel=3)
    return PathTrace(t=t[is_step], distance=distance, length=length, chi=chi)


def as_points(images: Tensor) -> Float64[np.ndarray, "points inputs"]:
    """Return images as rows of float64."""
    points: np.ndarray = images.detach().cpu().double().flatten(1).numpy()
    return points


def pair_among(
    number: Int64[np.ndarray, " pairs"], num_points: int
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Return i and j of the numbered pairs i < j, counted row by row.

    >>> pair_among(np.arange(6), 4)
    (array([0, 0, 0, 1, 1, 2]), array([1, 2, 3, 2, 3, 3]))
    """
    row = np.arange(num_points)
    first_of_row = row * num_points - row * (row + 1) // 2
    i = np.searchsorted(first_of_row, number, side="right") - 1
    # The last point has an empty row, which starts where the row before it ends.
    i = np.minimum(i, max(num_points - 2, 0))
    return i, number - first_of_row[i] + i + 1
