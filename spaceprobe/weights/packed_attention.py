"""Query, key and value of attention in one matrix: in which order its rows are."""

from enum import Enum
from typing import NamedTuple

from torch import Tensor

from spaceprobe.weights.config import Section


class Order(Enum):
    """In which order the rows of packed weights are."""

    PARTS = "all query rows, all key rows, all value rows"
    GROUPS = "for each key head: the rows of its query heads, of its key and of its value"
    UNKNOWN = "not told: only a single key head is the same in both orders above"


class Form(NamedTuple):
    """How packed weights are named.

    Attributes:
        block: the part of their name that names the block.
        suffix: their name.
        outputs: names of the output beside them.
        neighbours: what is stored inputs first where the block is.
    """

    block: str
    suffix: str
    outputs: tuple[str, ...]
    neighbours: tuple[str, ...] = ()


class Packed(NamedTuple):
    """Packed weights, outputs × inputs.

    Attributes:
        weight: (heads + 2 key heads) · d rows.
        order: of the rows.
        output: heads · d columns; None where there is none.
        dimension: d, where a config says it.
    """

    weight: Tensor
    order: Order
    output: Tensor | None
    dimension: int | None


PACKED = (
    Form("", "in_proj_weight", ("out_proj.weight",)),  # torch.nn.MultiheadAttention
    Form("attn", "attn.qkv.weight", ("attn.proj.weight",)),  # timm: ViT, Swin
    Form(
        "attn", "attn.c_attn.weight", ("attn.c_proj.weight",), ("mlp.c_fc.weight", "mlp.c_proj.weight")
    ),  # GPT-2, GPT-BigCode
    Form("", "query_key_value.weight", ("dense.weight",)),  # GPT-NeoX, BLOOM, Falcon, ChatGLM
    Form("", "qkv_proj.weight", ("o_proj.weight", "out_proj.weight")),  # Phi-3, CodeGen
    Form("", "Wqkv.weight", ("out_proj.weight", "Wo.weight")),  # MPT, DBRX, ModernBERT
    Form("", "wqkv.weight", ("wo.weight",)),  # InternLM2, gpt-fast
)

_FALCON = ("falcon", "RefinedWeb", "RefinedWebModel")
_BY_HEAD = ("gpt_neox", "gpt_neox_japanese", "bloom", *_FALCON)
_PARTS = {
    "qkv_proj.weight": ("phi3", "phi3small", "phi4_multimodal"),
    "Wqkv.weight": ("mpt", "dbrx", "modernbert"),
}


def find_order(form: Form, is_thirds: bool, model: Section) -> tuple[Order | None, str]:
    """Return the order of the rows of packed weights, None if they are none, and what was assumed of it.

    Args:
        form: how they are named.
        is_thirds: whether they have three times as many rows as columns.
        model: config.json.
    """
    kind = model.text("model_type")
    if form.suffix == "attn.c_attn.weight" and kind == "gpt_bigcode":
        # With a key head for each query head its rows go head by head.
        return (Order.GROUPS if model.truth("multi_query") is False else Order.PARTS), ""
    if form.suffix in ("in_proj_weight", "attn.qkv.weight", "attn.c_attn.weight"):
        return (Order.PARTS if is_thirds else None), ""
    if form.suffix == "query_key_value.weight":
        if kind in _BY_HEAD:
            return Order.GROUPS, ""
        if kind == "chatglm":
            return (Order.PARTS if model.truth("multi_query_attention") else Order.GROUPS), ""
        if is_thirds:
            return Order.GROUPS, "rows head by head assumed, as in GPT-NeoX and BLOOM"
    elif form.suffix in _PARTS and kind in _PARTS[form.suffix]:
        return Order.PARTS, ""
    elif form.suffix in _PARTS and not kind:
        return Order.PARTS, "rows of all queries, keys and values in turn assumed"
    elif kind == "internlm2":
        return Order.GROUPS, ""
    return Order.UNKNOWN, "the order of its rows is not told, so it is kept whole unless it has one key head"


def split_packed(packed: Packed, heads: int, where: str) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return the query of each head, and the keys and values that neighbouring heads share, as views.

    Args:
        packed: the weights.
        heads: of queries.
        where: how an error begins.

    Raises:
        ValueError: heads do not fit, or the order of the rows is not known.
    """
    rows, inputs = packed.weight.shape
    reached = inputs if packed.output is None else packed.output.shape[1]
    if packed.dimension is None and reached % heads:
        what = f"its query ({reached} × {inputs})"
        raise ValueError(f"{where}: {what} has {reached} rows; give the number of query heads of the network")
    dimension = packed.dimension or reached // heads
    key_heads, rest = divmod(rows - heads * dimension, 2 * dimension)
    if rest or key_heads < 1 or heads % key_heads:
        raise ValueError(
            f"{where}: {heads} heads of dimension {dimension} leave {rows - heads * dimension} of its {rows} "
            "rows for keys and values; give the number of query heads of the network"
        )
    if packed.order is Order.UNKNOWN and key_heads > 1:
        raise ValueError(f"{where}: the order of the rows of queries, keys and values is not told")
    blocks = packed.weight.split(dimension)
    if packed.order is not Order.GROUPS:
        ends = heads, heads + key_heads
        return [*blocks[: ends[0]]], [*blocks[ends[0] : ends[1]]], [*blocks[ends[1] :]]
    size = heads // key_heads + 2
    groups = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    queries = [block for group in groups for block in group[:-2]]
    return queries, [group[-2] for group in groups], [group[-1] for group in groups]
