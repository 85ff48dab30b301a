"""Engine 1: a path read at evenly spaced points, as the folding paper does; any module with activations."""

import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.folding.layerwise.steps import Flips, flips_at
from spaceprobe.folding.measure import History, hamming_distance
from spaceprobe.folding.prepared_module import EndValues, PreparedModule

MAX_NUMBERS = {"cpu": 2**17, "cuda": 2**25}
"""Chosen: numbers in a block's largest tensor. On a CPU it stays in the cache; on a GPU it fills it."""


def points_per_block(network: PreparedModule, num_features: int) -> int:
    """Return how many points are run at a time; from shapes alone, so that results repeat."""
    return max(1, MAX_NUMBERS[network.device.type] // max(*network.num_units, num_features))


@torch.no_grad()
def sample_paths(
    network: PreparedModule, a: EndValues, b: EndValues, num_points: int, flips: list[Flips] | None = None
) -> History:
    """Return what `num_points` evenly spaced points of each path see, both ends included.

    A step is from one point to the next. In blocks of points, so that paths of many points fit as well.
    ``flips`` is a list that gets the flips of these paths.
    """
    num_paths, num_features = len(a.value), a.value[0].numel()
    # cloned, because a module may write in place
    pattern_a, pattern_b = network.patterns(a.value.clone()), network.patterns(b.value.clone())
    times = torch.arange(num_points, dtype=torch.float64, device=network.device) / (num_points - 1)
    length = torch.zeros((num_points, num_paths), dtype=torch.int32, device=network.device)
    from_a, from_b = length.clone(), length.clone()
    before = pattern_a
    chunk = max(1, points_per_block(network, num_features) // max(1, num_paths))
    for start in range(0, num_points, chunk):
        block = slice(start, start + chunk)
        inputs = points_between(a.value, b.value, times[block])
        patterns = network.patterns(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        from_a[block] = hamming_distance(patterns, pattern_a)
        from_b[block] = hamming_distance(patterns, pattern_b)
        length[start] = hamming_distance(patterns[0], before)
        length[start + 1 : start + len(patterns)] = hamming_distance(patterns[1:], patterns[:-1])
        if flips is not None:
            path = torch.arange(num_paths, device=network.device).repeat(len(patterns))
            t = times[block].repeat_interleave(num_paths)
            earlier = torch.cat([before[None], patterns[:-1]])
            flips.append(flips_at(path, t, earlier.flatten(0, 1), patterns.flatten(0, 1)))
        before = patterns[-1]
    return History(
        t=times[:, None].expand(-1, num_paths),
        length=length.cumsum(0, dtype=torch.int32),
        from_a=from_a,
        from_b=from_b,
        num_violations=torch.zeros(num_paths, dtype=torch.int64, device=network.device),
    )


def points_between(
    a: Float64[Tensor, "paths *features"],
    b: Float64[Tensor, "paths *features"],
    times: Float64[Tensor, " points"],
) -> Float64[Tensor, "points paths *features"]:
    """Return the points (1-t)·a + t·b of every path; exactly a and b at t = 0 and 1."""
    return torch.lerp(a, b, times.view(-1, *[1] * a.ndim))
