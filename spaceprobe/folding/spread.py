"""How far the values of each unit spread over images: what standardised distances divide by."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from spaceprobe.folding.guards import check_images
from spaceprobe.folding.layer_values import layer_widths, see_layers
from spaceprobe.folding.prepared_module import count_bits, prepare
from spaceprobe.folding.sampled import points_per_block
from spaceprobe.machine.torch_threads import one_thread

CONSTANT = 1e-12
"""Chosen: a unit whose standard deviation is at most this share of its largest absolute value is constant.
Rounding of float64 makes some 1e-16 of it."""


@dataclass(frozen=True)
class UnitSpread:
    """The standard deviation of each unit over images, layer by layer.

    Attributes:
        z: of the pre-activations of each layer; 0 for a unit that is constant.
        h: of the activations.
    """

    z: tuple[Float64[Tensor, " units"], ...]
    h: tuple[Float64[Tensor, " units"], ...]


@torch.no_grad()
def unit_spread(network: nn.Module, images: Tensor) -> UnitSpread:
    """Return the standard deviation of each unit's pre-activation and activation over images.

    That of a population: the mean of squares is over the number of images. Computed on the CPU in two passes,
    the mean first.

    >>> unit_spread(nn.ReLU(), torch.tensor([[-1.0], [3.0]]))
    UnitSpread(z=(tensor([2.], dtype=torch.float64),), h=(tensor([1.5000], dtype=torch.float64),))

    Args:
        network: any module with activations.
        images: of shape ``(num_images, *input shape)``; at least one.

    Raises:
        ValueError: see `walk_paths`; without images; see `see_layers` as well.
    """
    check_images("images", images)
    if len(images) == 0:
        raise ValueError("images is empty: a standard deviation needs at least one image")
    prepared = prepare(network, images, torch.device("cpu"), count_bits)
    first = prepared.ends(images[:1]).value
    widths = layer_widths(prepared, first)
    means, squares, largest = (
        [torch.zeros(2, width, dtype=torch.float64) for width in widths] for _ in range(3)
    )

    def add_values(layer: int, z: Tensor, h: Tensor) -> None:
        for row, values in enumerate((z, h)):
            means[layer][row] += values.sum(0) / len(images)
            largest[layer][row] = torch.maximum(largest[layer][row], values.abs().amax(0))

    def add_squares(layer: int, z: Tensor, h: Tensor) -> None:
        for row, values in enumerate((z, h)):
            squares[layer][row] += ((values - means[layer][row]) ** 2).sum(0) / len(images)

    with one_thread():
        for look in (add_values, add_squares):
            for batch in images.split(points_per_block(prepared, images[0].numel())):
                see_layers(prepared, prepared.ends(batch).value, len(widths), look, is_continuous=False)
    spreads = [square.sqrt() for square in squares]
    for spread, most in zip(spreads, largest, strict=True):
        spread[spread <= CONSTANT * most] = 0
    return UnitSpread(tuple(spread[0] for spread in spreads), tuple(spread[1] for spread in spreads))
