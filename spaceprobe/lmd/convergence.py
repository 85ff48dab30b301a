"""Has a network stably converged, and how closely does it fit: what the theorem behind the factors assumes.

The Layer Matrix Decomposition (arXiv 2309.05968) is derived for a stably converged network: the weights
have stopped moving, not merely slowed down. The paper gives no test; this one is ours (design.md,
section 4). Four quantities per epoch and layer are held against `THRESHOLD`:

- the full-batch gradient norm over its value at initialisation (`gradient_ratio`),
- ‖ΔW‖_F / ‖W‖_F over the epoch, divided by lr / lr_max (`normalised_drift`): the raw drift alone is
  fooled by a decayed learning rate, which stops any network,
- the sine of the largest angle between successive leading right singular subspaces (`subspace_sine`),
- |Δ log loss| over the epoch, above the rounding of the loss (`log_loss_change`).

A layer is converged when all four stay at or below the threshold for `EPOCHS_IN_A_ROW` epochs. Few
networks in use are: ten epochs on MNIST are not enough. So this calls for a warning, not for a refusal;
the factors themselves are exact for any matrix.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from spaceprobe.lmd.factors import frobenius_norm
from spaceprobe.lmd.spectrum import FLOAT32_EPSILON
from spaceprobe.lmd.subspaces import NUM_DIRECTIONS, largest_angle_sine, leading_directions

THRESHOLD = 0.05
"""Chosen: a change of 5 % an epoch, relative to where the quantity started."""

EPOCHS_IN_A_ROW = 3
"""Chosen: one quiet epoch may be chance; the third in a row seldom is."""

CROSS_ENTROPY_FLOOR = FLOAT32_EPSILON / THRESHOLD
"""Chosen: the mean cross-entropy (2.4e-6 nats) of which float32 rounding is as much as the threshold.

