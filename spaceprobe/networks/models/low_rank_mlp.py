"""An MLP whose weights are products of two factors of a low rank."""

from typing import TYPE_CHECKING

from spaceprobe.networks.models.factored_mlp import product_entry

if TYPE_CHECKING:
    from spaceprobe.networks.product_layers import ProductLinear


def _low_rank() -> "type[ProductLinear]":
    from spaceprobe.networks.product_layers import LowRankLinear

    return LowRankLinear


ENTRY = product_entry(_low_rank)
