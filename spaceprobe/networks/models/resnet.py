"""A small ResNet; the architecture gives the channels of its stages, each a residual block."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions
from spaceprobe.networks.shapes import check_images, halved_by_stride, image_shape
from spaceprobe.networks.walkable import engines_for

if TYPE_CHECKING:
    import torch
    from torch import nn


def _build(
    options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
) -> "nn.Module":
    from spaceprobe.networks.activations import ACTIVATIONS
    from spaceprobe.networks.building import build_initialized
    from spaceprobe.networks.residual import ResidualNetwork

    return build_initialized(
        lambda: ResidualNetwork(
            image_shape(input_shape),
            options.hidden_widths,
            num_outputs,
            ACTIVATIONS[options.activation],
            batch_norm=options.batch_norm,
        ),
        options,
        generator,
    )


def _hidden_widths(options: NetworkOptions, input_shape: Sequence[int]) -> list[int]:
    _, height, width = image_shape(input_shape)
    height, width = halved_by_stride(height), halved_by_stride(width)
    widths = [options.hidden_widths[0] * height * width]
    for stage, channels in enumerate(options.hidden_widths):
        if stage:
            height, width = halved_by_stride(height), halved_by_stride(width)
        widths += [channels * height * width] * 2
    return widths


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    return engines_for(options.activation, ("exact", "layerwise", "jvp", "sampled", "adaptive"))


ENTRY = NetworkEntry(
    build=_build,
    hidden_widths=_hidden_widths,
    engines=_engines,
    settings=("activation", "batch_norm"),
    check=check_images,
)
