"""Forward passes of all images at once, on the device of the tensors; each image takes part in many paths."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.folding.cuda.lanes import LANES
from spaceprobe.folding.cuda.layout import Points
from spaceprobe.folding.kernels.network import PADDING, Network

IMAGES_PER_BLOCK = 1 << 12
"""Chosen: some 0.1 GB of a network with 4,096 units."""


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
    layers: list[tuple[Tensor, Tensor]], images: Float64[Tensor, "images inputs"], widths: np.ndarray
) -> Points:
    """Return the pre-activations, patterns, scales and margins of images.

    The scale of a unit is that of `spaceprobe.folding.kernels.network`: ``sqrt(W² scale² + bias²)``. Order of
    summation, and so the last bits, depend on the number of images; what a walk is sure of does not.
    """
    blocks = [_pass(layers, block, widths) for block in images.split(IMAGES_PER_BLOCK)]
    return Points(*(torch.cat(columns) for columns in zip(*blocks, strict=True)))


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
