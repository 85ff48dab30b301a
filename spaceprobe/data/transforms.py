"""Images that are rotated or shifted; nothing here draws random numbers."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

Images = Float[Tensor, "points features"]


def rotated(images: Images, degrees: float, input_shape: Sequence[int]) -> Images:
    """Return images rotated counter-clockwise around their middle, bilinearly, with 0 outside of them.

    This is torchvision's ``rotate``.

    Args:
        images: flattened.
        degrees: the angle.
        input_shape: ``(height, width)`` or ``(channels, height, width)``.
    """
    if not len(images):  # of which torchvision turns none
        return images
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import rotate

    turned: Tensor = rotate(_as_images(images, input_shape), degrees, InterpolationMode.BILINEAR)
    return turned.reshape(images.shape)


def shifted(images: Images, right: int, down: int, input_shape: Sequence[int]) -> Images:
    """Return images moved by whole pixels, with 0 where nothing is left. This is torchvision's ``affine``.

    Args:
        images: flattened.
        right: by how many pixels to the right; negative for the left.
        down: by how many pixels down; negative for up.
        input_shape: see `rotated`.
    """
    if not len(images):
        return images
    from torchvision.transforms.functional import affine

    pixels = _as_images(images, input_shape)
    moved: Tensor = affine(pixels, angle=0.0, translate=[right, down], scale=1.0, shear=[0.0, 0.0])
    return moved.reshape(images.shape)


def each_rotated(images: Images, degrees: Float[Tensor, "points"], input_shape: Sequence[int]) -> Images:
    """Return images as `rotated` does, each by an angle of its own; torchvision turns all by the same."""
    if not len(images):
        return images
    pixels = _as_images(images, input_shape)
    height, width = pixels.shape[2:]
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # From where in the image each pixel comes, in coordinates that go from -1 to 1 along each side.
    rows = ((cos, -sin * height / width, zero), (sin * width / height, cos, zero))
    turn = torch.stack([torch.stack(row, 1) for row in rows], 1).to(pixels.dtype)
    grid = affine_grid(turn, list(pixels.shape), align_corners=False)
    return grid_sample(pixels, grid, align_corners=False).reshape(images.shape)


def each_shifted(
    images: Images, right: Sequence[int], down: Sequence[int], input_shape: Sequence[int]
) -> Images:
    """Return images as `shifted` does, each by pixels of its own."""
    pixels = _as_images(images, input_shape)
    height, width = pixels.shape[2:]
    most = max((abs(number) for number in (*right, *down)), default=0)
    wide = pad(pixels, [most] * 4)
    windows = [
        wide[i, :, most - y : most - y + height, most - x : most - x + width]
        for i, (x, y) in enumerate(zip(right, down, strict=True))
    ]
    return torch.stack(windows).reshape(images.shape) if windows else images


def _as_images(images: Images, input_shape: Sequence[int]) -> Float[Tensor, "points channels height width"]:
    height, width = input_shape[-2:]
    return images.reshape(len(images), images.shape[1] // (height * width), height, width)
