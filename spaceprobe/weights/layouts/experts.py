"""Experts of a mixture in one tensor: a matrix for each, gate and up apart where the model is known."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Piece, Pieces

_INPUTS_FIRST = frozenset(["llama4", "llama4_text"])
_OUTPUTS_FIRST = frozenset(
    ["deepseek_v3", "granitemoe", "jetmoe", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe"]
)

HALVES = _INPUTS_FIRST | _OUTPUTS_FIRST
"""Model types whose ``gate_up_proj`` or ``input_linear`` holds the gate first and then up (transformers)."""

INTERLEAVED = frozenset(["gpt_oss"])
"""Those in which gate and up alternate, and inputs come first."""

_LINEAR = ("input_linear.weight", "output_linear.weight")
_OWNERS = frozenset(["moe", "block_sparse_moe", "mlp"])
_EXPERTS = re.compile(r"(?:.*[._])?experts[._](?![0-9]).*|.*\.moe\.w[123]", re.DOTALL)
_FLAT = re.compile(r"(?:.*\.)?experts\.mlp\.(w1|v1|w2)", re.DOTALL)


_Sides = Mapping[str, tuple[int, ...]]


class _Part(NamedTuple):
    name: str
    rows: slice


_WHOLE = (_Part("", slice(None)),)


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    sides = {name: tuple(piece.tensor.shape) for name, piece in pieces.items()}  # of all before any is taken
    for name in sides:
        tensor = pieces[name].tensor
        if tensor.is_floating_point() and tensor.numel():
            if tensor.ndim == 3 and _is_stack(name):
                yield Change([name], dict(_stacked(name, pieces[name], sides, hints)))
            elif tensor.ndim == 2 and _EXPERTS.fullmatch(name) and name.endswith("bias"):
                yield Change([name], reason="biases of experts")
            elif tensor.ndim == 2 and _FLAT.fullmatch(name):
                yield Change([name], dict(_flat(name, pieces[name], hints)))


def _is_stack(name: str) -> bool:
    if name.endswith(_LINEAR):
        return not _OWNERS.isdisjoint(name.split("."))
    return _EXPERTS.fullmatch(name) is not None


def _stacked(name: str, piece: Piece, sides: _Sides, hints: Hints) -> Iterator[tuple[str, Piece]]:
    is_inputs_first = _is_inputs_first(name, sides, hints)
    parts, fused = _parts(name, piece.tensor.shape[2 if is_inputs_first else 1], is_inputs_first, hints)
    way = {
        True: "stored inputs × outputs, transposed here",
        False: "",
        None: "as it is stored: whether outputs or inputs come first is not told",
    }[is_inputs_first]
    for index, matrix in enumerate(piece.tensor):
        turned = matrix.T if is_inputs_first else matrix
        which = f"expert {index} of {len(piece.tensor)}"
        for part in parts:
            note = "; ".join(filter(None, [which, fused, way]))
            label = f"{name}.expert{index}.{part.name}".rstrip(".")
            yield label, piece.derive(turned[part.rows], note, "linear")


def _parts(
    name: str, outputs: int, is_inputs_first: bool | None, hints: Hints
) -> tuple[tuple[_Part, ...], str]:
    """Return the parts of an expert's matrix, and a note on them."""
    leaf = name.removesuffix(".weight").rpartition(".")[2]
    if leaf not in ("gate_up_proj", "input_linear"):
        return _WHOLE, ""
    model = hints.configs.model.text("model_type")
    if is_inputs_first is not None and outputs % 2 == 0:
        if model in INTERLEAVED:
            return (_Part("gate", slice(0, None, 2)), _Part("up", slice(1, None, 2))), f"as in {model}"
        if model in HALVES:
            half = outputs // 2
            return (_Part("gate", slice(half)), _Part("up", slice(half, None))), f"as in {model}"
    return _WHOLE, "gate and up in one: which outputs are which is not told by the file"


def _is_inputs_first(name: str, sides: _Sides, hints: Hints) -> bool | None:
    """Return whether each expert's matrix is inputs × outputs, by the sides of both; None if they do not say.

    Gate and up have twice the outputs that down has inputs.
    """
    stem, _, leaf = name.removesuffix(".weight").rpartition(".")
    end = ".weight" if name.endswith(".weight") else ""
    up, down = ("gate_up_proj", "down_proj") if leaf in ("gate_up_proj", "down_proj") else ("", "")
    if leaf in ("input_linear", "output_linear"):
        return False
    names = [f"{stem}.{part}{end}".lstrip(".") for part in (up, down)]
    if up and all(len(sides.get(other, ())) == 3 for other in names):
        _, a, b = sides[names[0]]
        _, c, d = sides[names[1]]
        if (a, b) == (2 * d, c):
            return False
        if (a, b) == (d, 2 * c):
            return True
    model = hints.configs.model.text("model_type") if up else ""
    return False if model in _OUTPUTS_FIRST else True if model in _INPUTS_FIRST | INTERLEAVED else None


def _flat(name: str, piece: Piece, hints: Hints) -> Iterator[tuple[str, Piece]]:
    """Yield the experts of Megablocks and DBRX, one below the other: w1 and v1 as they are, w2 turned."""
    model = hints.configs.model
    number = model.count("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    number = number or model.section("ffn_config").count("moe_num_experts")
    tensor = piece.tensor
    if number is None or len(tensor) % number:
        yield name, piece.derive(tensor, "experts one below the other: the file does not tell how many")
        return
    is_down = name.endswith(".w2")
    for index, matrix in enumerate(tensor.chunk(number)):
        note = f"expert {index} of {number}" + (
            "; stored inputs × outputs, transposed here" if is_down else ""
        )
        yield f"{name}.expert{index}", piece.derive(matrix.T if is_down else matrix, note)


LAYOUT = Layout("experts", _find)
