"""What an epoch changed in a layer: what `spaceprobe.lmd.verdicts` judges convergence by.

Two matrices, losses or gradient norms in, a number out; None where there is no such number. The fourth
quantity, how far the leading subspace turned, is `spaceprobe.lmd.subspaces.largest_angle_sine`.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.arrays import frobenius_norm, require_finite
from spaceprobe.lmd.rounding import FLOAT32_EPSILON
from spaceprobe.lmd.verdicts import THRESHOLD, require_not_negative

CROSS_ENTROPY_FLOOR = FLOAT32_EPSILON / THRESHOLD
"""Chosen: the mean cross-entropy (2.4e-6 nats) of which float32 rounding is as much as the threshold.

A point's loss is the logarithm of a sum from 1 on, so it comes in steps of ε = 1.2e-7 and what is below half
a step counts as 0: a mean of 1.2e-8 was read as 5e-9, and a change of 0.7 % as one of 6.6 %. The mean is
wrong by some 0.2 ε, mostly too low; ε leaves room for points that all round the same way."""

MIN_RATE_SHARE = FLOAT32_EPSILON / THRESHOLD
"""Below this lr / lr_max (2.4e-6) a drift at the threshold is less than the rounding of a float32 weight."""


def gradient_ratio(norm: float, initial_norm: float) -> float | None:
    """Return the full-batch gradient norm over its value at initialisation, ≥ 0.

    None where the initial gradient is 0: a network that starts at a stationary point, such as one whose
    units are all dead, has no scale to measure its gradient by.

    Raises:
        ValueError: if a norm is negative, NaN or infinite.
    """
    require_not_negative("norm", norm)
    require_not_negative("initial_norm", initial_norm)
    return norm / initial_norm if initial_norm > 0 else None


def relative_drift(before: Any, after: Any) -> float | None:
    """Return ‖after - before‖_F / ‖before‖_F, ≥ 0: the step against where it started.

    0 for two zero matrices, since nothing moved; None for a step away from a zero matrix.

    Args:
        before: a weight matrix, a tensor or an array of shape (outputs, inputs).
        after: the same one an epoch later.

    Raises:
        ValueError: if the shapes differ or an entry is NaN or infinite.
    """
    start, end = _as_pair(before, after)
    if torch.equal(start, end):
        return 0.0
    # Of one scale, so that neither a difference nor a norm overflows.
    scale = torch.maximum(start.abs(), end.abs()).max()
    norm = frobenius_norm(start / scale)
    return frobenius_norm(end / scale - start / scale) / norm if norm > 0 else None


def normalised_drift(before: Any, after: Any, learning_rate: float, max_learning_rate: float) -> float | None:
    """Return the relative drift of an epoch divided by lr / lr_max: what a full learning rate would do.

    None where the drift is, and where the learning rate is 0 or less than `MIN_RATE_SHARE` of the
    largest: nothing moved, or less than float32 shows, which tells nothing about convergence. A schedule
    that ends there never ends converged.

    Args:
        before: a weight matrix before the epoch.
        after: the same one after it.
        learning_rate: the mean over the steps of this epoch (not the next one's).
        max_learning_rate: the largest of any step of the training.

    Raises:
        ValueError: as `relative_drift`; or if not 0 ≤ learning_rate ≤ max_learning_rate < ∞.
    """
    drift = relative_drift(before, after)
    if not 0 <= learning_rate <= max_learning_rate < math.inf:
        raise ValueError(
            f"learning_rate: {learning_rate}, a number from 0 to max_learning_rate = {max_learning_rate} "
            "is needed; give the largest rate of the whole training as the maximum"
        )
    if drift is None or learning_rate == 0 or learning_rate < MIN_RATE_SHARE * max_learning_rate:
        return None
    return drift / (learning_rate / max_learning_rate)


def log_loss_change(before: float, after: float, floor: float = 0.0) -> float | None:
    """Return |log(after) - log(before)| of the training loss, ≥ 0; below the floor, the floor is taken.

    So what goes on below it counts as no movement; gradient, drift and subspace still show it. 0 where both
    losses are 0: nothing changed. None where one is and there is no floor: the change has no size.

    Args:
        before: the loss before the epoch.
        after: the loss after it.
        floor: below this the loss is rounding: `CROSS_ENTROPY_FLOOR` for a cross-entropy in float32. A
            squared error is rounded relative to itself down to some 1e-10 of the mean squared target and
            needs none, 0.

    Raises:
        ValueError: if a number is negative, NaN or infinite.
    """
    require_not_negative("loss before", before)
    require_not_negative("loss after", after)
    require_not_negative("floor", floor)
    before, after = max(before, floor), max(after, floor)
    if before == after:
        return 0.0
    return abs(math.log(after) - math.log(before)) if min(before, after) > 0 else None


def _as_pair(
    before: Any, after: Any
) -> tuple[Float64[Tensor, "outputs inputs"], Float64[Tensor, "outputs inputs"]]:
    """Return two weight matrices as finite float64 tensors on the CPU, after a check of them."""
    pair = []
    for name, weight in (("before", before), ("after", after)):
        values = weight.detach() if isinstance(weight, Tensor) else torch.from_numpy(np.array(weight))
        require_finite(name, values)
        pair.append(values.to(device="cpu", dtype=torch.float64))
    start, end = pair
    if start.ndim != 2 or start.shape != end.shape or not start.numel():
        raise ValueError(
            f"before and after: of shapes {tuple(start.shape)} and {tuple(end.shape)}, "
            "the same matrix with entries is needed at two epochs"
        )
    return start, end
