"""The loops that Python calls: forward passes, a batch of paths, rows of a grid of paths.

All memory belongs to Python. A loop that runs out of it returns the place where it stopped, and is
called again from there with more.
"""

from typing import Any, NamedTuple

import numpy as np

from spaceprobe.folding.kernels.careful import walk_carefully
from spaceprobe.folding.kernels.compiling import cached, inner
from spaceprobe.folding.kernels.network import (
    Images,
    Network,
    exactly,
    see_image,
    view_image,
    view_images,
    view_network,
)
from spaceprobe.folding.kernels.reading import NUM_VALUES, read_walk
from spaceprobe.folding.kernels.slopes import starting_slopes
from spaceprobe.folding.kernels.sweep import walk
from spaceprobe.folding.kernels.tally import Tally, count_path, is_full, view_tally
from spaceprobe.folding.kernels.vectors import pointer, shift
from spaceprobe.folding.kernels.workspace import FULL, UNSURE, view_workspace

BLOCK = 16  # targets whose first slopes are computed together; chosen


class Plan(NamedTuple):
    """What a walk needs to know, whatever its ends."""

    tag: tuple[Any, ...]  # its type says the precision of the fast walk and the units in a group
    tile: tuple[Any, ...]  # the first units of the tag, no more than `product.TILE`
    fast: Network
    exact_tag: tuple[float, ...]  # these three in float64; the same unless the fast walk is in float32
    exact_tile: tuple[float, ...]
    exact: Network
    fast_tolerance: float
    tolerance: float


@inner
def _walk_fast(tag, tile, net, work, a, b, slopes, tolerance, zero, out):
    """Walk from image ``a`` to ``b`` into ``out``; negative, `UNSURE` or `FULL`, if it could not."""
    sure = True
    for layer in range(net.depth):
        zero[layer] = tolerance * max(a.scale[layer], b.scale[layer])
        sure &= min(a.margin[layer], b.margin[layer]) > zero[layer]
    if not sure:
        return UNSURE
    num_flips, knots = walk(tag, tile, net, work, a.z_fast, b.z_fast, a.states, b.states, slopes, zero)
    if num_flips >= 0:
        read_walk(work, num_flips, knots, out)
    return num_flips


@inner
def _walk_again(tag, tile, net, work, a, first_target, j, slopes, tolerance, is_new, zero, out):
    """Decide in float64 what the fast walk left open: fast, where that ``is_new``, then carefully."""
    a = exactly(a)
    b = view_image(first_target, net, j)
    if is_new:
        starting_slopes(tag, tile, net, a, exactly(first_target), j, j + 1, slopes)
        result = _walk_fast(tag, tile, net, work, a, exactly(b), slopes, tolerance, zero, out)
        if result != UNSURE:
            return result
    walk_carefully(len(tag), net, a, b, tolerance, out)
    return UNSURE


@cached
def see_images(plan: Plan, inputs: np.ndarray, images: Images, first: int, last: int, scale: np.ndarray):
    """Forward passes of ``inputs[first:last]`` into ``images``; ``scale`` is scratch for one row."""
    net = view_network(plan.exact)
    first_image = view_images(images)
    for i in range(first, last):
        image = view_image(first_image, net, i)
        see_image(plan.exact_tag, net, pointer(inputs[i]), image, pointer(scale))


@cached
def walk_batch(plan, sources, targets, first, last, scratch, out):
    """Walk from source i to target i into ``out[i]``; where it stopped, and how many carefully."""
    tag = plan.tag
    tile = plan.tile
    lanes = len(tag)
    tolerance = plan.tolerance
    fast_tolerance = plan.fast_tolerance
    net = view_network(plan.fast)
    exact = view_network(plan.exact)
    first_source = view_images(sources)
    first_target = view_images(targets)
    work = view_workspace(net, lanes, scratch, first_source.states)
    exact_tag = plan.exact_tag
    exact_tile = plan.exact_tile
    exact_work = view_workspace(exact, lanes, scratch, first_source.states)  # the same memory
    exact_slopes = pointer(scratch.exact_slopes)
    is_new = plan.fast.weights.itemsize < plan.exact.weights.itemsize
    slopes = pointer(scratch.slopes)
    zero = pointer(scratch.zero)
    num_careful = 0
    for i in range(first, last):
        a = view_image(first_source, net, i)
        b = view_image(first_target, net, i)
        values = shift(pointer(out), i * NUM_VALUES)
        starting_slopes(tag, tile, net, a, first_target, i, i + 1, slopes)
        result = _walk_fast(tag, tile, net, work, a, b, slopes, fast_tolerance, zero, values)
        if result == UNSURE:
            result = _walk_again(
                exact_tag, exact_tile, exact, exact_work, a, first_target, i,
                exact_slopes, tolerance, is_new, zero, values,
            )  # fmt: skip
        if result == FULL:
            return i, num_careful
        num_careful += np.int64(result == UNSURE)
    return last, num_careful


@cached
def walk_rows(plan, sources, targets, row, column, last, triangle, scratch, tally: Tally):
    """Walk from each source to all targets, or the later ones if ``triangle``, into ``tally``.

    Begins at ``row`` and ``column`` and goes on to row ``last``; the row and column where it stopped.
    """
    tag = plan.tag
    tile = plan.tile
    lanes = len(tag)
    tolerance = plan.tolerance
    fast_tolerance = plan.fast_tolerance
    net = view_network(plan.fast)
    exact = view_network(plan.exact)
    first_source = view_images(sources)
    first_target = view_images(targets)
    work = view_workspace(net, lanes, scratch, first_source.states)
    exact_tag = plan.exact_tag
    exact_tile = plan.exact_tile
    exact_work = view_workspace(exact, lanes, scratch, first_source.states)  # the same memory
    exact_slopes = pointer(scratch.exact_slopes)
    is_new = plan.fast.weights.itemsize < plan.exact.weights.itemsize
    slopes = pointer(scratch.slopes)
    zero = pointer(scratch.zero)
    values = pointer(scratch.values)
    counts = view_tally(tally)
    num_targets = len(targets.z)
    for i in range(row, last):
        a = view_image(first_source, net, i)
        begin = max(column, i + 1 if triangle else 0)
        for block in range(begin, num_targets, BLOCK):
            block_end = min(block + BLOCK, num_targets)
            starting_slopes(tag, tile, net, a, first_target, block, block_end, slopes)
            for j in range(block, block_end):
                if is_full(counts):
                    return i, j
                b = view_image(first_target, net, j)
                slope = shift(slopes, (j - block) * net.num_units)
                result = _walk_fast(tag, tile, net, work, a, b, slope, fast_tolerance, zero, values)
                if result == UNSURE:
                    result = _walk_again(
                        exact_tag, exact_tile, exact, exact_work, a, first_target, j,
                        exact_slopes, tolerance, is_new, zero, values,
                    )  # fmt: skip
                if result == FULL:
                    return i, j
                count_path(counts, i, j, values, result == UNSURE)
        column = 0
    return last, 0
