"""Attention blocks in a state dict: recognised by the names of their weights, split into heads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from spaceprobe.weights.config import Configs
from spaceprobe.weights.packed_attention import PACKED, Order, Packed, find_order, split_packed

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
    ("", "wq.weight", "wk.weight", "wv.weight", ("wo.weight",)),  # LLaMA as Meta publishes it
    ("", "to_q.weight", "to_k.weight", "to_v.weight", ("to_out.0.weight",)),  # diffusers
    (
        "attention",  # ViT of transformers
        "attention.attention.query.weight",
        "attention.attention.key.weight",
        "attention.attention.value.weight",
        ("attention.output.dense.weight",),
    ),
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
        packed: how the packed weights hold query, key and value, unless they are three thirds of it; query,
            key and value above then tell sizes only. None for all others.
        note: what was assumed of the order of rows; empty where it is known.
    """

    name: str
    query_name: str
    is_packed: bool
    transposed: tuple[str, ...]
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor | None
    packed: Packed | None = None
    note: str = ""

    def split(self, heads: int) -> list[Head]:
        """Return the heads in their order, as views; neighbouring query heads may share key and value.

        Raises:
            ValueError: the rows of query, key and value or the output's columns do not divide into heads.
        """
        where = f"heads: {heads} does not fit {self.query_name}"
        way_out = "give the number of query heads of the network"
        if self.packed is not None:
            queries, keys, values = split_packed(self.packed, heads, where)
            groups, width = len(keys), len(values[0])
        else:
            groups, width = self._key_heads(heads, where, way_out)
            queries = [*self.query.split(len(self.query) // heads)]
            keys, values = [*self.key.chunk(groups)], [*self.value.split(width)]
        if self.output is not None and self.output.shape[1] != heads * width:
            raise ValueError(
                f"{where}: its output {_size(self.output)} has {self.output.shape[1]} columns, {heads} heads "
                f"of dimension {width} need {heads * width}; {way_out}"
            )
        shares = heads // groups
        outputs = [None] * heads if self.output is None else self.output.split(width, dim=1)
        return [
            Head(queries[head], keys[head // shares], values[head // shares], outputs[head])
            for head in range(heads)
        ]

    def _key_heads(self, heads: int, where: str, way_out: str) -> tuple[int, int]:
        """Return the number of key heads and the dimension of a value.

        Raises:
            ValueError: the rows do not divide into heads.
        """
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
        return groups, value_rows // groups


def find_attention(tensors: Mapping[str, Tensor], configs: Configs | None = None) -> list[Attention]:
    """Return the attention blocks among tensors, in the order of their queries.

    Recognised by their names and shapes, each with its output where there is one:

    - packed: all of `PACKED`, ``in_proj_weight`` (torch.nn.MultiheadAttention), ``attn.c_attn`` (GPT-2, which
      stores inputs first) and ``query_key_value`` (GPT-NeoX, BLOOM, Falcon, ChatGLM) among them;
    - one by one: all of `SEPARATE`, such as ``q_proj`` (LLaMA, OPT and others) and ``wq`` (LLaMA as Meta
      publishes it).

    A block whose key or value is missing, or whose packed weights have another shape, is left out.

    Args:
        tensors: by name; those without exactly two sides are ignored.
        configs: the JSON files beside them, which may tell in what order packed rows are.
    """
    tables = {name: tensor for name, tensor in tensors.items() if tensor.ndim == 2}
    return [block for name in tables for block in _blocks(name, tables, configs or Configs())]


def _blocks(name: str, tables: Mapping[str, Tensor], configs: Configs) -> Iterator[Attention]:
    yield from _packed(name, tables, configs)
    yield from _separate(name, tables)


def _packed(name: str, tables: Mapping[str, Tensor], configs: Configs) -> Iterator[Attention]:
    for form in PACKED:
        prefix = _prefix(name, form.suffix)
        if prefix is None:
            continue
        weight = tables[name]
        is_transposed = weight.shape[1] == 3 * weight.shape[0] and bool(form.neighbours)
        if is_transposed:
            weight = weight.T
        is_thirds = weight.shape[0] == 3 * weight.shape[1]
        order, note = find_order(form, is_thirds, configs.model)
        if order is None:
            continue
        output = _first(prefix, form.outputs, tables)
        if output is not None and is_transposed:
            output = output.T
        others = (form.suffix, *form.outputs, *form.neighbours)
        transposed = tuple(prefix + other for other in others) if is_transposed else ()
        query, key, value = weight.chunk(3) if is_thirds else (weight, weight, weight)
        packed = None
        if not (is_thirds and order is Order.PARTS):
            packed = Packed(weight, order, output, configs.model.count("head_dim", "kv_channels"))
            if output is None and packed.dimension is None:
                sides = "heads × their dimension assumed to be the inputs"
                note = f"{note}; {sides}" if note else sides
        block = _joined(prefix, form.block)
        yield Attention(block, name, True, transposed, query, key, value, output, packed, note)


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
