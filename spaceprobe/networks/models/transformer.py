"""A transformer encoder on patches; the architecture gives the hidden units of its feed-forward blocks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions
from spaceprobe.networks.shapes import check_images, image_shape
from spaceprobe.networks.walkable import engines_for

if TYPE_CHECKING:
    import torch
    from torch import nn


def _build(
    options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
) -> "nn.Module":
    from spaceprobe.networks.activations import ACTIVATIONS
    from spaceprobe.networks.building import build_initialized
    from spaceprobe.networks.transformer import PatchTransformer

    return build_initialized(
        lambda: PatchTransformer(
            image_shape(input_shape),
            options.hidden_widths,
            num_outputs,
            ACTIVATIONS[options.activation],
            patch=options.patch,
            embedding=options.embedding,
            num_heads=options.heads,
            generator=generator,
        ),
        options,
        generator,
    )


def _hidden_widths(options: NetworkOptions, input_shape: Sequence[int]) -> list[int]:
    _, height, width = image_shape(input_shape)
    num_tokens = height // options.patch * (width // options.patch)
    return [num_tokens * units for units in options.hidden_widths]


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    return engines_for(options.activation, ("sampled", "adaptive"))  # softmax and LayerNorm are curved


def _check(options: NetworkOptions, input_shape: Sequence[int]) -> None:
    check_images(options, input_shape)
    _, height, width = image_shape(input_shape)
    if height % options.patch or width % options.patch:
        raise ValueError(
            f"network.patch: {options.patch} does not divide the {height} × {width} pixels of an image; "
            "choose a side that divides both"
        )
    if options.embedding % options.heads:
        raise ValueError(
            f"network.heads: {options.heads} does not divide network.embedding: {options.embedding}; "
            "change one of them"
        )


ENTRY = NetworkEntry(
    build=_build,
    hidden_widths=_hidden_widths,
    engines=_engines,
    settings=("activation", "patch", "embedding", "heads"),
    check=_check,
)
