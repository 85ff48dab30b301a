"""Kernels of convolutions as matrices: transposed ones the right way round, grouped ones group by group."""

import re
from collections.abc import Iterator

from torch import Tensor

from spaceprobe.weights.layouts.layout import Change, HintError, Hints, Layout, Pieces

KIND = "convolution"
MAX_SIDES = 5  # a kernel of Conv3d

_NAMED = re.compile(
    r"(?i)(?:.*[._])?(conv_?transpose|transposed?_?conv|deconv|convtr)[a-z0-9]*[._].*", re.DOTALL
)

GIVEN = "as given"
"""Who says what a file does not: the user."""


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    for name in tuple(pieces):
        tensor = pieces[name].tensor
        if not 3 <= tensor.ndim <= MAX_SIDES or not tensor.is_floating_point() or not tensor.numel():
            continue
        if len(tensor) == 1 and "weight" not in name.rpartition(".")[2]:
            continue  # learnt tokens and masks, not kernels
        sides = " × ".join(map(str, tensor.shape))
        groups, told = _groups(name, pieces, hints)
        transposed, why = _transposed(name, pieces, hints)
        if groups is not None and len(tensor) % groups:
            kind = HintError if hints.groups_of(name) is not None else ValueError
            raise kind(f"groups: {groups} does not divide {name}, whose first side is {len(tensor)}")
        parts = tensor.chunk(groups or 1)
        form = f"kernel {sides}"
        if transposed:
            form += f", stored inputs first ({why})"
        is_known = hints.knows_kernels
        is_of_config = groups is not None and told != GIVEN  # of a convolution that is not transposed
        is_told = is_known or transposed or is_of_config or _excludes_transposed(name, pieces, groups)
        note = "; ".join(filter(None, [form, _unknown(is_told, is_known or groups is not None)]))
        gives = {}
        for index, part in enumerate(parts):
            matrix = part.transpose(0, 1).flatten(1) if transposed else part.flatten(1)
            which = "" if len(parts) == 1 else f"; group {index} of {groups} ({told})"
            label = name if len(parts) == 1 else f"{name}.group{index}"
            gives[label] = pieces[name].derive(matrix, note + which, KIND)
        yield Change([name], gives)


def _unknown(is_transposition_told: bool, is_groups_told: bool) -> str:
    """Return what a file does not tell of a kernel, with the options that do."""
    if is_transposition_told:
        return "" if is_groups_told else "groups cannot be seen in a file (--groups)"
    if is_groups_told:
        return "whether it is transposed cannot be seen in a file (--transposed)"
    return "whether it is transposed, and its groups, cannot be seen in a file (--transposed, --groups)"


def _groups(name: str, pieces: Pieces, hints: Hints) -> tuple[int | None, str]:
    """Return the number of groups of a kernel, None if nobody says, and who does."""
    given = hints.groups_of(name)
    if given is not None or hints.knows_kernels:
        return given, GIVEN
    # wav2vec 2.0, HuBERT, WavLM and others: the only grouped convolution, of their positions
    key = "num_conv_pos_embedding_groups"
    if name.endswith("pos_conv_embed.conv.weight"):
        return hints.configs.model.count(key), f"{key} of config.json"
    return _transposed_groups(name, pieces), "by its bias"


def _transposed(name: str, pieces: Pieces, hints: Hints) -> tuple[bool, str]:
    """Return whether a kernel is that of a transposed convolution, and why."""
    if hints.is_transposed(name) or hints.knows_kernels:
        return hints.is_transposed(name), GIVEN
    if _transposed_groups(name, pieces) is not None:
        return True, "by its bias"
    tensor, bias = pieces[name].tensor, _bias(name, pieces)
    is_told = bias is not None and tensor.shape[0] != tensor.shape[1]
    return not is_told and _NAMED.fullmatch(name) is not None, "by its name"


def _transposed_groups(name: str, pieces: Pieces) -> int | None:
    """Return the groups of a transposed convolution whose bias says that it is one; None for all others.

    A bias has an entry for each output, which is the first side of a convolution, but the second side times
    the groups of a transposed one.
    """
    tensor, bias = pieces[name].tensor, _bias(name, pieces)
    if bias is None or len(bias) == len(tensor) or len(bias) % tensor.shape[1]:
        return None
    groups = len(bias) // tensor.shape[1]
    return None if groups == 0 or len(tensor) % groups else groups


def _excludes_transposed(name: str, pieces: Pieces, groups: int | None) -> bool:
    """Return whether a bias says that a kernel is not that of a transposed convolution.

    That has second side × groups outputs, which are as many as an ordinary one's, the first side, for one
    number of groups at most.
    """
    tensor, bias = pieces[name].tensor, _bias(name, pieces)
    if bias is None or len(bias) != len(tensor):
        return False
    needed, rest = divmod(len(tensor), tensor.shape[1])
    return rest != 0 or groups not in (None, needed)


def _bias(name: str, pieces: Pieces) -> Tensor | None:
    owner, _, leaf = name.rpartition(".")
    piece = pieces.get(f"{owner}.bias".lstrip(".")) if leaf == "weight" else None
    return piece.tensor if piece is not None and piece.tensor.ndim == 1 else None


LAYOUT = Layout("kernels", _find)
