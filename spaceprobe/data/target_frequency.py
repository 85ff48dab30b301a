"""Targets of a chosen frequency: sines of those of a regression, by which expressivity is measured."""

import torch
from jaxtyping import Float32
from torch import Tensor

from spaceprobe.data.dataset import Dataset, Split


def with_target_frequency(dataset: Dataset, frequency: float) -> Dataset:
    """Return a regression with sin(k · y) in place of each target y, standardised.

    Each target is centred and divided by its standard deviation over the training points, and the test points
    follow. So a mean squared error of 1 is, but for the draw, that of an answer that does not look at the
    point. The inputs are those of the dataset, which is not changed. Defined here.

    Args:
        dataset: a regression, whose targets are coordinates.
        frequency: k, in radians per unit of a coordinate, above 0.

    Raises:
        ValueError: the frequency is not above 0; the dataset is a classification; or a sine is the same at
            all training points, so that it has no scale.
    """
    if not frequency > 0:
        raise ValueError(f"frequency is {frequency}: expected a number above 0")
    if dataset.is_classification:
        raise ValueError("frequency is for the targets of a regression: this dataset is a classification")
    train, test = (_sines(split, frequency) for split in (dataset.train, dataset.test))
    centre, scale = train.mean(0), train.std(0, correction=0)
    if not bool((scale > 0).all()):
        raise ValueError(
            f"frequency is {frequency}: a target is the same at all {len(train)} training points; "
            "expected targets that vary"
        )
    return Dataset(
        train=Split(dataset.train.inputs, ((train - centre) / scale).float()),
        test=Split(dataset.test.inputs, ((test - centre) / scale).float()),
        num_classes=None,
    )


def _sines(split: Split, frequency: float) -> Tensor:
    """Return the sines of the targets in float64, in which they are standardised."""
    targets: Float32[Tensor, "points outputs"] = split.targets
    return torch.sin(frequency * targets.double())
