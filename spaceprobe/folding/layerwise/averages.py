"""Average pooling of many rows at once, on the CPU, where torch adds up one window after the other."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.folding.layerwise.knots import CACHED_NUMBERS


def average_pool(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return what `torch.nn.functional.avg_pool2d` returns.

    Windows that tile an image are added up as whole images, one for each place in a window, which takes an
    eighth of the time.

    Args:
        input: of shape ``(rows, channels, height, width)``.
        kernel_size: see `torch.nn.functional.avg_pool2d`, as are the others.
        stride: of the windows.
        padding: with zeros.
        ceil_mode: whether windows may reach over the edge.
        count_include_pad: whether the padding counts.
        divisor_override: by what sums are divided; the number of places where None.
    """
    tall, wide = pair(kernel_size)
    is_tiled = (
        input.ndim == 4
        and (stride in (None, [], ()) or pair(stride) == (tall, wide))
        and pair(padding) == (0, 0)
        and input.shape[2] % tall == input.shape[3] % wide == 0
    )
    if not is_tiled or input.device.type != "cpu":
        return F.avg_pool2d(
            input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )
    num_places = tall * wide if divisor_override is None else divisor_override
    rows, channels, height, width = input.shape
    output = input.new_empty((rows, channels, height // tall, width // wide))
    size = max(1, CACHED_NUMBERS // max(1, channels * height * width))
    for part, means in zip(input.split(size), output.split(size), strict=True):
        of_rows = sum((part[:, :, y::tall] for y in range(1, tall)), part[:, :, ::tall])
        sums = sum((of_rows[..., x::wide] for x in range(1, wide)), of_rows[..., ::wide])
        torch.div(sums, num_places, out=means)
    return output


def pair(option: Any) -> tuple[int, int]:
    """Return an option of a pool or a convolution for height and width."""
    if not isinstance(option, tuple | list):
        return option, option
    first, second = option if len(option) == 2 else (option[0], option[0])
    return first, second
