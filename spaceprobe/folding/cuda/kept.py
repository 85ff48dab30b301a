"""A network and the forward passes of its images on a device, kept from call to call."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.folding.cuda.lanes import LANES
from spaceprobe.folding.cuda.layout import Points
from spaceprobe.folding.layers import Layer

if TYPE_CHECKING:
    from spaceprobe.folding.kernels.network import Network  # compiled, as what imports it is

MOST_BYTES = 1 << 30
"""Of forward passes that are kept beside those in use. Chosen: a quarter of a small device's memory; enough
for 150,000 images through a 10x60."""


class OnDevice(NamedTuple):
    """A network on a device.

    Attributes:
        hidden: its hidden layers.
        packed: the same in groups of 32 units.
        arrays: of the packed network, as the kernels take them.
        layers: weight and bias of each layer, for forward passes.
    """

    hidden: Sequence[Layer]
    packed: "Network"
    arrays: list[Tensor]
    layers: list[tuple[Tensor, Tensor]]


class KeptPasses:
    """Forward passes of the images of one network, for a caller that folds many groups of them.

    Each group of images is seen once, as long as `MOST_BYTES` are enough for all groups; those used longest
    ago go first. A group is known by where it is in memory, so the caller must not change its images
    meanwhile. Another network empties it.

    Attributes:
        num_passes: groups of images seen so far.
    """

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.num_passes = 0
        self._network: OnDevice | None = None
        self._seen: dict[tuple[int, tuple[int, ...]], tuple[np.ndarray, Points]] = {}

    def network(self, hidden: Sequence[Layer], place: torch.device) -> OnDevice:
        """Return a network where it is to be walked through; packed and moved there once."""
        from spaceprobe.folding.cuda.images import unpacked
        from spaceprobe.folding.kernels.network import pack

        known = self._network
        if known is not None and known.arrays[0].device == place and _are_same(known.hidden, hidden):
            return known
        self._seen.clear()
        packed = pack(hidden, LANES, np.float64)
        # of the numbers 32 bits, whose products are one instruction
        arrays = [packed.weights, *(x.astype(np.int32) for x in (*packed[2:5], *packed[6:8]))]
        self._network = OnDevice(
            [(weight.copy(), bias.copy()) for weight, bias in hidden],
            packed,
            [torch.from_numpy(np.ascontiguousarray(array)).to(place) for array in arrays],
            unpacked(packed, place),
        )
        return self._network

    def points(
        self, network: OnDevice, groups: list[Float64[np.ndarray, "images inputs"]], room: int
    ) -> list[Points]:
        """Return the forward passes of groups of images.

        Args:
            network: as `network` returned it.
            groups: of images.
            room: bytes that passes of other groups may take up, no more than `MOST_BYTES` of which they do.
        """
        from spaceprobe.folding.cuda import images as of_images

        keys = [(images.__array_interface__["data"][0], images.shape) for images in groups]
        used = {key: self._seen.pop(key) for key in keys if key in self._seen}
        others = sum(_num_bytes(points) for _, points in self._seen.values())
        for key in [*self._seen]:  # the one used longest ago first
            if others > min(room, MOST_BYTES):
                others -= _num_bytes(self._seen.pop(key)[1])
        for key, images in zip(keys, groups, strict=True):
            if key not in used:
                tensor = torch.from_numpy(np.ascontiguousarray(images))
                used[key] = images, of_images.forward_passes(network.layers, tensor, network.packed)
                self.num_passes += 1
        self._seen |= used
        return [used[key][1] for key in keys]


def _are_same(first: Sequence[Layer], second: Sequence[Layer]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(one, other)
        for layers in zip(first, second, strict=True)
        for one, other in zip(*layers, strict=True)
    )


def _num_bytes(points: Points) -> int:
    return sum(column.numel() * column.element_size() for column in points)
