"""Class meaning of the latent axes of a layer: class variance along each, compared with shuffled labels.

The coordinates of a point on the latent axes are its scalar products with the right singular vectors
(Vᵀx), or I_dist Vᵀ x in a latent metric. The share of an axis is between-class over total variance, η² of
a one-way analysis of variance (Fisher, Statistical methods for research workers, 1925; F = η²/(1 - η²) ·
(N - C)/(C - 1) for N points of C classes).

η² is not 0 without any relation: over all shufflings of the labels its mean is exactly (C - 1)/(N - 1).
Hence the control: the same shares after shuffling the labels. What it does not control is the data: in
images with visible classes nearly any direction separates them to some degree (20 random directions on
the test images of MNIST: .23 on average, shuffled labels .001). So a trained layer stands beside the same
layer at initialisation.
"""

import math

import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from spaceprobe.lmd.arrays import require_finite
from spaceprobe.lmd.rounding import SUM_ROUNDING

BLOCK_ENTRIES = 2**22
"""Chosen: indicators of shuffled classes held at a time, 32 MiB; from shapes only, so last bits repeat."""


def class_variance_share(
    coordinates: Float64[Tensor, "points axes"], labels: Int64[Tensor, "points"]
) -> Float64[Tensor, "axes"]:
    """Return the between-class share η² of the variance along each axis, in [0, 1].

    It does not change when an axis is shifted or scaled, classes get other numbers, or points another
    order. 0 for a constant axis and for one class; 1 where every point is a class of its own.

    Args:
        coordinates: of each point on each axis.
        labels: the class of each point, any integers.

    Raises:
        ValueError: if there is no point, the numbers of points differ, or a coordinate is not finite.
    """
    unit, classes = _standardise(coordinates, labels)
    return _shares(unit, classes[None], torch.bincount(classes).double())[0]


def shuffled_shares(
    coordinates: Float64[Tensor, "points axes"],
    labels: Int64[Tensor, "points"],
    num_shuffles: int,
    seed: int,
) -> Float64[Tensor, "shuffles axes"]:
    """Return the shares of `class_variance_share` under seeded shufflings of the labels.

    One shuffling serves all axes. The draws belong to the order of the points.

    Args:
        coordinates: of each point on each axis.
        labels: the class of each point.
        num_shuffles: how many, ≥ 1.
        seed: of the shufflings.

    Raises:
        ValueError: as `class_variance_share`, or if num_shuffles < 1.
    """
    if num_shuffles < 1:
        raise ValueError(f"num_shuffles: {num_shuffles}, at least 1 is needed")
    unit, classes = _standardise(coordinates, labels)
    sizes = torch.bincount(classes).double()
    generator = torch.Generator().manual_seed(seed)
    num_in_block = max(1, BLOCK_ENTRIES // (len(classes) * len(sizes)))
    blocks = []
    for start in range(0, num_shuffles, num_in_block):
        count = min(num_in_block, num_shuffles - start)
        orders = torch.stack([torch.randperm(len(classes), generator=generator) for _ in range(count)])
        blocks.append(_shares(unit, classes[orders], sizes))
    return torch.cat(blocks)


def semantics_table(
    coordinates: Float64[Tensor, "points axes"],
    labels: Int64[Tensor, "points"],
    num_shuffles: int,
    seed: int,
) -> pd.DataFrame:
    """Return how much class meaning each axis carries, one row an axis.

    ``axis`` counts from 1, as v₁ does. ``share`` is η². The columns ``shuffled_…`` describe it under
    shuffled labels: mean, standard deviation (divisor R - 1), 95 % quantile (inverted CDF) and maximum.
    ``p_value`` is (1 + number of shufflings with at least this share) / (R + 1), never 0 (Phipson and
    Smyth, Permutation p-values should never be zero, 2010); of one axis, not corrected for their number.
    A constant axis, or a single class, has share 0 and p-value 1.

    Args:
        coordinates: of each point on each axis.
        labels: the class of each point.
        num_shuffles: R, ≥ 2.
        seed: of the shufflings.

    Raises:
        ValueError: as `class_variance_share`, or if num_shuffles < 2.
    """
    if num_shuffles < 2:
        raise ValueError(f"num_shuffles: {num_shuffles}, at least 2 are needed for a standard deviation")
    share = class_variance_share(coordinates, labels)
    shuffled = shuffled_shares(coordinates, labels, num_shuffles, seed)
    # A shuffling that splits the points as the labels do ties with them, whatever the order of the sums.
    num_as_large = (shuffled >= share - SUM_ROUNDING).sum(dim=0)
    q95 = shuffled.sort(dim=0).values[math.ceil(0.95 * num_shuffles) - 1]
    columns = {
        "axis": torch.arange(1, len(share) + 1),
        "share": share,
        "shuffled_mean": shuffled.mean(dim=0),
        "shuffled_sd": shuffled.std(dim=0),
        "shuffled_q95": q95,
        "shuffled_max": shuffled.max(dim=0).values,
        "p_value": (1 + num_as_large).double() / (num_shuffles + 1),
    }
    return pd.DataFrame({name: column.numpy() for name, column in columns.items()})


def _standardise(
    coordinates: Float64[Tensor, "points axes"], labels: Int64[Tensor, "some_points"]
) -> tuple[Float64[Tensor, "points axes"], Int64[Tensor, "points"]]:
    """Return axes with mean 0 and sum of squares 1 (a constant one 0), and classes from 0 without gaps."""
    if not len(coordinates) or len(coordinates) != len(labels):
        raise ValueError(
            f"coordinates and labels: of {len(coordinates)} and {len(labels)} points, "
            "the same points are needed, at least one"
        )
    require_finite("coordinates", coordinates)
    # From the first point: a constant axis becomes exactly 0, and a large offset costs no digits.
    # Halved, so that no difference overflows; the share does not see it.
    offset = coordinates / 2 - coordinates[0] / 2
    largest = offset.abs().amax(dim=0)
    is_constant = largest == 0
    unit = offset / torch.where(is_constant, 1.0, largest)
    unit = unit - unit.mean(dim=0)
    norm = torch.linalg.vector_norm(unit, dim=0)
    return unit / torch.where(is_constant, 1.0, norm), torch.unique(labels, return_inverse=True)[1]


def _shares(
    unit: Float64[Tensor, "points axes"],
    labellings: Int64[Tensor, "labellings points"],
    sizes: Float64[Tensor, "classes"],
) -> Float64[Tensor, "labellings axes"]:
    """Return Σ_c n_c · mean_c² for each labelling: all axes have mean 0 and total sum of squares 1."""
    num_labellings, num_points = labellings.shape
    is_in_class = torch.zeros(num_labellings, len(sizes), num_points, dtype=torch.float64)
    is_in_class.scatter_(1, labellings[:, None], 1.0)
    sums = (is_in_class.flatten(0, 1) @ unit).unflatten(0, (num_labellings, len(sizes)))
    shares: Tensor = (sums.square() / sizes[:, None]).sum(dim=1)
    return shares.clamp(max=1.0)  # rounding may lift a share of 1 above it
