"""Shapes of inputs, as networks of images read them. Without torch, since studies are planned with them."""

from collections.abc import Sequence

from spaceprobe.networks.entry import NetworkOptions


def image_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the channels, height and width of an input of shape (height, width) or with channels before it.

    Raises:
        ValueError: inputs are not images.
    """
    if len(input_shape) not in (2, 3):
        shape = "(" + ", ".join(map(str, input_shape)) + ("," if len(input_shape) == 1 else "") + ")"
        raise ValueError(f"takes images, and an input of this dataset has the shape {shape}")
    channels, height, width = (1, *input_shape) if len(input_shape) == 2 else input_shape
    return channels, height, width


def halved_by_pooling(side: int) -> int:
    """Return the side of an image after a pool of side 2, whose last odd row is left out."""
    return side // 2


def halved_by_stride(side: int) -> int:
    """Return the side of an image after a 3 × 3 convolution with padding 1 and stride 2."""
    return (side + 1) // 2


def check_images(options: NetworkOptions, input_shape: Sequence[int]) -> None:
    """Check that the inputs of a network of images are images.

    Raises:
        ValueError: they are not.
    """
    try:
        image_shape(input_shape)
    except ValueError as error:
        raise ValueError(f"network.model: {options.model} {error}; use mlp, or images") from error
