"""An MLP whose layers are made of the five factors of the LMD; and the entry of any MLP of products."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from spaceprobe.networks.entry import Engine, NetworkEntry, NetworkOptions
from spaceprobe.networks.models.mlp import mlp_entry
from spaceprobe.networks.ranks import check_ranks, listed_ranks
from spaceprobe.networks.walkable import engines_for

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spaceprobe.networks.product_layers import ProductLinear


def product_entry(kind: "Callable[[], type[ProductLinear]]") -> NetworkEntry:
    """Return the entry of an MLP of products, which start as the weights of the plain MLP cut to their ranks.

    Args:
        kind: returns the class of its layers, so that planning needs no torch.
    """
    plain = mlp_entry(lambda options: options.hidden_widths)

    def build(
        options: NetworkOptions, input_shape: Sequence[int], num_outputs: int, generator: "torch.Generator"
    ) -> "nn.Module":
        return cut(plain.build(options, input_shape, num_outputs, generator), listed_ranks(options))

    def cut(network: "nn.Module", ranks: Sequence[int]) -> "nn.Module":
        from torch import nn

        from spaceprobe.networks.product_layers import with_products

        return with_products(cast(nn.Sequential, network), kind(), ranks)

    return replace(
        plain,
        build=build,
        engines=_engines,
        settings=("activation", "batch_norm", "ranks", "rank_factor"),
        check=check_ranks,
        with_ranks=cut,
    )


def _engines(options: NetworkOptions) -> tuple[Engine, ...]:
    return engines_for(options.activation, ("exact", "layerwise", "jvp", "sampled", "adaptive"))


def _factored() -> "type[ProductLinear]":
    from spaceprobe.networks.product_layers import FactoredLinear

    return FactoredLinear


ENTRY = product_entry(_factored)
