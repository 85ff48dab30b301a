"""Augmentation: training images that are turned, moved and made noisy anew in each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from spaceprobe.data.transforms import each_rotated, each_shifted
from spaceprobe.data.value_range import ValueRange

CHUNK = 2_000
"""Chosen: images that are turned at once; where each of their pixels comes from takes 13 MB of MNIST."""


@dataclass(frozen=True)
class Augmentation:
    """How training points are changed in each epoch: turned, then moved, then made noisy, then clipped.

    Which of them are changed is drawn, too.

    Attributes:
        rotation: degrees; each image is turned by an angle that is uniform in ± this.
        shift: pixels; each image is moved by whole pixels, uniform in ± this along each side.
        noise: standard deviation of the normal noise on each value.
        seed: of the draws, which depend on it and on the epoch; each kind has draws of its own.
        input_shape: of a point.
        values: the range that points are clipped to.
        share: the chance with which a point is changed in an epoch.
    """

    rotation: float
    shift: int
    noise: float
    seed: int
    input_shape: Sequence[int]
    values: ValueRange
    share: float = 1.0

    def __call__(
        self, points: Float32[Tensor, "points features"], epoch: int
    ) -> Float32[Tensor, "points features"]:
        """Return the points as an epoch sees them; the argument is not changed.

        Args:
            points: those of the training set, in their order, on any device.
            epoch: its number, from 1.
        """
        angles, moves, noise, chance = (np.random.default_rng([self.seed, epoch, kind]) for kind in range(4))
        parts = []
        low, high = (bound.to(points) for bound in self.values)
        for part in points.split(CHUNK):
            before = part
            if self.rotation:
                degrees = angles.uniform(-self.rotation, self.rotation, len(part)).astype(np.float32)
                part = each_rotated(part, torch.from_numpy(degrees).to(part.device), self.input_shape)
            if self.shift:
                right, down = moves.integers(-self.shift, self.shift + 1, (len(part), 2)).T.tolist()
                part = each_shifted(part, right, down, self.input_shape)
            if self.noise:
                drawn = noise.standard_normal(tuple(part.shape), np.float32)
                part = part + self.noise * torch.from_numpy(drawn).to(part.device)
            part = part.clamp(low, high)
            if self.share < 1:
                is_changed = torch.from_numpy(chance.uniform(size=len(part)) < self.share).to(part.device)
                part = torch.where(is_changed[:, None], part, before)
            parts.append(part)
        return torch.cat(parts)
