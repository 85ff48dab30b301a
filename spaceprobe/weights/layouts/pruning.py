"""Pruned weights of torch.nn.utils.prune: the weight before pruning and a mask of zeros and ones."""

from collections.abc import Iterator

from torch import Tensor

from spaceprobe.weights.layouts.layout import Change, Hints, Layout, Piece, Pieces


def _find(pieces: Pieces, hints: Hints) -> Iterator[Change]:
    del hints
    for name in tuple(pieces):
        base = name.removesuffix("_mask")
        if base == name or not _is_mask(pieces[name].tensor):
            continue
        mask, stored = pieces[name].tensor, pieces.get(f"{base}_orig")
        if stored is not None and stored.tensor.shape == mask.shape and base not in pieces:
            num_zeros = mask.numel() - int(mask.count_nonzero())
            note = f"{base.rpartition('.')[2]}_orig × mask: {num_zeros} of {mask.numel()} entries are pruned"
            product = stored.derive(stored.tensor * mask, note)
            yield Change([f"{base}_orig", name], {base: product})
        elif base in pieces and pieces[base].tensor.shape == mask.shape:
            yield _beside(base, name, pieces[base], mask)


def _is_mask(tensor: Tensor) -> bool:
    return tensor.ndim > 0 and bool(((tensor == 0) | (tensor == 1)).all())


def _beside(base: str, name: str, stored: Piece, mask: Tensor) -> Change:
    """Return the change where the weight itself is stored: whether a network applies the mask is not told."""
    num_pruned = int(((stored.tensor != 0) & (mask == 0)).sum())
    if num_pruned:
        note = f"a mask beside it has zeros at {num_pruned} of its entries that are not 0: not multiplied in"
        return Change([base, name], {base: stored.derive(stored.tensor, note)}, "")
    return Change([name], reason="masks whose zeros are zeros of the weight already")


LAYOUT = Layout("pruning", _find)
