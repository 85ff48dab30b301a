"""The threshold of a network's bits, as the settings ask for it."""

from typing import TYPE_CHECKING

import numpy as np

from spaceprobe.stages.fold.settings import FoldingSettings, quantile_share

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaceprobe.folding import Threshold

MAX_IMAGES = 10_000
"""Chosen: training images over which units are described; of more, as many are drawn."""


def threshold_of(settings: FoldingSettings, network: "nn.Module", images: "Tensor") -> "Threshold":
    """Return the threshold of a network: a number, or a quantile of each unit over training images.

    Quantiles are computed on the CPU, so that they are the same wherever paths are walked.

    Args:
        settings: with the threshold that is asked for.
        network: whose units they are.
        images: the training images of the run; see `draw_images`.
    """
    from spaceprobe.folding import unit_quantiles

    share = quantile_share(settings.threshold)
    if share is None:
        return float(settings.threshold)
    return unit_quantiles(network, draw_images(images), share)


def draw_images(images: "Tensor") -> "Tensor":
    """Return the training images over which units are described: all, or 10,000 of them.

    Of more, so many are drawn, without replacement, by a generator seeded with 0: the same for every network
    that is trained on as many.
    """
    if len(images) <= MAX_IMAGES:
        return images
    drawn = np.random.default_rng(0).choice(len(images), MAX_IMAGES, replace=False)
    return images[np.sort(drawn)]
