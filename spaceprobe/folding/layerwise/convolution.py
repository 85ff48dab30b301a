"""A convolution of many rows at once, in float64 on the CPU, where torch convolves one by one."""

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

MIN_CHANNELS = 8
"""Chosen: with fewer channels torch's own convolution is as fast."""


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Return what `torch.nn.functional.conv2d` returns, as one product of matrices where that is faster.

    torch multiplies the unfolded patches of one input after the other by the weight. With few places and many
    channels that reads the weight once for each input, and takes up to five times as long as the product of
    all patches at once (bench: `make bench`).

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
    if not is_plain or x.is_cuda or x.shape[1] < MIN_CHANNELS:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    step_y, step_x = _pair(stride)
    edge_y, edge_x = _pair(padding)
    num_outputs, num_channels, height, width = weight.shape
    padded = F.pad(x, (edge_x, edge_x, edge_y, edge_y)).permute(0, 2, 3, 1).contiguous()
    rows, tall, wide, _ = padded.shape
    shape = (rows, (tall - height) // step_y + 1, (wide - width) // step_x + 1)
    of_row, of_y, of_x, of_channel = padded.stride()
    patches = padded.as_strided(
        (*shape, height, width, num_channels), (of_row, of_y * step_y, of_x * step_x, of_y, of_x, of_channel)
    ).reshape(-1, height * width * num_channels)
    matrix = weight.permute(2, 3, 1, 0).reshape(-1, num_outputs)
    product = patches @ matrix if bias is None else torch.addmm(bias, patches, matrix)
    return product.view(*shape, num_outputs).permute(0, 3, 1, 2).contiguous()


def _pair(option: object) -> tuple[int, int]:
    first, second = option if isinstance(option, tuple | list) else (option, option)
    return first, second
