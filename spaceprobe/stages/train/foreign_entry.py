"""What a study knows of a network of a library's or of the user's own before it is built. Without torch."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from spaceprobe.model_sources import ModelSource
from spaceprobe.networks.entry import NetworkEntry, NetworkOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

OWN_ACTIVATION = "own"
"""Stands for the activation of a network that does not say what it is."""


FOREIGN_NETWORKS = "spaceprobe.stages.train.foreign_networks"
"""The module that builds such networks and loads given weights: part of the version of the code."""


@lru_cache
def foreign_entry(source: ModelSource) -> NetworkEntry:
    """Return the entry of a network that a study names by its source."""

    def build(
        options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
    ) -> "nn.Module":
        from spaceprobe.stages.train.foreign_networks import build_foreign

        del options
        return build_foreign(source, input_shape, num_outputs, generator)

    return NetworkEntry(
        name=source.text,
        module=FOREIGN_NETWORKS,
        build=build,
        label=lambda _: re.sub(r"[^A-Za-z0-9._]+", "-", source.text).strip("-._")[:40],
        hidden_widths=lambda *_: (),
        engines=lambda _: ("exact", "layerwise", "jvp", "sampled"),
        activation=lambda _: OWN_ACTIVATION,
        architecture=lambda _: source.text,
        settings=(),
    )
