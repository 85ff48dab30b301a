"""Attention blocks in a state dict: recognised by the names of their weights, split into heads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

PACKED = (
    # block, query + key + value in one, output, neighbours that are stored inputs first where the block is
    ("", "in_proj_weight", ("out_proj.weight",), ()),  # torch.nn.MultiheadAttention
    ("attn", "attn.qkv.weight", ("attn.proj.weight",), ()),  # timm: ViT, Swin
    (
        "attn",
        "attn.c_attn.weight",
        ("attn.c_proj.weight",),
        ("mlp.c_fc.weight", "mlp.c_proj.weight"),
    ),  # GPT-2
)
"""All query rows, all key rows, all value rows."""

PACKED_BY_HEAD = ("", "query_key_value.weight", ("dense.weight",))  # GPT-NeoX, BLOOM
"""Query, key and value rows of the first head, then of the second; block and output as above."""

SEPARATE = (
    # block, query, key, value, output
    ("", "q_proj_weight", "k_proj_weight", "v_proj_weight", ("out_proj.weight",)),  # MultiheadAttention, kdim
    (
        "",
        "q_proj.weight",
        "k_proj.weight",
        "v_proj.weight",
        ("o_proj.weight", "out_proj.weight"),
    ),  # LLaMA, OPT
    ("", "q_lin.weight", "k_lin.weight", "v_lin.weight", ("out_lin.weight",)),  # DistilBERT
    ("", "q.weight", "k.weight", "v.weight", ("o.weight",)),  # T5
    (
        "attention",  # BERT
        "attention.self.query.weight",
        "attention.self.key.weight",
        "attention.self.value.weight",
        ("attention.output.dense.weight",),
    ),
)


@dataclass(frozen=True)
class Head:
    """The weights of one head of attention, d its dimension.

    Attributes:
        query: d × query inputs.
        key: d × key inputs.
        value: value dimension × value inputs.
        output: outputs × value dimension; None where the file holds no output projection.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor | None


