"""Gates of torch's LSTM and GRU, which lie one below the other: a matrix for each."""

import re
from collections.abc import Iterator

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Pieces

GATES = {4: ("LSTM", ("i", "f", "g", "o")), 3: ("GRU", ("r", "z", "n"))}
"""torch's order of the gates, by the number of them (documentation of torch.nn.LSTM and GRU)."""

_NAME = re.compile(r"((?:.*\.)?)weight_([ih]h)((?:_l[0-9]+(?:_reverse)?)?)", re.DOTALL)


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    del hints
    for name in tuple(pieces):
        match = _NAME.fullmatch(name)
        if match is None or pieces[name].tensor.ndim != 2:
            continue
        owner, _, layer = match.groups()
        number = _num_gates(owner, layer, pieces)
        piece = pieces[name]
        if number not in GATES or len(piece.tensor) % number:
            if number != 1:
                note = "recurrent: its sides do not tell how many gates it holds"
                yield Change([name], {name: piece.derive(piece.tensor, note)})
            continue
        kind, gates = GATES[number]
        rows = piece.tensor.chunk(number)
        yield Change(
            [name],
            {
                f"{name}.{gate}": piece.derive(part, f"gate {gate} of {kind}")
                for gate, part in zip(gates, rows, strict=True)
            },
        )


def _num_gates(owner: str, layer: str, pieces: Pieces) -> int | None:
    """Return the gates of a layer, 1 for a plain RNN, from its weights; None if they do not say."""
    hidden = _sides(f"{owner}weight_hh{layer}", pieces)
    inputs = _sides(f"{owner}weight_ih{layer}", pieces)
    if hidden is None or inputs is None or hidden[0] != inputs[0]:
        return None
    projection = _sides(f"{owner}weight_hr{layer}", pieces)  # of an LSTM with proj_size only: outputs × state
    if projection is not None:
        is_lstm = projection[0] == hidden[1] and hidden[0] == 4 * projection[1]
        return 4 if is_lstm else None
    return hidden[0] // hidden[1] if hidden[0] in (hidden[1], 3 * hidden[1], 4 * hidden[1]) else None


def _sides(name: str, pieces: Pieces) -> tuple[int, ...] | None:
    """Return the sides of a tensor, of its gates together where it was taken apart."""
    if name in pieces:
        return tuple(pieces[name].tensor.shape)
    parts = [
        pieces[f"{name}.{gate}"].tensor
        for _, gates in GATES.values()
        for gate in gates
        if f"{name}.{gate}" in pieces
    ]
    return (sum(map(len, parts)), parts[0].shape[1]) if parts else None


LAYOUT = Layout("recurrent gates", _find)
