"""Thresholds from data: quantiles of what each ReLU is given at points."""

from contextlib import suppress

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from spaceprobe.folding.activations import Activation
from spaceprobe.folding.block_walker import blocks
from spaceprobe.folding.counted import Counted
from spaceprobe.folding.guards import check_device, check_images
from spaceprobe.folding.prepared_module import LastRelu, PreparedModule, count_bits, prepare, units_met
from spaceprobe.folding.relus import unit_columns
from spaceprobe.folding.sampled import points_per_block
from spaceprobe.folding.tracked import Tracked, tracking

MAX_NUMBERS = 2**26
"""Chosen: pre-activations that are held at a time, 512 MiB; more units take several passes."""


@torch.no_grad()
def unit_quantiles(
    network: nn.Module, images: Tensor, share: float, *, device: str | torch.device = "cpu"
) -> tuple[Tensor, ...]:
    """Return a quantile of each unit's pre-activation over images, for each ReLU that a network runs.

    They are thresholds for `walk_paths`, which take each unit's bit to be on for the share of images above.
    Between two values the quantile is interpolated (numpy's ``linear``).

    >>> images = torch.tensor([[0.0], [1.0], [5.0]])
    >>> unit_quantiles(nn.ReLU(), images, 0.5)
    (tensor([1.], dtype=torch.float64),)

    Args:
        network: with ReLUs as its only activations.
        images: of shape ``(num_images, *input shape)``; at least one.
        share: in [0, 1]; 0.5 for the median.
        device: where to run the network.

    Returns:
        For each ReLU, in the order in which they run, a tensor of the shape of its units, in float64.

    Raises:
        ValueError: see `walk_paths`; for a share out of range, and without images.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: expected a number in [0, 1]")
    check_images("images", images)
    if len(images) == 0:
        raise ValueError("images is empty: a quantile needs at least one image")
    # With any threshold but 0, other activations than ReLUs are refused
    prepared = prepare(network, images, check_device(device), count_bits, Counted(threshold=1.0))
    first = prepared.ends(images[:1]).value
    shapes = [shape[1:] for shape, _ in units_met(prepared.body, first, prepared.counted)]
    columns = blocks(sum(prepared.num_units), max(1, MAX_NUMBERS // len(images)))
    quantiles = [np.quantile(pre_activations(prepared, images, units), share, axis=0) for units in columns]
    flat = torch.from_numpy(np.concatenate(quantiles)).split(prepared.num_units)
    return tuple(part.view(shape) for part, shape in zip(flat, shapes, strict=True))


def pre_activations(
    network: PreparedModule, images: Tensor, units: slice
) -> Float64[np.ndarray, "images units"]:
    """Return what some units are given at images, a column each.

    Args:
        network: the network.
        images: of shape ``(num_images, *input shape)``.
        units: which, among all that count, in order.
    """
    columns = torch.empty((len(images), units.stop - units.start), dtype=torch.float64)
    for rows in blocks(len(images), points_per_block(network, images[0].numel())):
        layers = unit_columns(network.num_units)

        def look(
            z: Tensor, _: Activation, rows: slice = rows, layers: list[slice] = layers
        ) -> None:  # bound now: there is one for each block
            layer = layers.pop(0)
            start, stop = max(layer.start, units.start), min(layer.stop, units.stop)
            if start < stop:  # copied, since the ReLU may write in place
                part = z.flatten(1)[:, start - layer.start : stop - layer.start]
                columns[rows, start - units.start : stop - units.start] = part.cpu()
            if not layers:
                raise LastRelu

        with suppress(LastRelu), tracking(look):
            network.body(network.ends(images[rows]).value.as_subclass(Tracked))
    return columns.numpy()
