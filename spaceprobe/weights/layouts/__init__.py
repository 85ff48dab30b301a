"""How weights are stored where that is not how they are used: each layout a file here and its line below."""

from spaceprobe.weights.layouts import (
    experts,
    kernels,
    low_rank,
    packed_integers,
    parametrized,
    pruning,
    recurrent,
    scaled,
    spectral_norm,
    weight_norm,
)
from spaceprobe.weights.layouts.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    scaled.LAYOUT,
    packed_integers.LAYOUT,
    pruning.LAYOUT,
    weight_norm.LAYOUT,
    spectral_norm.LAYOUT,
    parametrized.LAYOUT,
    low_rank.LAYOUT,
    experts.LAYOUT,
    recurrent.LAYOUT,
    kernels.LAYOUT,
)
"""In the order in which they are looked for: each sees what those before it made."""
