"""The weight matrices of a network: of linear layers and convolutions, those of attention head by head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from spaceprobe.networks.initialization import WeightLayer
from spaceprobe.networks.transformer import Attention

ALL = slice(None)


@dataclass(frozen=True)
class WeightMatrix:
    """A weight matrix: that of a layer, or what belongs to one head of it.

    The matrix of a convolution is its kernel unfolded: outputs × (inputs · height · width).

    Attributes:
        name: of the layer in its network, as torch names it.
        layer: the layer itself.
        head: number of the head, from 0; None for the whole layer.
        rows: of the layer's matrix, where it makes what a head reads; None for all.
        columns: of the layer's matrix, where it reads what a head made; None for all.
    """

    name: str
    layer: WeightLayer
    head: int | None = None
    rows: slice | None = None
    columns: slice | None = None

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The matrix, as it is now; no copy, no gradients."""
        return self.layer.weight.detach().flatten(1)[self.rows or ALL, self.columns or ALL]

    @property
    def bias(self) -> Float[Tensor, "outputs"] | None:
        """What is added to its outputs; None for nothing, or where several heads share it."""
        if self.layer.bias is None or self.columns is not None:
            return None
        return self.layer.bias.detach()[self.rows or ALL]

    @property
    def kind(self) -> str:
        """Either ``linear`` or ``convolution``."""
        return "convolution" if isinstance(self.layer, nn.Conv2d) else "linear"

    @contextmanager
    def replaced(self, weight: Float[Tensor, "outputs inputs"]) -> Iterator[None]:
        """While it lasts, the network has another matrix in its place."""
        own = self.weight.clone()
        self.weight.copy_(weight)
        try:
            yield
        finally:
            self.weight.copy_(own)


def weight_matrices(network: nn.Module) -> list[WeightMatrix]:
    """Return the weight matrices of a network in the order of its layers, the readout included.

    Raises:
        ValueError: a convolution has groups, is transposed or pads otherwise than with zeros.
    """
    heads = {
        id(projection): (attention, projection is attention.output)
        for attention in network.modules()
        if isinstance(attention, Attention)
        for projection in attention.children()
    }
    matrices = []
    for name, layer in network.named_modules():
        if not isinstance(layer, WeightLayer):
            continue
        _check_convolution(name, layer)
        if id(layer) not in heads:
            matrices.append(WeightMatrix(name, layer))
            continue
        attention, is_output = heads[id(layer)]
        size = layer.weight.shape[0] // attention.num_heads
        for head in range(attention.num_heads):
            part = slice(head * size, (head + 1) * size)
            which = {"columns": part} if is_output else {"rows": part}
            matrices.append(WeightMatrix(name, layer, head, **which))
    return matrices


@dataclass(frozen=True)
class AttentionHead:
    """A head of attention: the numbers of its four matrices among the `weight_matrices` of its network.

    Attributes:
        query: of W_Q, which makes of a token what the head compares.
        key: of W_K, which makes of a token what that is compared with.
        value: of W_V, which makes of a token what the head reads.
        output: of W_O, which writes what was read.
    """

    query: int
    key: int
    value: int
    output: int

    def products(
        self, matrices: Sequence[WeightMatrix]
    ) -> tuple[Float[Tensor, "tokens tokens"], Float[Tensor, "tokens tokens"]]:
        """Return W_QᵀW_K and W_O W_V, without biases; both are of the size of a token.

        Args:
            matrices: those of the network.
        """
        query, key, value, output = (
            matrices[number].weight for number in (self.query, self.key, self.value, self.output)
        )
        return query.T @ key, output @ value


def attention_heads(network: nn.Module) -> list[AttentionHead]:
    """Return the heads of a network, block by block; none where it has no `Attention`.

    Raises:
        ValueError: as `weight_matrices`.
    """
    numbers = {
        (id(matrix.layer), matrix.head): number for number, matrix in enumerate(weight_matrices(network))
    }
    return [
        AttentionHead(
            *(
                numbers[id(layer), head]
                for layer in (attention.query, attention.key, attention.value, attention.output)
            )
        )
        for attention in network.modules()
        if isinstance(attention, Attention)
        for head in range(attention.num_heads)
    ]


def _check_convolution(name: str, layer: WeightLayer) -> None:
    if not isinstance(layer, nn.Conv2d):
        return
    if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise ValueError(
            f"{name}: {layer} cannot be decomposed: expected a convolution without groups whose padding is a "
            "number of zeros"
        )
