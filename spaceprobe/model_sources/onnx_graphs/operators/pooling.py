"""Pooling: the largest or the mean of each window of an image, or of the whole image."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name that every torch user knows
from torch import Tensor

from spaceprobe.model_sources.onnx_graphs.operators.call import Call, Made, Operator
from spaceprobe.model_sources.onnx_graphs.operators.windows import Windows, read_windows

LARGEST: dict[int, Callable[..., Any]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN: dict[int, Callable[..., Any]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
"""By the number of dimensions of an image."""


def max_pool(call: Call) -> Made:
    """The largest of each window."""
    kernel, windows = _windows(call)
    ceil_mode = bool(call.attribute("ceil_mode", 0))
    if call.attribute("storage_order", 0):
        raise call.refuse("counts columns first, which is not supported")
    pool = LARGEST[len(kernel)]

    def run(x: Tensor) -> Tensor:
        begin, end = zip(*windows.padding(x.shape[2:]), strict=True)
        options = tuple(kernel), tuple(windows.strides), begin, tuple(windows.dilations)
        if begin == end:
            pooled: Tensor = pool(x, *options, ceil_mode)
            return pooled
        # torch pads both sides alike: more behind is a last window that begins inside of the image
        pooled = pool(x, *options, True)
        for axis, count in enumerate(windows.counts(x.shape[2:], is_up=ceil_mode), start=2):
            if pooled.shape[axis] < count:
                raise ValueError(
                    f"pads {begin} before and {end} behind: expected windows that touch the image"
                )
            if pooled.shape[axis] > count:
                pooled = pooled.narrow(axis, 0, count)
        return pooled

    return call.made(run)


def average_pool(call: Call) -> Made:
    """The mean of each window."""
    kernel, windows = _windows(call)
    ceil_mode = bool(call.attribute("ceil_mode", 0))
    counts_padding = bool(call.attribute("count_include_pad", 0))
    if any(number != 1 for number in windows.dilations):
        raise call.refuse("is dilated, which is not supported")
    pool = MEAN[len(kernel)]

    def run(x: Tensor) -> Tensor:
        begin, end = zip(*windows.padding(x.shape[2:]), strict=True)
        if begin != end:
            if ceil_mode or not counts_padding:
                raise ValueError(f"pads {begin} before and {end} behind: expected the same on both sides")
            x, begin = F.pad(x, windows.around(x.shape[2:])), (0,) * len(kernel)
        pooled: Tensor = pool(x, tuple(kernel), tuple(windows.strides), begin, ceil_mode, counts_padding)
        return pooled

    return call.made(run)


def _windows(call: Call) -> tuple[list[int], Windows]:
    kernel = call.whole_numbers("kernel_shape") or []
    if len(kernel) not in LARGEST:
        raise call.refuse(f"has a kernel of {len(kernel)} dimensions: expected 1 to 3")
    return kernel, read_windows(call, kernel)


def over_image(function: Callable[..., Tensor]) -> Operator:
    """Return the operator over all of an image."""
    return lambda call: call.made(lambda x: function(x, dim=[*range(2, x.ndim)], keepdim=True))


POOLING: dict[str, Operator] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": over_image(torch.mean),
    "GlobalMaxPool": over_image(torch.amax),
}
