"""How much of the scale of a value the layer behind it inherits.

A scale says what a value was computed from; tolerance · scale tells zero from rounding (docs/definitions.md,
"Settling"). Carried through all layers as |W|·scale + |bias| it outgrows the values: by 10^5 in thirty layers
of ReLUs, by 10^12 in some networks of others. What a layer rounds is in proportion to the values that it is
given on the path, so it is given the scale ::

    s = max |x| + min(INHERITED · s_before, MOST · max |x|)

where s_before is what x was computed from. The tolerance is some thousand times what one layer rounds: a
value that is small because terms cancelled keeps more than its rounding for six layers, and s stays in
proportion to the values.
"""

import torch
from torch import Tensor

INHERITED = 1 / 4
"""Chosen: 4^-6 of the default tolerance is still one ε, and scales do not grow where each layer of ReLUs
makes them larger by √2 and a sum of two branches by as much again."""

MOST = 1e8
"""Chosen: of a value of which less is left the tolerance says nothing; it would be 10^-4 of the value."""

ROUNDINGS = 32
"""Chosen: by how many ε of its scale a value may differ from the exact one. A sum of 4,608 terms has less
than one, and the errors of a thousand layers that do not know of each other add up to as many."""


def rounding_share(tolerance: float, epsilon: float) -> float:
    """Return which share of tolerance · scale rounding may be; ε is that of the precision."""
    return min(1.0, ROUNDINGS * epsilon / tolerance)


def inherited_scale(largest: Tensor, before: Tensor, tolerance: float) -> Tensor:
    """Return the scale that a layer is given.

    Args:
        largest: of each value, the largest |x| on the path.
        before: the scale of what x was computed from; of the same shape.
        tolerance: a unit is at its kink where |z - kink| ≤ tolerance · scale.
    """
    share = max(INHERITED, rounding_share(tolerance, torch.finfo(largest.dtype).eps))
    return largest + torch.minimum(before * share, largest * MOST)
