"""Matrices in a file of weights: layers as they are, kernels unfolded, attention a product a head."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from spaceprobe.weights.attention import Attention, Head, find_attention
from spaceprobe.weights.quoting import quote

MAX_SIDES = 5  # a kernel of Conv3d
MAX_NAMES = 5  # chosen: how many names of a kind a message lists

VECTOR, SCALAR = "vector", "scalar"
REASONS = {
    VECTOR: "vectors",
    SCALAR: "scalars",
    "tensor with a side of length 0": "tensors with a side of length 0",
    "tensor without floating numbers": "tensors without floating numbers",
    f"tensor of more than {MAX_SIDES} sides": f"tensors of more than {MAX_SIDES} sides",
    "tensor that is not a kernel": "tensors that are not kernels",
}
"""Why a tensor is not a matrix, in the singular and in the plural."""


@dataclass(frozen=True)
class NamedMatrix:
    """A matrix to decompose.

    Attributes:
        name: of the tensor; for a product such as ``block.head3.query-key``, heads counted from 0.
        kind: linear (any tensor of two sides, embeddings too), convolution, query-key or output-value.
        factors: the matrix itself, or the two that it is the product of (over a head's dimension).
        note: what a reader should know of it; empty for a matrix as it stands in the file.
    """

    name: str
    kind: str
    factors: tuple[Tensor] | tuple[Tensor, Tensor]
    note: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, outputs × inputs as far as the file tells; neither is 0."""
        return self.factors[0].shape[0], self.factors[-1].shape[1]

    @property
    def is_thin_product(self) -> bool:
        """Whether it is a product over fewer dimensions than either of its sides has."""
        return len(self.factors) == 2 and len(self.factors[1]) < min(self.shape)

    @property
    def matrix(self) -> Float[Tensor, "outputs inputs"]:
        """The matrix: as it is stored, a product in float64, computed at each call.

        All products of a large network do not fit into memory at once.
        """
        if len(self.factors) == 1:
            return self.factors[0]
        left, right = self.factors
        return left.double() @ right.double()


def matrices_of(weights: Mapping[str, Tensor], heads: int | None = None) -> list[NamedMatrix]:
    """Return every matrix of a state dict in its order, then the products of its attention heads.

    A floating tensor of two sides is the matrix W of y = W x, num_outputs × num_inputs; the weights of
    GPT-2's blocks, which its files hold the other way, are transposed. A kernel of three to five sides
    becomes num_outputs × (inputs · kernel height · kernel width), a row the window of an output; other
    tensors of as many sides (experts; transposed convolutions, stored inputs first) cannot be told from
    kernels and are read alike. `left_out` lists the others.

    For each head h of a recognised attention block (`find_attention`), in float64, without the biases and
    the factor 1/√d, d the head's dimension:

    - query-key: W_Q,hᵀ W_K,h, query inputs × key inputs; the score of x for y is xᵀ W_Q,hᵀ W_K,h y. Where
      a network rotates queries and keys (RoPE), it is so for equal positions only.
    - output-value: W_O,h W_V,h, outputs × value inputs: what the head writes of what it reads.

    Both have rank at most d. W_Q,h, W_K,h and W_V,h are d rows, W_O,h is d columns; with fewer key and value
    heads than query heads (grouped-query attention) neighbouring query heads share theirs. See Elhage et
    al., A mathematical framework for transformer circuits (2021), section "Attention heads as information
    movement".

    Args:
        weights: tensors by name.
        heads: number of query heads, the same in each block, at least 1. The shapes do not tell it:
            without it there are no products, and the note of the query's weights asks for it.

    Raises:
        ValueError: heads is below 1, does not divide a block, or there is no block for it.
    """
    if heads is not None and heads < 1:
        raise ValueError(f"heads: {heads}, at least 1 is needed")
    tensors = {name: tensor.detach() for name, tensor in weights.items() if _reason(name, tensor) is None}
    blocks = find_attention(tensors)
    if heads is not None and not blocks:
        raise ValueError(
            f"heads: {heads} is given, but no name of {len(weights)} tensors tells of attention; leave it out"
        )
    matrices = [*_stored(tensors, blocks, "" if heads else "; give heads for W_QᵀW_K and W_OW_V of each")]
    if heads is not None:
        matrices += [
            matrix
            for block in blocks
            for index, head in enumerate(block.split(heads))
            for matrix in _products(f"{block.name}.head{index}".lstrip("."), head)
        ]
    return matrices


def left_out(weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names of the tensors that are not matrices, by the reason: one of `REASONS`.

    Vectors (biases, norms) and scalars; a side of length 0; numbers that are not floating; more than five
    sides; and, of three to five sides, what has a first side of 1 and is not named a weight: learnt tokens
    and positions, masks, biases of keys.
    """
    reasons = {name: _reason(name, tensor) for name, tensor in weights.items()}
    names = {reason: [name for name in reasons if reasons[name] == reason] for reason in REASONS}
    return {reason: names[reason] for reason in REASONS if names[reason]}


def describe_left_out(tensors: Mapping[str, Sequence[str]]) -> str:
    """Return the tensors of `left_out` as a line: "skipped: 12 vectors, 1 scalar"; empty for none.

    Vectors and scalars are counted: they are in every file. Of others the first names are listed.
    """
    parts = []
    for reason, names in tensors.items():
        part = f"{len(names)} {reason if len(names) == 1 else REASONS[reason]}"
        if reason not in (VECTOR, SCALAR):
            more = ", …" if len(names) > MAX_NAMES else ""
            part += f" ({', '.join(map(quote, names[:MAX_NAMES]))}{more})"
        parts.append(part)
    return f"skipped: {', '.join(parts)}" if parts else ""


def _reason(name: str, tensor: Tensor) -> str | None:
    """Return why a tensor is not a matrix; None if it is one."""
    vector, scalar, empty, not_floating, many_sides, not_kernel = REASONS
    if tensor.numel() == 0:
        return empty
    if not tensor.is_floating_point():
        return not_floating
    if tensor.ndim < 2:
        return vector if tensor.ndim == 1 else scalar
    if tensor.ndim > MAX_SIDES:
        return many_sides
    is_weight = "weight" in name.rpartition(".")[2]
    return not_kernel if tensor.ndim > 2 and len(tensor) == 1 and not is_weight else None


def _stored(tensors: Mapping[str, Tensor], blocks: Sequence[Attention], hint: str) -> Iterator[NamedMatrix]:
    transposed = {name for block in blocks for name in block.transposed}
    notes = {
        block.query_name: ("query, key and value of attention" if block.is_packed else "query of attention")
        + hint
        for block in blocks
    }
    for name, tensor in tensors.items():
        note = notes.get(name, "")
        if tensor.ndim > 2:
            sides = " × ".join(map(str, tensor.shape))
            yield NamedMatrix(name, "convolution", (tensor.flatten(1),), f"kernel {sides}")
        elif name in transposed:
            way = "stored inputs × outputs, transposed here"
            yield NamedMatrix(name, "linear", (tensor.T,), f"{note}; {way}" if note else way)
        else:
            yield NamedMatrix(name, "linear", (tensor,), note)


def _products(name: str, head: Head) -> Iterator[NamedMatrix]:
    rank = "rank at most {}, the head's dimension"
    yield NamedMatrix(
        f"{name}.query-key", "query-key", (head.query.T, head.key), rank.format(len(head.query))
    )
    if head.output is not None:
        yield NamedMatrix(
            f"{name}.output-value", "output-value", (head.output, head.value), rank.format(len(head.value))
        )
