"""A convolution of many rows at once, in float64 on the CPU, where torch convolves one by one."""

from itertools import product

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.folding.layerwise.averages import pair

MIN_CHANNELS = 8
"""Chosen: with fewer channels torch's own convolution is as fast."""

MAX_PATCH_NUMBERS = 2**18
"""Chosen: numbers in the patches that are unfolded at a time, which stay in the cache."""


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Return what `torch.nn.functional.conv2d` returns, as products of large matrices where that is faster.

    torch multiplies the unfolded patches of one input after the other by the weight. With few places and many
    channels that reads the weight once for each input, and takes up to five times as long as the product of
    the patches of many inputs (bench: `make bench`). An image of fewer places than the kernel has is
    multiplied whole by the matrix of the convolution, which leaves out the products with the padding.

    Args:
        x: of shape ``(rows, channels, height, width)``.
        weight: of shape ``(outputs, channels / groups, kernel height, kernel width)``.
        bias: see `torch.nn.functional.conv2d`, as are the others.
        stride: of the kernel.
        padding: with zeros.
        dilation: of the kernel.
        groups: of channels.
    """
    is_plain = groups == 1 and dilation in (1, (1, 1)) and not isinstance(padding, str)
    is_torch_slow = x.device.type == "cpu" and x.dtype == torch.float64
    if not is_plain or not is_torch_slow or x.shape[1] < MIN_CHANNELS:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    step, edge = pair(stride), pair(padding)
    kernel = (weight.shape[2], weight.shape[3])
    sizes = tuple(
        (size + 2 * border - reach) // by + 1
        for size, border, reach, by in zip(x.shape[2:], edge, kernel, step, strict=True)
    )
    if min(sizes) < 1:
        return F.conv2d(x, weight, bias, stride, padding)  # which says why not
    if x.shape[2] * x.shape[3] <= kernel[0] * kernel[1]:
        return _whole_images(x, weight, bias, step, edge, sizes)
    output = x.new_empty((len(x), len(weight), *sizes))
    numbers_per_row = max(1, sizes[0] * sizes[1] * weight[0].numel())
    size = max(1, MAX_PATCH_NUMBERS // numbers_per_row)
    for part, out in zip(x.split(size), output.split(size), strict=True):
        _patches(part, weight, bias, step, edge, out)
    return output


def _patches(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    step: tuple[int, int],
    edge: tuple[int, int],
    output: Tensor,
) -> None:
    """Write the convolution of a few rows as the weight times all of their patches, channels first."""
    num_outputs, num_channels, height, width = weight.shape
    rows, _, tall, wide = output.shape
    padded = F.pad(x.transpose(0, 1), (edge[1], edge[1], edge[0], edge[0])).contiguous()
    of_channel, of_row, of_y, of_x = padded.stride()
    patches = padded.as_strided(
        (num_channels, height, width, rows, tall, wide),
        (of_channel, of_y, of_x, of_row, of_y * step[0], of_x * step[1]),
    ).reshape(num_channels * height * width, -1)
    matrix = weight.reshape(num_outputs, -1)
    values = matrix @ patches if bias is None else torch.addmm(bias[:, None], matrix, patches)
    output.copy_(values.view(num_outputs, rows, tall, wide).transpose(0, 1))


def _whole_images(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    step: tuple[int, int],
    edge: tuple[int, int],
    sizes: tuple[int, ...],
) -> Tensor:
    """Return the convolution of small images as the product with a matrix from all entries to all entries."""
    num_outputs, num_channels, *kernel = weight.shape
    height, width = x.shape[2:]
    matrix = weight.new_zeros((num_channels, height, width, num_outputs, *sizes))
    for y, x_in, y_out, x_out in product(*map(range, (height, width, *sizes))):
        tap = (y - y_out * step[0] + edge[0], x_in - x_out * step[1] + edge[1])
        if all(0 <= at < reach for at, reach in zip(tap, kernel, strict=True)):
            matrix[:, y, x_in, :, y_out, x_out] = weight[:, :, tap[0], tap[1]].T
    images, matrix = x.flatten(1), matrix.flatten(3).flatten(0, 2)
    if bias is None:
        values = images @ matrix
    else:
        values = torch.addmm(bias.repeat_interleave(sizes[0] * sizes[1]), images, matrix)
    return values.view(-1, num_outputs, *sizes)
