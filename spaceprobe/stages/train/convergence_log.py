"""Log what each epoch of a training changed, from which stable convergence is judged."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from spaceprobe.lmd import convergence
from spaceprobe.lmd.margins import classification_errors, margins, regression_errors
from spaceprobe.lmd.subspaces import largest_angle_sine, leading_directions
from spaceprobe.lmd.verdicts import QUANTITIES, EpochChange, verdicts
from spaceprobe.networks.objective import is_classification
from spaceprobe.networks.training import Epoch


class ConvergenceLog:
    """Compares each epoch with the one before; keeps one row an epoch and layer."""

    def __init__(
        self, weights: Callable[[], Sequence[Tensor]], targets: Tensor, max_learning_rate: float
    ) -> None:
        """Take what gives the weight matrices as they are, the training targets, and the largest rate."""
        self._current_weights = weights
        self._targets = targets
        self._max_learning_rate = max_learning_rate
        self._weights: list[Tensor] = []
        self._directions: list[Tensor] = []
        self._epochs: list[Epoch] = []
        self._rows: list[dict[str, Any]] = []

    def add(self, epoch: Epoch) -> None:
        """Log an epoch, with the weights as they are now; the first one is that before training."""
        weights = [weight.clone() for weight in self._current_weights()]
        directions = [leading_directions(weight) for weight in weights]
        network = self._network_row(epoch)
        for layer, weight in enumerate(weights):
            row: dict[str, Any] = {"epoch": epoch.metrics.epoch, "layer": layer, **network}
            if self._epochs:
                before = self._weights[layer]
                rates = epoch.metrics.learning_rate, self._max_learning_rate
                row["raw_drift"] = convergence.relative_drift(before, weight)
                row["drift"] = convergence.normalised_drift(before, weight, *rates)
                row["subspace_sine"] = largest_angle_sine(self._directions[layer], directions[layer])
            self._rows.append(row)
        self._weights, self._directions = weights, directions
        self._epochs = [*self._epochs[:1], epoch]  # the first gradient and the last loss are compared to

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows so far as JSON values, each with its verdict and the reason."""
        changes = [
            EpochChange(row["layer"], row["epoch"], *(row.get(name) for name in QUANTITIES))
            for row in self._rows
        ]
        judged = verdicts(changes)
        return [row | asdict(judged[row["layer"], row["epoch"]]) for row in self._rows]

    def _network_row(self, epoch: Epoch) -> dict[str, Any]:
        """Return what is the same for all layers: gradient, loss, learning rate, encoding margin."""
        if is_classification(self._targets):
            errors = classification_errors(epoch.training.outputs, self._targets)
        else:
            errors = regression_errors(epoch.training.outputs, self._targets)
        row: dict[str, Any] = {f"margin_{name}": value for name, value in margins(errors).items()}
        row["learning_rate"] = epoch.metrics.learning_rate
        first = self._epochs[0] if self._epochs else epoch
        norms = epoch.training.gradient_norm, first.training.gradient_norm
        row["gradient_ratio"] = convergence.gradient_ratio(*norms)
        if self._epochs:
            before = self._epochs[-1].metrics.train_loss
            floor = convergence.CROSS_ENTROPY_FLOOR if is_classification(self._targets) else 0.0
            row["log_loss_change"] = convergence.log_loss_change(before, epoch.metrics.train_loss, floor)
        return row
