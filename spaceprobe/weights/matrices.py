"""Matrices in a file of weights: layers as they are used, kernels unfolded, attention a product a head."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from spaceprobe.weights.attention import Head, find_attention
from spaceprobe.weights.head_counts import HeadCount, head_counts
from spaceprobe.weights.in_use import weights_in_use
from spaceprobe.weights.layouts.kernels import MAX_SIDES
from spaceprobe.weights.layouts.layout import HintError, Hints, Piece
from spaceprobe.weights.quoting import quote
from spaceprobe.weights.tied import find_tied

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
        kind: linear (any tensor of two sides, embeddings too), convolution, query-key, output-value or
            low-rank update (of LoRA).
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


@dataclass(frozen=True)
class Found:
    """What becomes of the tensors of a file: each is in a matrix or left out.

    Attributes:
        matrices: all of them, in order.
        left_out: the names of the tensors that are not matrices, by the reason.
        joined: the names of the tensors that were joined to something else, by the layout.
        has_attention: whether names tell of attention.
        tied: the names that hold what an earlier one does, each with that first name.
    """

    matrices: list[NamedMatrix]
    left_out: dict[str, list[str]]
    joined: dict[str, list[str]]
    has_attention: bool
    tied: dict[str, str]


def find_matrices(
    weights: Mapping[str, Tensor],
    hints: Hints | None = None,
    twins: Mapping[str, Sequence[str]] | None = None,
) -> Found:
    """Return every matrix of a state dict in its order, then the products of its attention heads.

    A floating tensor of two sides is the matrix W of y = W x, num_outputs × num_inputs; the weights of
    GPT-2's blocks, which its files hold the other way, are transposed. A kernel of three to five sides
    becomes num_outputs × (inputs · kernel height · kernel width), a row the window of an output. What is
    stored in another form than it is used (quantised, pruned, normed, stacked) goes through
    `spaceprobe.weights.layouts` first. What is stored under two names is shown once.

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
        hints: what is known beside them. The shapes do not tell the number of query heads: where neither
            ``heads`` nor a config does, there are no products, and a note at the query's weights asks for it.
        twins: names of tensors that are not among the given ones, by the name of that which they are tied to.

    Raises:
        HintError: the heads are below 1 or do not divide a block, or the groups do not divide a kernel.
        ValueError: a config or the sizes do not fit.
    """
    hints = hints or Hints()
    if hints.heads is not None and hints.heads < 1:
        raise HintError(f"heads: {hints.heads}, at least 1 is needed")
    in_use = weights_in_use(weights, hints)
    del weights
    reasons = {name: _reason(name, piece.tensor) for name, piece in in_use.pieces.items()}
    pieces = {name: piece for name, piece in in_use.pieces.items() if reasons[name] is None}
    whole = {name: piece.tensor for name, piece in pieces.items() if len(piece.factors) == 1}
    tables = {name: tensor for name, tensor in whole.items() if not pieces[name].kind}  # not kernels, experts
    blocks = find_attention(tables, hints.configs)
    counts = head_counts(blocks, hints)
    tied = find_tied(whole)
    matrices = [*_stored(pieces, counts, tied, twins or {})]
    matrices += [
        matrix
        for count in counts
        for index, head in enumerate(count.heads)
        for matrix in _products(f"{count.block.name}.head{index}".lstrip("."), head)
    ]
    by_reason = {reason: [name for name in reasons if reasons[name] == reason] for reason in REASONS}
    left = {reason: names for reason, names in by_reason.items() if names}
    return Found(matrices, left | in_use.left_out, in_use.joined, bool(blocks), tied)


def matrices_of(weights: Mapping[str, Tensor], heads: int | None = None) -> list[NamedMatrix]:
    """Return the matrices of `find_matrices` where nothing but the number of heads is known.

    Raises:
        ValueError: as there, or heads are given for a model without attention.
    """
    found = find_matrices(weights, Hints(heads=heads))
    if heads is not None and not found.has_attention:
        raise HintError(no_attention(heads, len(weights)))
    return found.matrices


def no_attention(heads: int, num_tensors: int) -> str:
    """Return the sentence on a number of heads that is for nothing."""
    return f"heads: {heads} is given, but no name of {num_tensors} tensors tells of attention; leave it out"


def left_out(weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names of the tensors that are not matrices, by the reason: of `REASONS`, or of a layout.

    Vectors (biases, norms) and scalars; a side of length 0; numbers that are not floating; more than five
    sides; and, of three to five sides, what has a first side of 1 and is not named a weight: learnt tokens
    and positions, masks, biases of keys.
    """
    return find_matrices(weights).left_out


def describe_left_out(
    tensors: Mapping[str, Sequence[str]], joined: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Return the tensors of `left_out` as a line: "skipped: 12 vectors, 1 scalar"; empty for none.

    Vectors and scalars are counted: they are in every file. Of others the first names are listed.

    Args:
        tensors: names by the reason.
        joined: names by the layout of what was joined to other tensors.
    """
    parts = []
    for reason, names in tensors.items():
        if reason in REASONS:
            part = f"{len(names)} {reason if len(names) == 1 else REASONS[reason]}"
            parts.append(part if reason in (VECTOR, SCALAR) else f"{part} ({_listed(names)})")
    lines = [f"skipped: {', '.join(parts)}"] if parts else []
    by_layout = {reason: names for reason, names in tensors.items() if reason not in REASONS}
    for what, groups in (("left out", by_layout), ("joined", joined or {})):
        lines += [f"{what}: {group} ({len(names)}: {_listed(names)})" for group, names in groups.items()]
    return "; ".join(lines)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names[:MAX_NAMES])) + (", …" if len(names) > MAX_NAMES else "")


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


def _stored(
    pieces: Mapping[str, Piece],
    counts: Sequence[HeadCount],
    tied: Mapping[str, str],
    elsewhere: Mapping[str, Sequence[str]],
) -> Iterator[NamedMatrix]:
    transposed = {name for count in counts for name in count.block.transposed}
    notes = {count.block.query_name: count.note for count in counts}
    twins: dict[str, list[str]] = {}
    for name, first in tied.items():
        twins.setdefault(first, []).append(name)
    for first, names in elsewhere.items():
        twins.setdefault(first, []).extend(names)
    for name, piece in pieces.items():
        if name in tied:
            continue
        way = "stored inputs × outputs, transposed here" if name in transposed else ""
        also = f"tied: stored as {_listed(twins[name])} as well" if name in twins else ""
        note = "; ".join(filter(None, [piece.note, notes.get(name, ""), way, also]))
        factors = (piece.tensor.T,) if way and len(piece.factors) == 1 else piece.factors
        yield NamedMatrix(name, piece.kind or "linear", factors, note)


def _products(name: str, head: Head) -> Iterator[NamedMatrix]:
    rank = "rank at most {}, the head's dimension"
    yield NamedMatrix(
        f"{name}.query-key", "query-key", (head.query.T, head.key), rank.format(len(head.query))
    )
    if head.output is not None:
        yield NamedMatrix(
            f"{name}.output-value", "output-value", (head.output, head.value), rank.format(len(head.value))
        )
