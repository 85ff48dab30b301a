"""The weights that a network uses, from those that its file stores."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from spaceprobe.weights.files import MAX_BYTES
from spaceprobe.weights.layouts import LAYOUTS
from spaceprobe.weights.layouts.layout import Change, Hints, Piece
from spaceprobe.weights.quoting import quote


@dataclass(frozen=True)
class InUse:
    """What becomes of the tensors of a file.

    Attributes:
        pieces: what is used, by name, in the file's order.
        left_out: the names of what is stored in another form and not joined, by the reason.
        joined: the names of what was joined to something else, by the layout.
    """

    pieces: dict[str, Piece]
    left_out: dict[str, list[str]]
    joined: dict[str, list[str]]


def weights_in_use(weights: Mapping[str, Tensor], hints: Hints) -> InUse:
    """Return the weights in use: stored parts joined, stacks taken apart, by all of `LAYOUTS` in turn.

    The tensors that are joined take the place of their parts, which are freed unless the caller holds them.

    Args:
        weights: tensors by name.
        hints: what is known beside them.

    Raises:
        ValueError: the weights would take more than `MAX_BYTES`, or a hint or a config does not fit.
    """
    state = _State({name: Piece((tensor.detach(),)) for name, tensor in weights.items()})
    del weights
    for layout in LAYOUTS:
        for change in layout.find(state.pieces, hints):
            state.apply(change, layout.name)
    order = sorted(state.pieces, key=state.places.__getitem__)
    return InUse({name: state.pieces[name] for name in order}, state.left_out, state.joined)


class _State:
    """Pieces by name, and where each belongs in the file's order."""

    def __init__(self, pieces: dict[str, Piece]) -> None:
        self.pieces = pieces
        self.places: dict[str, tuple[int, ...]] = {name: (place,) for place, name in enumerate(pieces)}
        self.left_out: dict[str, list[str]] = {}
        self.joined: dict[str, list[str]] = {}
        self._grown = 0

    def apply(self, change: Change, layout: str) -> None:
        """Take and give what a change says.

        Raises:
            ValueError: the weights grow by more than the largest file.
        """
        taken = [name for name in change.takes if name in self.pieces]
        if not taken:
            return
        place = min(self.places[name] for name in taken)
        for name in taken:
            self._grown -= _num_bytes(self.pieces.pop(name))
            del self.places[name]
        if change.reason:
            self.left_out.setdefault(change.reason, []).extend(taken)
        elif len(taken) > 1 and (gone := [name for name in taken if name not in change.gives]):
            self.joined.setdefault(layout, []).extend(gone)
        for number, (name, piece) in enumerate(change.gives.items()):
            if name in self.pieces:
                raise ValueError(f"two matrices would be called {quote(name)}; rename one of the tensors")
            self.pieces[name] = piece
            self.places[name] = (*place, number)
            self._grown += _num_bytes(piece)
        if self._grown > MAX_BYTES:
            raise ValueError(
                f"its weights unfold by more than {MAX_BYTES} bytes; give a file with fewer of them, such as "
                "one shard of it"
            )


def _num_bytes(piece: Piece) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in piece.factors)
