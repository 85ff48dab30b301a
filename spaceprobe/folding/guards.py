"""Checks of networks, images and devices before anything is walked."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from spaceprobe.machine.module_forms import why_no_weights, why_not_as_written

FRACTIONAL_POOLS = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)
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
    """Raise ValueError if a module's output is random or mixes images, or its weights are not finite.

    Raises:
        TypeError: if it is not a torch module.
    """
    if not isinstance(module, nn.Module):
        if isinstance(module, type) and issubclass(module, nn.Module):
            name = module.__name__
            raise TypeError(f"the network is the class {name}: expected an instance of it, such as {name}()")
        raise TypeError(f"the network is a {type(module).__name__}: expected a torch.nn.Module")
    check_modules(module, why_not_walkable)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} of the network has entries that are not finite")


def check_modules(module: nn.Module, why_not: Callable[[nn.Module], str | None]) -> None:
    """Raise ValueError if there is a reason against a module or one inside of it, naming the first."""
    for name, child in module.named_modules():
        reason = why_not(child)
        if reason is not None:
            kind = type(child).__name__
            raise ValueError(f"module {name or kind!r} ({kind}) {reason}")


def why_not_walkable(module: nn.Module) -> str | None:
    """Return why no path can be walked through a module, and the way out; None if one can."""
    reason = why_not_as_written(module) or why_no_weights(module)
    if reason is not None:
        return reason
    if module.training and isinstance(module, RANDOM_OR_MIXING_MODULES):
        return "is in training mode, where its output is random or mixes images: call network.eval() first"
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
        return (
            "normalises by the statistics of a batch, which mixes its images: make it with "
            "track_running_stats=True"
        )
    is_instance_norm = isinstance(module, nn.modules.instancenorm._InstanceNorm)
    if is_instance_norm and module.training and module.track_running_stats:
        return "is in training mode, where it ignores its running statistics: call network.eval() first"
    if isinstance(module, FRACTIONAL_POOLS) and module._random_samples is None:
        return "draws its windows at random, in evaluation too: make it with _random_samples"
    return None


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
