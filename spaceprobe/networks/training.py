"""Training of small networks with all data in memory: a short loop, everything else in a callback."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR

from spaceprobe.networks.differentiation import Targets, differentiator
from spaceprobe.networks.objective import FullBatch, Inputs, evaluate, full_batch
from spaceprobe.networks.optimizers import SGD, Adam, FusedOptimizer
from spaceprobe.networks.soft_folding import check_layers, folding_gradients


class DivergenceError(RuntimeError):
    """The loss, its gradient or a weight is no longer finite."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training points.
        learning_rate: in the first epoch.
        batch_size: points a step; the last batch of an epoch may be smaller.
        optimizer: ``adam``, ``adamw`` or ``sgd``, torch's.
        momentum: of SGD, in [0, 1).
        weight_decay: of torch's optimizers: added to the gradient, or decoupled for AdamW.
        schedule: of the learning rate, stepped after each epoch: ``constant``; ``cosine`` and
            ``linear`` fall towards 0 over the epochs; ``step`` is multiplied by ``decay`` after each
            of ``milestones``.
        milestones: epochs, for ``step``.
        decay: factor, for ``step``.
        fold_reward: how much of the `soft_folding` of each batch is taken off the loss that is descended:
            above 0 folding is rewarded, below it is penalised.
        fold_reward_epochs: the last epoch in which it is; None for all.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    fold_reward: float = 0.0
    fold_reward_epochs: int | None = None

    def fold_reward_at(self, epoch: int) -> float:
        """Return the `fold_reward` of an epoch."""
        is_over = self.fold_reward_epochs is not None and epoch > self.fold_reward_epochs
        return 0.0 if is_over else self.fold_reward

    @property
    def penalty(self) -> float:
        """The λ of the penalty λ/2 · ‖parameters‖² that the optimizer descends with the loss.

        0 for AdamW: its decay is decoupled and belongs to no objective.
        """
        return 0.0 if self.optimizer == "adamw" else self.weight_decay


