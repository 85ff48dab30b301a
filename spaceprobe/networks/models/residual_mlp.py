"""An MLP with skips; the architecture gives the hidden units of its residual blocks."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions
from spaceprobe.networks.walkable import engines_for

if TYPE_CHECKING:
    import torch
    from torch import nn


def _build(
    options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
) -> "nn.Module":
    from spaceprobe.networks.activations import ACTIVATIONS
    from spaceprobe.networks.building import build_initialized
    from spaceprobe.networks.residual_mlp import ResidualMLP

    return build_initialized(
        lambda: ResidualMLP(
            math.prod(input_shape), options.hidden_widths, num_outputs, ACTIVATIONS[options.activation]
        ),
        options,
        generator,
    )


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    return engines_for(options.activation, ("exact", "layerwise", "jvp", "sampled", "adaptive"))


ENTRY = NetworkEntry(
    build=_build,
    hidden_widths=lambda options, _: options.hidden_widths,
    engines=_engines,
)
