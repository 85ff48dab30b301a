"""Forward passes of all images at once, on the device of the tensors; each image takes part in many paths."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.folding.cuda.lanes import LANES
from spaceprobe.folding.cuda.layout import Points
from spaceprobe.folding.kernels.network import PADDING, Network

BLOCK_BYTES = 1 << 28
"""Of the images that are seen at a time, with what is computed of them. Chosen: 1/16 of a small device's."""


def images_per_block(network: Network) -> int:
    """Return how many images are seen at a time."""
    widest = int(network.groups.max()) * LANES
    # an image and its scale; of a layer z, scale, their squares, bits and the sums of bits
    return max(1, BLOCK_BYTES // (8 * (3 * int(network.fan_in[0]) + 8 * widest)))


def resident_bytes(network: Network, num_images: int) -> int:
    """Return what a network and the forward passes of images take on a device."""
    num_units, num_groups = int(network.unit_start[-1]), int(network.group_start[-1])
    of_image = num_units + num_groups + 2 * len(network.widths)
    return 8 * (2 * network.weights.size + num_images * of_image)


def unpacked(network: Network, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return weight (padded units, inputs) and bias of each layer, with the units that `pack` padded."""
    layers = []
    for layer in range(len(network.widths)):
        start, stop = network.weight_start[layer : layer + 2]
        by_group = network.weights[start:stop].reshape(-1, network.fan_in[layer], LANES)
        weight = np.ascontiguousarray(by_group.transpose(0, 2, 1)).reshape(-1, network.fan_in[layer])
        bias = network.biases[network.unit_start[layer] : network.unit_start[layer + 1]]
        layers.append((torch.from_numpy(weight).to(device), torch.from_numpy(bias.copy()).to(device)))
    return layers


def forward_passes(
    layers: list[tuple[Tensor, Tensor]], images: Float64[Tensor, "images inputs"], network: Network
) -> Points:
    """Return the pre-activations, patterns, scales and margins of images, where the layers are.

    The scale of a unit is that of `spaceprobe.folding.kernels.network`: ``sqrt(W² scale² + bias²)``. Order of
    summation, and so the last bits, depend on the number of images; what a walk is sure of does not.
    """
    device, depth = layers[0][0].device, len(layers)
    sizes = (int(network.unit_start[-1]), int(network.group_start[-1]), depth, depth)
    kinds = (torch.float64, torch.int64, torch.float64, torch.float64)
    seen = Points(
        *(
            torch.empty(len(images), size, dtype=kind, device=device)
            for size, kind in zip(sizes, kinds, strict=True)
        )
    )
    size = images_per_block(network)
    for first in range(0, len(images), size):
        block = slice(first, first + size)
        for column, part in zip(seen, _pass(layers, images[block].to(device), network.widths), strict=True):
            column[block] = part
    return seen


def _pass(layers: list[tuple[Tensor, Tensor]], images: Tensor, widths: np.ndarray) -> Points:
    x, scale = images, images.abs()
    bits = 1 << torch.arange(LANES, device=images.device)
    columns: list[tuple[Tensor, ...]] = []
    for (weight, bias), width in zip(layers, widths, strict=True):
        z = torch.addmm(bias, x, weight.T)
        scale = (scale.square() @ weight.square().T + bias.square()).sqrt() * (bias != PADDING)
        states = ((z > 0).unflatten(1, (-1, LANES)) * bits).sum(-1)
        columns.append((z, states, scale.amax(1, keepdim=True), z.abs().amin(1, keepdim=True)))
        x, scale = z[:, :width].relu(), scale[:, :width]
    return Points(*(torch.cat(parts, 1) for parts in zip(*columns, strict=True)))
