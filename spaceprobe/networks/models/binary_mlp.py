"""An MLP whose hidden units are -1 or 1: sign activations, trained with a straight-through gradient."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import NetworkEntry, NetworkOptions

if TYPE_CHECKING:
    import torch
    from torch import nn


def _build(
    options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
) -> "nn.Module":
    from spaceprobe.networks.mlp import binary_mlp

    return binary_mlp(
        [math.prod(input_shape), *options.hidden_widths, num_outputs],
        generator,
        batch_norm=options.batch_norm,
        initialization=options.initialization,
        scale=options.initialization_scale,
    )


ENTRY = NetworkEntry(
    build=_build,
    hidden_widths=lambda options, _: options.hidden_widths,
    engines=lambda _: ("exact", "layerwise", "sampled", "adaptive"),
    activation=lambda _: "sign",
    settings=("batch_norm",),
    has_numbered_layers=True,
)
