"""Which engine walks the paths of a network, by what the network is and where, and what it does not count."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spaceprobe.folding.counted import BENDS, Counted, Threshold, Units
from spaceprobe.folding.guards import check_device, check_network
from spaceprobe.folding.layers import Layer, mlp_layers
from spaceprobe.folding.options import Bits, Engine, Method, PlacedEngine, Precision
from spaceprobe.folding.prepared_module import count_bits, prepare


class UncountedUnits(UserWarning):
    """A network has functions that are neither affine nor counted, such as max-pooling or a softmax."""


def engine_for(
    network: nn.Module,
    images: Tensor,
    *,
    method: Method = "exact",
    device: str | torch.device = "cpu",
    precision: Precision = "float64",
    units: Units = "activations",
    threshold: Threshold = 0.0,
) -> PlacedEngine:
    """Return the engine that walks the paths of a network, by what it is and where, never by timing.

    The kernel on a GPU is called ``cuda-kernel``.

    Args:
        network: see `walk_paths`.
        images: ends of paths, of shape ``(num_images, *input shape)``.
        method: see `walk_paths`; ``exact`` is the kernel for ReLU MLPs on the CPU, the jvp walk for them on a
            GPU, and the layerwise walk for every other network.
        device: see `walk_paths`.
        precision: see `walk_paths`.
        units: see `walk_paths`.
        threshold: see `walk_paths`; with another than 0 the layerwise walk takes the place of both.

    Raises:
        ValueError: if an engine is asked for that cannot walk this network on this device.
    """
    counted = Counted(units, threshold)
    if mlp_for_kernel(network, images, method, device, precision, counted) is not None:
        return "kernel" if torch.device(device).type == "cpu" else "cuda-kernel"
    return engine_beside_kernel(network, images, method, counted)


def engine_beside_kernel(network: nn.Module, images: Tensor, method: Method, counted: Counted) -> Engine:
    """Return the engine that walks paths where the kernel does not, or cannot.

    Raises:
        ValueError: if the jvp walk is asked for and does not count what is to be counted.
    """
    is_mlp = mlp_layers(network, images.ndim) is not None
    if method == "jvp" and not counted.is_at_kinks:
        raise ValueError('method is "jvp": it counts z > 0 alone; use "exact" or "layerwise" for a threshold')
    if method == "jvp" and counted.has_windows and not is_mlp:
        raise ValueError('method is "jvp": it counts ReLUs alone; use "exact" or "layerwise" for units="all"')
    if method != "exact":
        return method
    return "jvp" if is_mlp and counted.is_at_kinks else "layerwise"


def passed_over(
    network: nn.Module, images: Tensor, *, units: Units = "activations", bits: Bits = "sign"
) -> tuple[str, ...]:
    """Return the functions of a network that are neither affine nor counted, each with its module.

    Args:
        network: see `walk_paths`.
        images: of shape ``(num_images, *input shape)``; at least one.
        bits: see `walk_paths`.
        units: see `walk_paths`.

    Raises:
        ValueError: see `walk_paths`.
    """
    if mlp_layers(network, images.ndim) is not None:
        return ()
    if len(images) == 0 or mlp_layers(network, images.ndim) is not None:
        return ()
    counted = Counted(units, bits=bits)
    return prepare(network, images, torch.device("cpu"), count_bits, counted).passed_over


def mlp_for_kernel(
    network: nn.Module,
    images: Tensor,
    method: Method,
    device: str | torch.device,
    precision: Precision,
    counted: Counted = BENDS,
) -> tuple[list[Layer], bool] | None:
    """Return the layers of a network that the compiled walk takes, and whether a ReLU ends it.

    None where another engine walks: it was asked for, the network is not an MLP, bits flip elsewhere than at
    0, or the device is a GPU and ``kernel`` was not asked for by name.

    Raises:
        ValueError: if the compiled walk or float32 is asked for and this network or device does not allow it.
    """
    mlp = None
    if not counted.is_at_kinks:
        if method == "kernel" or precision != "float64":
            raise ValueError(
                "the kernel counts z > 0 alone: with a threshold leave method and precision at their defaults"
            )
        return None
    is_cpu = method in ("exact", "kernel") and check_device(device).type == "cpu"
    if is_cpu or method == "kernel":
        check_network(network)
        mlp = mlp_layers(network, images.ndim)
    if mlp is None and method == "kernel":
        raise ValueError('method is "kernel": it walks MLPs only; use "exact" for other networks')
    is_kernel = mlp is not None and is_cpu
    is_layerwise = mlp is None and engine_beside_kernel(network, images, method, counted) == "layerwise"
    if precision != "float64" and not (is_kernel or is_layerwise):
        raise ValueError(
            f"precision is {precision!r}: only the layerwise walk has it, and the kernel for MLPs on the CPU"
        )
    if mlp is not None and images.shape[1:].numel() != (num_inputs := mlp[0][0][0].shape[1]):
        raise ValueError(
            f"the network does not take inputs of shape {tuple(images.shape[1:])}: it has {num_inputs} inputs"
        )
    return mlp


def warn_of_uncounted(uncounted: Sequence[str], units: Units, stacklevel: int) -> None:
    """Warn of functions that are neither affine nor counted, if there are any (`passed_over`)."""
    if uncounted:
        what = "activations" if units == "activations" else "activations and windows"
        warnings.warn(
            f"only {what} are counted, not what these choose: {', '.join(uncounted)}",
            UncountedUnits,
            stacklevel=stacklevel,
        )
