"""Checks of networks, images and devices before anything is walked."""

import torch
from torch import Tensor, nn

RANDOM_OR_MIXING_MODULES = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm, nn.RReLU)


def check_images(name: str, images: Tensor) -> None:
    """Raise ValueError unless images are a batch of finite real numbers."""
    if images.ndim < 2:
        raise ValueError(
            f"{name} has shape {tuple(images.shape)}: expected (number of points, *input shape); for a "
            f"single point pass {name}[None]"
        )
    if images.is_complex():
        raise ValueError(f"{name} has dtype {images.dtype}: expected real numbers")
    if not bool(torch.isfinite(images).all()):
        raise ValueError(f"{name} has entries that are not finite")


def check_network(module: nn.Module) -> None:
    """Raise ValueError if a module's output is random or mixes images, or its weights are not finite."""
    for name, child in module.named_modules():
        if child.training and isinstance(child, RANDOM_OR_MIXING_MODULES):
            raise ValueError(
                f"module {name or type(child).__name__!r} ({type(child).__name__}) is in training mode, "
                "where its output is random or mixes images: call network.eval() first"
            )
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} of the network has entries that are not finite")


def check_device(device: str | torch.device) -> torch.device:
    """Return the device.

    Raises:
        ValueError: if it is not there, or is neither a CPU nor a CUDA device.
    """
    device = torch.device(device)
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {str(device)!r}: choose cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(device)!r}, but torch finds no CUDA device: use cpu")
    return device


def check_same_shape(names: tuple[str, str], first: torch.Size, second: torch.Size) -> None:
    """Raise ValueError unless both ends of the paths have one shape."""
    if first != second:
        raise ValueError(
            f"{names[0]} and {names[1]} must have one shape: {names[0]} has {tuple(first)}, {names[1]} has "
            f"{tuple(second)}"
        )