@dataclass(frozen=True)
class EpochMetrics:
    """The network after an epoch (0: before training), on all training and test points.

    Attributes:
        epoch: number of passes over the training points so far.
        learning_rate: in this epoch; before training, in the first.
        train_loss: mean cross-entropy in nats, or mean squared error.
        train_accuracy: share of points classified rightly, in [0, 1]; None for a regression.
        test_loss: as ``train_loss``.
        test_accuracy: as ``train_accuracy``.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float | None
    test_loss: float
    test_accuracy: float | None


@dataclass(frozen=True)
class Epoch:
    """What a callback is given after an epoch.

    Attributes:
        metrics: losses and accuracies.
        training: the network on all training points: outputs, and the gradient of the loss.
    """

    metrics: EpochMetrics
    training: FullBatch


def train(
    network: nn.Module,
    train_inputs: Inputs,
    train_targets: Targets,
    test_inputs: Float32[Tensor, "test_points features"],
    test_targets: Int64[Tensor, "test_points"] | Float32[Tensor, "test_points values"],
    *,
    recipe: Recipe,
    generator: torch.Generator,
    on_epoch: Callable[[Epoch], None],
    augment: Callable[[Inputs, int], Inputs] | None = None,
    adapt: Callable[[int], bool] | None = None,
) -> None:
    """Train a network in place: cross-entropy for classes, squared error for values.

    It is measured in evaluation mode (BatchNorm with its running statistics) and left in it.

    The same network, data, recipe and generator state give the same bits on the same machine with the
    same number of torch threads; another device gives other last bits.

    Args:
        network: from inputs to one logit a class, or to the values; on the device of the data.
        train_inputs: in memory, as one tensor.
        train_targets: classes, or values.
        test_inputs: evaluated after each epoch, never trained on.
        test_targets: as ``train_targets``.
        recipe: how it is trained.
        generator: draws the order of the points in each epoch, on the CPU.
        on_epoch: called before training and after each epoch.
        augment: returns the training inputs as an epoch sees them, given them and its number; the network is
            measured on them as they are. None to train on them as they are.
        adapt: may change the network's parameters in place behind the steps of an epoch, given its number,
            before the network is measured; returns whether it did, and the optimizer then begins anew.

    Raises:
        DivergenceError: after an epoch the loss, its gradient or a weight is not finite.
        ValueError: the recipe names an unknown optimizer or schedule, or rewards folding in a network that
            `soft_folding` is not for.
    """
    optimizer = _optimizer(network, recipe)
    schedule = _schedule(optimizer, recipe)
    differentiate = differentiator(network)
    rewarded = check_layers(network) if recipe.fold_reward else None

    def measure(epoch: int, learning_rate: float) -> None:
        network.eval()
        training = full_batch(network, train_inputs, train_targets, recipe.penalty)
        test_loss, test_accuracy = evaluate(network, test_inputs, test_targets)
        values = [torch.tensor([training.loss, training.gradient_norm, test_loss]), *network.parameters()]
        if not all(bool(value.isfinite().all()) for value in values):
            raise DivergenceError(
                f"the loss, its gradient or a weight is not finite after epoch {epoch}; "
                "try a smaller learning rate"
            )
        trained = (training.loss, training.accuracy)
        on_epoch(Epoch(EpochMetrics(epoch, learning_rate, *trained, test_loss, test_accuracy), training))

    batch = train_inputs.new_empty(min(recipe.batch_size, len(train_inputs)), train_inputs.shape[1])
    measure(0, recipe.learning_rate)
    for epoch in range(1, recipe.epochs + 1):
        learning_rate = optimizer.learning_rate
        order = torch.randperm(len(train_inputs), generator=generator).to(train_inputs.device)
        targets = train_targets[order]
        seen = train_inputs if augment is None else augment(train_inputs, epoch)
        network.train()
        for indices, some_targets in zip(
            order.split(recipe.batch_size), targets.split(recipe.batch_size), strict=True
        ):
            inputs = batch[: len(indices)]
            torch.index_select(seen, 0, indices, out=inputs)  # no new memory: 3x an indexing
            gradients = differentiate(inputs, some_targets, "mean").gradients
            strength = recipe.fold_reward_at(epoch)
            if rewarded is not None and strength:
                gradients = _with_reward(gradients, folding_gradients(rewarded, inputs), strength)
            optimizer.step(gradients)
        if schedule is not None:
            schedule.step()
        if adapt is not None and adapt(epoch):
            optimizer.forget()
        measure(epoch, learning_rate)


def _with_reward(
    gradients: Sequence[Tensor | None], pulls: Sequence[Tensor | None], strength: float
) -> Sequence[Tensor | None]:
    """Return the gradients of a loss minus a multiple of what has the gradients ``pulls``."""
    return [
        gradient if pull is None else (0 if gradient is None else gradient) - strength * pull
        for gradient, pull in zip(gradients, pulls, strict=True)
    ]


def _optimizer(network: nn.Module, recipe: Recipe) -> FusedOptimizer:
    parameters, rate, decay = network.parameters(), recipe.learning_rate, recipe.weight_decay
    match recipe.optimizer:
        case "adam" | "adamw":
            return Adam(parameters, rate, decay, decoupled=recipe.optimizer == "adamw")
        case "sgd":
            return SGD(parameters, rate, decay, momentum=recipe.momentum)
    raise ValueError(f"optimizer {recipe.optimizer!r} is unknown, known are adam, adamw and sgd")


def _schedule(optimizer: FusedOptimizer, recipe: Recipe) -> LRScheduler | None:
    match recipe.schedule:
        case "constant":
            return None
        case "cosine":
            return CosineAnnealingLR(optimizer, T_max=recipe.epochs)
        case "linear":
            return LambdaLR(optimizer, lambda epoch: 1 - epoch / recipe.epochs)
        case "step":
            return MultiStepLR(optimizer, milestones=list(recipe.milestones), gamma=recipe.decay)
    raise ValueError(f"schedule {recipe.schedule!r} is unknown, known are constant, cosine, linear and step")