A point's loss is the logarithm of a sum from 1 on, so it comes in steps of ε = 1.2e-7 and what is below half
a step counts as 0: a mean of 1.2e-8 was read as 5e-9, and a change of 0.7 % as one of 6.6 %. The mean is
wrong by some 0.2 ε, mostly too low; ε leaves room for points that all round the same way."""

MIN_RATE_SHARE = FLOAT32_EPSILON / THRESHOLD
"""Below this lr / lr_max (2.4e-6) a drift at the threshold is less than the rounding of a float32 weight."""

QUANTITIES = ("gradient_ratio", "drift", "subspace_sine", "log_loss_change")
CONVERGENCE_COLUMNS = ("layer", "epoch", *QUANTITIES, "stable", "converged", "reason")


@dataclass(frozen=True)
class EpochChange:
    """What an epoch changed in one layer; None for what cannot be had, as all but the first at epoch 0.

    Attributes:
        layer: index of the weight matrix, from 0.
        epoch: passes over the training data so far.
        gradient_ratio: as `gradient_ratio` returns it, of the layer or of the whole network.
        drift: as `normalised_drift` returns it.
        subspace_sine: as `subspace_sine` returns it.
        log_loss_change: as `log_loss_change` returns it, the same for all layers.
    """

    layer: int
    epoch: int
    gradient_ratio: float | None
    drift: float | None
    subspace_sine: float | None
    log_loss_change: float | None

    def __post_init__(self) -> None:
        for name in QUANTITIES:
            value = getattr(self, name)
            if value is not None:
                _require_not_negative(f"{name} (layer {self.layer}, epoch {self.epoch})", value)
        if self.layer < 0 or self.epoch < 0:
            raise ValueError(f"layer {self.layer}, epoch {self.epoch}: both count from 0")


def gradient_ratio(norm: float, initial_norm: float) -> float | None:
    """Return the full-batch gradient norm over its value at initialisation, ≥ 0.

    None where the initial gradient is 0: a network that starts at a stationary point, such as one whose
    units are all dead, has no scale to measure its gradient by.

    Raises:
        ValueError: if a norm is negative, NaN or infinite.
    """
    _require_not_negative("norm", norm)
    _require_not_negative("initial_norm", initial_norm)
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


def subspace_sine(before: Any, after: Any, num_directions: int = NUM_DIRECTIONS) -> float:
    """Return the sine of the largest angle between leading right singular subspaces, in [0, 1].

    0 where the subspace is the whole input space. If singular values tie at the cut (zeros in a matrix of
    smaller rank do), which directions are the leading ones is arbitrary, and so is the angle; if they are
    close there, a small step of the weights turns the subspace far.

    Both matrices are decomposed. Who compares epoch after epoch keeps `leading_directions` of the last one
    and gives both bases to `largest_angle_sine`, which is the same number at half of the cost.

    Args:
        before: a weight matrix, a tensor or an array of shape (outputs, inputs).
        after: the same one an epoch later.
        num_directions: dimension of the subspaces, ≥ 1; at most min(outputs, inputs) are used.

    Raises:
        ValueError: if the shapes differ, an entry is NaN or infinite, or num_directions < 1.
    """
    start, end = _as_pair(before, after)
    first = leading_directions(start, num_directions)
    return largest_angle_sine(first, leading_directions(end, num_directions))


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
    _require_not_negative("loss before", before)
    _require_not_negative("loss after", after)
    _require_not_negative("floor", floor)
    before, after = max(before, floor), max(after, floor)
    if before == after:
        return 0.0
    return abs(math.log(after) - math.log(before)) if min(before, after) > 0 else None


def verdicts(changes: Iterable[EpochChange]) -> pd.DataFrame:
    """Return one row per layer and epoch in that order, columns `CONVERGENCE_COLUMNS`.

    ``stable``: all four quantities are there and at most `THRESHOLD`. ``converged``: stable for
    `EPOCHS_IN_A_ROW` epochs, this one and those before it; a missing epoch breaks the row. So epoch 0,
    with nothing to compare to, is never stable. A quantity that is None is empty (NaN), and the layer not
    stable. ``reason`` names what is missing or above the threshold; empty where stable.

    Raises:
        ValueError: if an epoch of a layer comes twice.
    """
    rows: list[dict[str, Any]] = []
    calm: dict[tuple[int, int], int] = {}
    for change in sorted(changes, key=lambda change: (change.layer, change.epoch)):
        layer, epoch = change.layer, change.epoch
        if (layer, epoch) in calm:
            raise ValueError(f"changes: epoch {epoch} of layer {layer} comes twice, once is needed")
        reason = _unstable_because(change)
        calm[layer, epoch] = 0 if reason else calm.get((layer, epoch - 1), 0) + 1
        converged = calm[layer, epoch] >= EPOCHS_IN_A_ROW
        rows.append({**asdict(change), "stable": not reason, "converged": converged, "reason": reason})
    types = {"layer": "int64", "epoch": "int64", **dict.fromkeys(QUANTITIES, "float64")}
    types |= {"stable": "bool", "converged": "bool"}
    return pd.DataFrame(rows, columns=[*CONVERGENCE_COLUMNS]).astype(types)


def _unstable_because(change: EpochChange) -> str:
    """Return which quantities are missing or above the threshold; empty if none is."""
    values = {name: getattr(change, name) for name in QUANTITIES}
    missing = [name for name, value in values.items() if value is None]
    above = [name for name, value in values.items() if value is not None and value > THRESHOLD]
    parts = [f"no {', '.join(missing)}"] if missing else []
    return "; ".join(parts + ([f"{', '.join(above)} above {THRESHOLD}"] if above else []))


def _as_pair(
    before: Any, after: Any
) -> tuple[Float64[Tensor, "outputs inputs"], Float64[Tensor, "outputs inputs"]]:
    """Return two weight matrices as finite float64 tensors on the CPU, or says what is wrong with them."""
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


def require_finite(name: str, values: Tensor) -> None:
    """Raise a ValueError that names the values and how many of them are NaN or infinite."""
    num_bad = int((~values.isfinite()).sum())
    if num_bad:
        raise ValueError(f"{name}: {num_bad} of {values.numel()} numbers are NaN or infinite; it diverged")


def _require_not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}: {value}, a finite number >= 0 is needed, or None for one not to be had")
