"""A small convolutional network; the architecture gives the channels of its convolutions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions
from spaceprobe.networks.shapes import check_images, halved_by_pooling, image_shape
from spaceprobe.networks.walkable import engines_for

if TYPE_CHECKING:
    import torch
    from torch import nn


def _build(
    options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
) -> "nn.Module":
    from spaceprobe.networks.activations import ACTIVATIONS
    from spaceprobe.networks.building import build_initialized
    from spaceprobe.networks.convolutional import ConvolutionalNetwork

    return build_initialized(
        lambda: ConvolutionalNetwork(
            image_shape(input_shape),
            options.hidden_widths,
            num_outputs,
            ACTIVATIONS[options.activation],
            pooling=options.pooling,
            batch_norm=options.batch_norm,
        ),
        options,
        generator,
    )


def _hidden_widths(options: NetworkOptions, input_shape: Sequence[int]) -> list[int]:
    _, height, width = image_shape(input_shape)
    widths = []
    for channels in options.hidden_widths:
        widths.append(channels * height * width)
        if min(height, width) >= 2:
            height, width = halved_by_pooling(height), halved_by_pooling(width)
    return widths


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    if options.pooling == "average":
        return engines_for(options.activation, ("exact", "layerwise", "jvp", "sampled", "adaptive"))
    return engines_for(options.activation, ("exact", "layerwise", "sampled", "adaptive"))


ENTRY = NetworkEntry(
    build=_build,
    hidden_widths=_hidden_widths,
    engines=_engines,
    settings=("activation", "batch_norm", "pooling"),
    check=check_images,
)