@dataclass(frozen=True)
class Attention:
    """The weights of an attention block, outputs × inputs whichever way the file holds them.

    Attributes:
        name: the part before the weights' own names; empty where there is none.
        query_name: the tensor that holds the query's weights; that of key and value too if packed.
        is_packed: whether one tensor holds query, key and value.
        transposed: tensors that the file holds inputs first.
        query: heads · d rows.
        key: key heads · d rows.
        value: key heads · value dimension rows.
        output: heads · value dimension columns; None where the file holds none.
        by_head: the packed weights whose rows are query, key and value of one head after the other; query,
            key and value above are then thirds of it that tell sizes only. None for all others.
    """

    name: str
    query_name: str
    is_packed: bool
    transposed: tuple[str, ...]
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor | None
    by_head: Tensor | None = None

    def split(self, heads: int) -> list[Head]:
        """Return the heads in their order, as views; neighbouring query heads may share key and value.

        Raises:
            ValueError: the rows of query, key and value or the output's columns do not divide into heads.
        """
        where = f"heads: {heads} does not fit {self.query_name}"
        way_out = "give the number of query heads of the network"
        rows, key_rows, value_rows = len(self.query), len(self.key), len(self.value)
        if rows % heads:
            raise ValueError(f"{where}: its query {_size(self.query)} has {rows} rows; {way_out}")
        dimension = rows // heads
        groups = key_rows // dimension
        if key_rows % dimension or groups == 0 or heads % groups or value_rows % groups:
            raise ValueError(
                f"{where}: {heads} heads of dimension {dimension} cannot share key {_size(self.key)} and "
                f"value {_size(self.value)}; {way_out}"
            )
        width = value_rows // groups
        if self.output is not None and self.output.shape[1] != heads * width:
            raise ValueError(
                f"{where}: its output {_size(self.output)} has {self.output.shape[1]} columns, {heads} heads "
                f"of dimension {width} need {heads * width}; {way_out}"
            )
        shares = heads // groups
        if self.by_head is None:
            queries, keys = self.query.split(dimension), self.key.split(dimension)
            values = self.value.split(width)
        else:
            parts = self.by_head.split(dimension)
            queries, keys, values = parts[::3], parts[1::3], parts[2::3]
        outputs = [None] * heads if self.output is None else self.output.split(width, dim=1)
        return [
            Head(queries[head], keys[head // shares], values[head // shares], outputs[head])
            for head in range(heads)
        ]


def find_attention(tensors: Mapping[str, Tensor]) -> list[Attention]:
    """Return the attention blocks among tensors, in the order of their queries.

    Recognised by their names and shapes, each with its output where there is one:

    - packed, 3E × E: ``in_proj_weight`` (torch.nn.MultiheadAttention), ``attn.qkv`` (timm) and
      ``attn.c_attn`` (GPT-2, which stores inputs first, E × 3E);
    - packed head by head, 3E × E: ``query_key_value`` (GPT-NeoX, BLOOM);
    - one by one: ``q_proj_weight`` (torch.nn.MultiheadAttention with kdim), ``q_proj`` (LLaMA, OPT and
      others), ``q_lin`` (DistilBERT), ``q`` (T5), ``attention.self.query`` (BERT).

    A block whose key or value is missing, or whose packed weights have another shape, is left out.

    Args:
        tensors: by name; those without exactly two sides are ignored.
    """
    tables = {name: tensor for name, tensor in tensors.items() if tensor.ndim == 2}
    return [block for name in tables for block in _blocks(name, tables)]


def _blocks(name: str, tables: Mapping[str, Tensor]) -> Iterator[Attention]:
    yield from _packed(name, tables)
    yield from _packed_by_head(name, tables)
    yield from _separate(name, tables)


def _packed(name: str, tables: Mapping[str, Tensor]) -> Iterator[Attention]:
    for block, suffix, outputs, neighbours in PACKED:
        prefix = _prefix(name, suffix)
        if prefix is None:
            continue
        weight = tables[name]
        is_transposed = weight.shape[1] == 3 * weight.shape[0] and bool(neighbours)
        if is_transposed:
            weight = weight.T
        if weight.shape[0] != 3 * weight.shape[1]:
            continue
        query, key, value = weight.chunk(3)
        output = _first(prefix, outputs, tables)
        if output is not None and is_transposed:
            output = output.T
        transposed = (
            tuple(prefix + other for other in (suffix, *outputs, *neighbours)) if is_transposed else ()
        )
        yield Attention(_joined(prefix, block), name, True, transposed, query, key, value, output)


def _packed_by_head(name: str, tables: Mapping[str, Tensor]) -> Iterator[Attention]:
    block, suffix, outputs = PACKED_BY_HEAD
    prefix = _prefix(name, suffix)
    if prefix is not None and tables[name].shape[0] == 3 * tables[name].shape[1]:
        query, key, value = tables[name].chunk(3)
        output = _first(prefix, outputs, tables)
        yield Attention(
            _joined(prefix, block), name, True, (), query, key, value, output, by_head=tables[name]
        )


def _separate(name: str, tables: Mapping[str, Tensor]) -> Iterator[Attention]:
    for block, suffix, key, value, outputs in SEPARATE:
        prefix = _prefix(name, suffix)
        if prefix is not None and prefix + key in tables and prefix + value in tables:
            yield Attention(
                _joined(prefix, block),
                name,
                False,
                (),
                tables[name],
                tables[prefix + key],
                tables[prefix + value],
                _first(prefix, outputs, tables),
            )


def _prefix(name: str, suffix: str) -> str | None:
    """Return what stands before a suffix, if that is nothing or ends with a dot."""
    prefix = name.removesuffix(suffix)
    return prefix if name.endswith(suffix) and prefix[-1:] in ("", ".") else None


def _joined(prefix: str, block: str) -> str:
    return (prefix + block).rstrip(".")


def _first(prefix: str, suffixes: tuple[str, ...], tables: Mapping[str, Tensor]) -> Tensor | None:
    return next((tables[prefix + suffix] for suffix in suffixes if prefix + suffix in tables), None)


def _size(tensor: Tensor) -> str:
    return f"({tensor.shape[0]} × {tensor.shape[1]})"
