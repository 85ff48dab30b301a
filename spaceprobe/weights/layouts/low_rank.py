"""LoRA (Hu et al. 2021): the update B A of a weight, by its scale, and merged where the weight is there."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Piece, Pieces

KIND = "low-rank update"
_NAME = re.compile(r"((?:.*\.)?)lora_(?:A|(embedding_A)|(down))((?:\.[^.]+)?)", re.DOTALL)


class _Pair(NamedTuple):
    """The two parts of an update.

    Attributes:
        module: the name of the module that it belongs to, with a dot at its end, or empty.
        adapter: the name of the adapter; empty where there is one only.
        a: the name of A, rank × inputs.
        b: the name of B, outputs × rank.
    """

    module: str
    adapter: str
    a: str
    b: str


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    pairs = [pair for name in tuple(pieces) for pair in [_pair(name, pieces)] if pair]
    owners = [pair.module for pair in pairs]
    for pair in pairs:
        a, b = pieces[pair.a].tensor.flatten(1), pieces[pair.b].tensor.flatten(1)
        if "lora_embedding_A" in pair.a:  # peft multiplies (B A)ᵀ: tokens × width
            a, b = b.T, a.T
        scale, how = _scale(pair, len(pieces[pair.a].tensor), pieces, hints)
        name = f"{pair.module}lora.{pair.adapter}".rstrip(".")
        note = f"B A, rank at most {a.shape[0]}{how}"
        product = Piece((b if scale is None else b.double() * scale, a), KIND, note)
        gives = {pair.a: pieces[pair.a], pair.b: pieces[pair.b], name: product}
        base = f"{pair.module}base_layer.weight"
        takes = [pair.a, pair.b]
        alpha = f"{pair.module}alpha"
        if "lora_down" in pair.a and alpha in pieces:
            takes.append(alpha)
        yield Change(takes, gives)
        if base in pieces and "low-rank update" not in pieces[base].note:
            why = _unmergeable(pair, owners.count(pair.module), scale, pieces)
            if hints.configs.adapter.truth("fan_in_fan_out"):
                why = "it is stored inputs first"
            yield _merged(pair.module, base, pieces[base], (b, a), scale, why)


def _pair(name: str, pieces: Pieces) -> _Pair | None:
    stem = name.removesuffix(".weight")
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    module, embedding, down, adapter = match.groups()
    mine, other = ("lora_down", "lora_up") if down else ("lora_A", "lora_B")
    if embedding:
        mine, other = "lora_embedding_A", "lora_embedding_B"
    partner = f"{module}{other}{adapter}" + name.removeprefix(f"{module}{mine}{adapter}")
    if partner not in pieces:
        return None
    a, b = pieces[name].tensor, pieces[partner].tensor
    if min(a.ndim, b.ndim) < 2 or a.shape[0] != b.shape[1] or math.prod(b.shape[2:]) != 1:
        return None
    if not (a.is_floating_point() and b.is_floating_point()):
        return None
    return _Pair(module, adapter.removeprefix("."), name, partner)


def _scale(pair: _Pair, rank: int, pieces: Pieces, hints: Hints) -> tuple[float | None, str]:
    """Return what B A is multiplied by, None if nobody says, and a note on it."""
    alpha_name = f"{pair.module}alpha"
    config = hints.configs.adapter
    if "lora_down" in pair.a and alpha_name in pieces and pieces[alpha_name].tensor.numel() == 1:
        alpha: float | None = float(pieces[alpha_name].tensor)
    else:
        alpha = config.number("lora_alpha")
        patterns = config.section("alpha_pattern")
        if any(re.fullmatch(r"[A-Za-z0-9_.]+", key) is None for key in patterns.values):
            alpha = None  # regular expressions, which may run for ever
        module = pair.module.rstrip(".")
        for key in patterns.values:
            if module == key or module.endswith(f".{key}"):
                alpha = patterns.number(key)
    if alpha is None:
        return None, "; unscaled: no file tells alpha"
    by_root = bool(config.truth("use_rslora"))
    scale = alpha / (math.sqrt(rank) if by_root else rank)
    return scale, f"; times {scale:.6g}, {'alpha / √rank' if by_root else 'alpha / rank'}"


def _unmergeable(pair: _Pair, num_adapters: int, scale: float | None, pieces: Pieces) -> str:
    """Return why an update cannot be added to its weight; empty if it can."""
    if num_adapters > 1:
        return "which of several updates is in use is not told"
    magnitudes = f"{pair.module}lora_magnitude_vector"
    if any(magnitudes + end in pieces for end in (f".{pair.adapter}.weight", f".{pair.adapter}", "")):
        return "its update has magnitudes as well (DoRA)"
    return "the scale of its update is not told" if scale is None else ""


def _merged(
    module: str, base: str, stored: Piece, factors: tuple[Tensor, Tensor], scale: float | None, why: str
) -> Change:
    """Return the change that adds an update to its weight, or says why it is not added."""
    b, a = factors
    size = (stored.tensor.shape[0], math.prod(stored.tensor.shape[1:]))
    if not why and (size != (b.shape[0], a.shape[1]) or not stored.tensor.is_floating_point()):
        why = "its update has other sides"
    if why or scale is None:
        return Change([base], {base: stored.derive(stored.tensor, f"without its low-rank update: {why}")})
    update = (b.double() @ a.double() * scale).reshape(stored.tensor.shape)
    weight = (stored.tensor.double() + update).to(stored.tensor.dtype)
    note = f"with its low-rank update times {scale:.6g}"
    return Change([base], {f"{module}weight": stored.derive(weight, note)})


LAYOUT = Layout("low-rank updates", _find)
