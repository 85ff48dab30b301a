"""Has a network stably converged: what the theorem behind the factors assumes. Without torch.

The Layer Matrix Decomposition (arXiv 2309.05968) is derived for a stably converged network: the weights
have stopped moving, not merely slowed down. The paper gives no test; this one is ours
(docs/definitions.md, "Stable convergence"). Four quantities per epoch and layer, of
`spaceprobe.lmd.convergence`, are compared with `THRESHOLD`:

- the full-batch gradient norm over its value at initialisation (`gradient_ratio`),
- ‖ΔW‖_F / ‖W‖_F over the epoch, divided by lr / lr_max (`normalised_drift`): the raw drift alone is
  fooled by a decayed learning rate, which stops any network,
- the sine of the largest angle between successive leading right singular subspaces (`largest_angle_sine`),
- |Δ log loss| over the epoch, above the rounding of the loss (`log_loss_change`).

A layer is converged when all four stay at or below the threshold for `EPOCHS_IN_A_ROW` epochs. Few
networks in use are: ten epochs on MNIST are not enough. So this calls for a warning, not for a refusal;
the factors themselves are exact for any matrix.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

THRESHOLD = 0.05
"""Chosen: a change of 5 % an epoch, relative to where the quantity started."""

EPOCHS_IN_A_ROW = 3
"""Chosen: one quiet epoch may be chance; the third in a row seldom is."""

QUANTITIES = ("gradient_ratio", "drift", "subspace_sine", "log_loss_change")


@dataclass(frozen=True)
class EpochChange:
    """What an epoch changed in one layer; None where there is no such number, as mostly at epoch 0.

    Attributes:
        layer: index of the weight matrix, from 0.
        epoch: passes over the training data so far.
        gradient_ratio: as `gradient_ratio` returns it, of the layer or of the whole network.
        drift: as `normalised_drift` returns it.
        subspace_sine: as `subspaces.largest_angle_sine` returns it.
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
                require_not_negative(f"{name} (layer {self.layer}, epoch {self.epoch})", value)
        if self.layer < 0 or self.epoch < 0:
            raise ValueError(f"layer {self.layer}, epoch {self.epoch}: both count from 0")


@dataclass(frozen=True)
class Verdict:
    """Whether a layer has converged at an epoch.

    Attributes:
        stable: all four quantities are there and at most `THRESHOLD`.
        converged: stable for `EPOCHS_IN_A_ROW` epochs, this one and those before it.
        reason: which quantities are missing or above the threshold; empty where stable.
    """

    stable: bool
    converged: bool
    reason: str


def verdicts(changes: Iterable[EpochChange]) -> dict[tuple[int, int], Verdict]:
    """Return the verdict by layer and epoch, in that order.

    A missing epoch breaks the row of stable ones. Epoch 0, with nothing to compare to, is never stable.

    Raises:
        ValueError: if an epoch of a layer comes twice.
    """
    judged: dict[tuple[int, int], Verdict] = {}
    num_stable: dict[tuple[int, int], int] = {}
    for change in sorted(changes, key=lambda change: (change.layer, change.epoch)):
        layer, epoch = change.layer, change.epoch
        if (layer, epoch) in judged:
            raise ValueError(f"changes: epoch {epoch} of layer {layer} comes twice, once is needed")
        reason = _unstable_because(change)
        num_stable[layer, epoch] = 0 if reason else num_stable.get((layer, epoch - 1), 0) + 1
        judged[layer, epoch] = Verdict(not reason, num_stable[layer, epoch] >= EPOCHS_IN_A_ROW, reason)
    return judged


def _unstable_because(change: EpochChange) -> str:
    """Return which quantities are missing or above the threshold; empty if none is."""
    values = {name: getattr(change, name) for name in QUANTITIES}
    missing = [name for name, value in values.items() if value is None]
    above = [name for name, value in values.items() if value is not None and value > THRESHOLD]
    parts = [f"no {', '.join(missing)}"] if missing else []
    return "; ".join(parts + ([f"{', '.join(above)} above {THRESHOLD}"] if above else []))


def require_not_negative(name: str, value: float) -> None:
    """Raise a ValueError that names the value if it is negative, NaN or infinite."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}: {value}, a finite number >= 0 is needed, or None where there is none")
