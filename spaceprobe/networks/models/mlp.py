"""The MLP of a study, and the entry of any other: hidden layers with an activation, then a linear readout."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions
from spaceprobe.networks.walkable import engines_for

if TYPE_CHECKING:
    import torch
    from torch import nn


def mlp_entry(hidden_widths: Callable[[NetworkOptions], Sequence[int]]) -> NetworkEntry:
    """Return the entry of an MLP, given a function that returns the units of each of its hidden layers."""

    def build(
        options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
    ) -> "nn.Sequential":
        from spaceprobe.networks.mlp import mlp

        return mlp(
            [math.prod(input_shape), *hidden_widths(options), num_outputs],
            generator,
            options.activation,
            batch_norm=options.batch_norm,
            initialization=options.initialization,
            scale=options.initialization_scale,
        )

    return NetworkEntry(
        build=build,
        hidden_widths=lambda options, _: hidden_widths(options),
        engines=_engines,
        settings=("activation", "batch_norm"),
        has_numbered_layers=True,
    )


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    if options.batch_norm:
        return engines_for(options.activation, ("exact", "layerwise", "jvp", "sampled", "adaptive"))
    return engines_for(options.activation, ("exact", "layerwise", "kernel", "jvp", "sampled", "adaptive"))


ENTRY = replace(mlp_entry(lambda options: options.hidden_widths), label=lambda options: options.architecture)
