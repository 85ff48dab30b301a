"""What an activation makes of the values at knots, and of their scale."""

import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.folding.activations import Activation, Constant


def per_unit(kink: Constant, rows: Tensor) -> Tensor | float:
    """Return a kink as a number, or as one for each unit in the order of flat rows."""
    if not isinstance(kink, Tensor):
        return float(kink)
    kink = kink.to(rows)
    if kink.ndim == rows.ndim:
        kink = kink[0]
    return kink.expand(rows.shape[1:]).flatten()


def output_sizes(activation: Activation, sizes: Tensor) -> Tensor:
    """Return the scale behind an activation that is not flat."""
    if activation.is_flat_below:
        return sizes
    if activation.pieces is None:
        at_zero: Tensor = activation.apply(torch.zeros_like(sizes)).abs()
        return activation.steepest * sizes + at_zero
    slopes, levels = zip(*activation.pieces, strict=True)
    highest = max(abs(level) for level in (*levels, *activation.at_kinks))
    steepest = max(map(abs, slopes))
    bounded: Tensor = steepest * sizes + highest
    return bounded


def jump(
    pieces: tuple[tuple[float, float], ...],
    at_kinks: tuple[float, ...],
    z: Float64[Tensor, "rows units"],
    kinks: list[Tensor | float],
    margin: Float64[Tensor, "intervals units"],
) -> Float64[Tensor, "rows units"]:
    """Return the output of an activation that jumps, where every interval has both of its rows.

    In an interval z stays on one side of every kink, or at it: the side of the end that is farther away.

    Args:
        pieces: slope and intercept of each, as in `Activation`.
        at_kinks: the output where z is at a kink in the whole interval.
        z: its input.
        kinks: where it jumps.
        margin: within which z is at a kink.
    """
    left, right = z[::2], z[1::2]
    piece = torch.zeros_like(left, dtype=torch.long)
    at_kink = torch.full_like(left, torch.nan)
    for number, kink in enumerate(kinks):
        left_distance, right_distance = left - kink, right - kink
        is_left_farther = left_distance.abs() >= right_distance.abs()
        distance = torch.where(is_left_farther, left_distance, right_distance)
        piece += distance > margin
        at_kink[distance.abs() <= margin] = at_kinks[number]
    slopes, levels = (z.new_tensor(numbers)[piece] for numbers in zip(*pieces, strict=True))
    output = torch.stack([slopes * side + levels for side in (left, right)], dim=1)
    at_kink = at_kink[:, None].expand_as(output)
    jumped: Tensor = torch.where(at_kink.isnan(), output, at_kink).flatten(0, 1)
    return jumped
