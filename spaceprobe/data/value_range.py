"""The range of a dataset's values: what a point has to lie in to look like one of it."""

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.data.dataset import Dataset


class ValueRange(NamedTuple):
    """A range for each feature.

    Attributes:
        low: the least value.
        high: the largest value.
    """

    low: Float64[Tensor, "features"]
    high: Float64[Tensor, "features"]

    def clip(self, points: Float64[Tensor, "points features"]) -> Float64[Tensor, "points features"]:
        """Return the points of the range that are nearest to some points."""
        return points.clamp(self.low, self.high)


@lru_cache(maxsize=2)  # as many as there are datasets in memory
def value_range(dataset: Dataset) -> ValueRange:
    """Return the range of a dataset's values.

    It is [0, 1] for each feature where all training and test points lie in that, as those of images do;
    otherwise each feature goes from its least to its largest value over training and test points.
    """
    inputs = [split.inputs for split in (dataset.train, dataset.test) if len(split.inputs)]
    low = torch.stack([points.amin(0) for points in inputs]).amin(0).double()
    high = torch.stack([points.amax(0) for points in inputs]).amax(0).double()
    if (low >= 0).all() and (high <= 1).all():
        return ValueRange(torch.zeros_like(low), torch.ones_like(high))
    return ValueRange(low, high)
