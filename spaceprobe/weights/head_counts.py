"""How many heads each attention block has: as given, or as the config beside the weights says."""

from collections.abc import Sequence
from dataclasses import dataclass

from spaceprobe.weights.attention import Attention, Head
from spaceprobe.weights.config import Section
from spaceprobe.weights.layouts.layout import HintError, Hints
from spaceprobe.weights.packed_attention import Order

KEYS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "num_query_heads")
_LANGUAGE = ("text_config", "llm_config", "language_config")
_VISION = ("vision", "visual")


@dataclass(frozen=True)
class HeadCount:
    """An attention block, its heads and what a reader should know of them.

    Attributes:
        block: the block.
        heads: its heads; none where their number is not known.
        note: on the query's weights.
    """

    block: Attention
    heads: Sequence[Head]
    note: str


def head_counts(blocks: Sequence[Attention], hints: Hints) -> list[HeadCount]:
    """Return the heads of each block: `Hints.heads` wins over the config.

    Raises:
        HintError: the given heads do not fit a block.
        ValueError: the config holds something else than a number.
    """
    return [_count(block, hints) for block in blocks]


def _count(block: Attention, hints: Hints) -> HeadCount:
    kind = "query, key and value of attention" if block.is_packed else "query of attention"
    notes = [kind, block.note]
    if hints.heads is not None:
        return HeadCount(block, _split_given(block, hints.heads), _joined(notes))
    told = _told(block, hints.configs.model)
    if told is None:
        return HeadCount(block, [], _joined([*notes, "give heads for W_QᵀW_K and W_OW_V of each"]))
    heads, where = told
    try:
        split = block.split(heads)
    except ValueError as error:
        text = str(error).removeprefix("heads: ")
        if not _is_unknown(block):
            notes.append(f"heads of {where}: {text}")
        return HeadCount(block, [], _joined(notes))
    return HeadCount(block, split, _joined([*notes, f"{heads} heads by {where}"]))


def _split_given(block: Attention, heads: int) -> Sequence[Head]:
    try:
        return block.split(heads)
    except ValueError as error:
        if _is_unknown(block):
            return []  # the block's note says so
        raise HintError(str(error)) from error


def _is_unknown(block: Attention) -> bool:
    return block.packed is not None and block.packed.order is Order.UNKNOWN


def _told(block: Attention, model: Section) -> tuple[int, str] | None:
    """Return the number of heads that a config has for a block, and where it says so; None for none."""
    if any(word in block.query_name for word in _VISION):
        sections = [model.section("vision_config")]
    else:
        sections = [model, *map(model.section, _LANGUAGE)]
    for section in sections:
        number = section.count(*_keys(section, block))
        if number is not None:
            return number, section.where
    return None


def _keys(section: Section, block: Attention) -> Sequence[str]:
    """Return the keys of the number of heads: an encoder and a decoder may have their own."""
    own = [f"{part}_attention_heads" for part in ("encoder", "decoder") if f"{part}." in f"{block.name}."]
    return [key for key in (*own, *KEYS) if key in section.values]


def _joined(notes: Sequence[str]) -> str:
    return "; ".join(filter(None, notes))
