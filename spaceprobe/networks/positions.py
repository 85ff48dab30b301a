"""The sample of a layer that is applied at many positions: patches of images, tokens of sequences."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from spaceprobe.networks.initialization import WeightLayer

SEED = 0
"""Chosen: of the positions. Layers with equally many have the same ones, of every network and epoch."""


def draw_positions(
    images: Int64[Tensor, "images"], num_all: int, num_drawn: int
) -> Int64[Tensor, "images drawn"]:
    """Return positions of each image, ascending, drawn without replacement.

    Args:
        images: their numbers; those of an image depend on its number alone.
        num_all: positions of an image.
        num_drawn: how many of them; all where there are fewer.
    """
    if num_drawn >= num_all:
        return torch.arange(num_all).expand(len(images), -1)
    count = int(images.max()) + 1 if len(images) else 0
    # Numbers are drawn image after image, so those of an image do not depend on how many follow.
    numbers = torch.rand(count, num_all, generator=torch.Generator().manual_seed(SEED))[images]
    return numbers.argsort(dim=1)[:, :num_drawn].sort(dim=1).values


def rows_of_layer(
    layer: WeightLayer,
    inputs: Tensor,
    outputs: Tensor,
    images: Int64[Tensor, "images"],
    num_positions: int,
) -> tuple[Float[Tensor, "rows inputs"], Float[Tensor, "rows outputs"]]:
    """Return what a layer is given at some positions, and what it makes of that; images in their order.

    The input of a convolution at a position is the patch that its kernel covers there, as a row of channels
    by height by width, zeros where it is padded.

    Args:
        layer: linear or a convolution, without groups.
        inputs: of a call of the layer; images along the first dimension.
        outputs: of the same call.
        images: their numbers.
        num_positions: positions of an image.
    """
    if isinstance(layer, nn.Conv2d):
        positions = draw_positions(images, outputs[0, 0].numel(), num_positions)
        chosen = outputs.flatten(2).transpose(1, 2)[torch.arange(len(images))[:, None], positions]
        return _patches(layer, inputs, positions, outputs.shape[3]).flatten(0, 1), chosen.flatten(0, 1)
    if inputs.ndim == 2:
        return inputs, outputs
    positions = draw_positions(images, inputs[0, ..., 0].numel(), num_positions)
    token = torch.arange(len(images))[:, None], positions
    rows, results = (tensor.flatten(1, -2)[token].flatten(0, 1) for tensor in (inputs, outputs))
    return rows, results


def _patches(
    layer: nn.Conv2d, inputs: Tensor, positions: Int64[Tensor, "images drawn"], width: int
) -> Float[Tensor, "images drawn inputs"]:
    """Return the patches at some positions of the outputs, which are numbered row by row.

    Without unfolding the images: all patches are as many times larger as a kernel has entries.
    """
    pad_y, pad_x = (int(pad) for pad in layer.padding)
    step_y, step_x = layer.stride
    padded = nn.functional.pad(inputs, (pad_x, pad_x, pad_y, pad_y))
    top, left = positions // width * step_y, positions % width * step_x
    down, right = (
        torch.arange(size) * dilation
        for size, dilation in zip(layer.kernel_size, layer.dilation, strict=True)
    )
    y = (top[:, :, None] + down)[:, :, :, None]
    x = (left[:, :, None] + right)[:, :, None, :]
    image = torch.arange(len(inputs)).view(-1, 1, 1, 1)
    return padded[image, :, y, x].movedim(-1, 2).flatten(2)
