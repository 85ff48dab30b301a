"""Which functions of torch take a maximum, and among which entries: pooling, two tensors, a dimension."""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.folding.layerwise.maxima import ABSENT, Windows, largest
from spaceprobe.folding.layerwise.polyline import Polyline
from spaceprobe.folding.ray import refusal

Func = Callable[..., Any]


class LargestOf(NamedTuple):
    """What `torch.max` of a dimension returns; the indices are not known along a path."""

    values: Polyline
    indices: None = None


def pooling(num_dims: int, pool: Func) -> Callable[..., Polyline]:
    """Return the rule of max-pooling over some last dimensions."""

    def rule(
        func: Func,
        input: Polyline,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Polyline:
        shape = input.rows.shape
        if return_indices or len(shape) != num_dims + 2:
            raise refusal(func, "is known along a path for batches of images only, and without indices")
        stride = kernel_size if stride in (None, [], ()) else stride
        options = (kernel_size, stride, padding, dilation, ceil_mode)
        sizes = [as_list(option, num_dims) for option in options[:4]]

        def run(rows: Tensor) -> tuple[Tensor, Tensor]:
            values, winner = pool(rows, *options, return_indices=True)
            return values, winner

        output = run(input.rows[:1])[0].shape[2:]
        places = [
            [[step * at - edge + gap * k for k in range(kernel)] for at in range(count)]
            for count, kernel, step, edge, gap in zip(output, *sizes, strict=True)
        ]
        return pooled(input, places, run)

    return rule


def adaptive_pooling(num_dims: int, pool: Func) -> Callable[..., Polyline]:
    """Return the rule of max-pooling to a given size."""

    def rule(func: Func, input: Polyline, output_size: Any, return_indices: bool = False) -> Polyline:
        shape = input.rows.shape
        if return_indices or len(shape) != num_dims + 2:
            raise refusal(func, "is known along a path for batches of images only, and without indices")

        def run(rows: Tensor) -> tuple[Tensor, Tensor]:
            values, winner = pool(rows, output_size, return_indices=True)
            return values, winner

        output = run(input.rows[:1])[0].shape[2:]
        places = [
            [list(range(at * size // count, -(-(at + 1) * size // count))) for at in range(count)]
            for size, count in zip(shape[2:], output, strict=True)
        ]
        return pooled(input, places, run)

    return rule


def pooled(
    line: Polyline, places: list[list[list[int]]], run: Callable[[Tensor], tuple[Tensor, Tensor]]
) -> Polyline:
    """Return the largest entry of each window of images.

    Args:
        line: of shape ``(rows, channels, *sizes)``.
        places: for each dimension and each place of the output the places of the input.
        run: max-pooling itself, with the flat place of each winner in its channel.
    """
    num_channels, *sizes = line.rows.shape[1:]
    windows = []
    for axes in product(*places):
        entries = []
        for place in product(*axes):
            inside = all(0 <= at < size for at, size in zip(place, sizes, strict=True))
            flat = 0
            for at, size in zip(place, sizes, strict=True):
                flat = flat * size + at
            entries.append(flat if inside else ABSENT)
        windows.append(entries)
    widest = max(map(len, windows))
    one = torch.tensor([entries + [ABSENT] * (widest - len(entries)) for entries in windows])
    area = int(torch.Size(sizes).numel())
    channel = torch.arange(num_channels)[:, None, None] * area
    members = torch.where(one == ABSENT, ABSENT, one + channel).flatten(0, 1).to(line.rows.device)
    offset = (channel[:, :, 0]).to(line.rows.device)

    def pool(rows: Tensor) -> tuple[Tensor, Tensor]:
        values, winner = run(rows.view(-1, num_channels, *sizes))
        return values.flatten(1), (winner.flatten(2) + offset).flatten(1)

    shape = (num_channels, *(len(axis) for axis in places))
    return largest(line, Windows(members, pool, shape))


def as_list(option: Any, num_dims: int) -> list[int]:
    """Return an option of pooling for each dimension."""
    return list(option) if isinstance(option, list | tuple) else [option] * num_dims


def over_members(line: Polyline, members: Tensor, shape: tuple[int, ...]) -> Polyline:
    """Return the largest of the named entries for each output."""
    members = members.to(line.rows.device)

    def pool(rows: Tensor) -> tuple[Tensor, Tensor]:
        values, place = rows[:, members].max(2)
        return values, members[torch.arange(len(members), device=members.device), place]

    return largest(line, Windows(members, pool, shape))


def over_dimensions(line: Polyline, dims: tuple[int, ...], keepdim: bool) -> Polyline:
    """Return the largest entries over dimensions other than the first."""
    features = line.rows.shape[1:]
    inner = sorted(dim - 1 if dim > 0 else dim + len(features) for dim in dims)
    outer = [dim for dim in range(len(features)) if dim not in inner]
    numbers = torch.arange(features.numel()).view(features).permute(*outer, *inner)
    kept = [features[dim] for dim in outer]
    members = numbers.reshape(torch.Size(kept).numel(), -1)
    shape = [1 if dim in inner else size for dim, size in enumerate(features)] if keepdim else kept
    return over_members(line, members, tuple(shape))


def largest_of_two(first: Polyline, second: Polyline) -> Polyline:
    """Return the larger of two quantities, entry by entry."""
    features = torch.broadcast_shapes(first.rows.shape[1:], second.rows.shape[1:])
    both = [
        part.expand(len(part), *features).flatten(1)
        for line in (first, second)
        for part in (line.rows, line.sizes)
    ]
    rows, sizes = torch.cat(both[::2], dim=1), torch.cat(both[1::2], dim=1)
    count = features.numel()
    members = torch.arange(2 * count).view(2, count).T
    return over_members(Polyline.of(rows, sizes, first.knots, first.visit), members, tuple(features))


POOLINGS = {
    "max_pool1d": pooling(1, F.max_pool1d),
    "max_pool2d": pooling(2, F.max_pool2d),
    "max_pool3d": pooling(3, F.max_pool3d),
    "adaptive_max_pool1d": adaptive_pooling(1, F.adaptive_max_pool1d),
    "adaptive_max_pool2d": adaptive_pooling(2, F.adaptive_max_pool2d),
    "adaptive_max_pool3d": adaptive_pooling(3, F.adaptive_max_pool3d),
}
