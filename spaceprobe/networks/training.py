"""Training of small networks with all data in memory: a short loop, everything else in a callback."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

EVALUATION_BATCH = 2_000  # chosen: activations stay in the cache; fixed, so that sums keep their last bits


class DivergenceError(RuntimeError):
    """The loss or a weight is no longer finite."""


@dataclass(frozen=True)
class EpochMetrics:
    """The network after an epoch (0: before training), on all training and test images.

    Attributes:
        epoch: number of passes over the training images so far.
        train_loss: mean cross-entropy in nats.
        train_accuracy: share of images classified rightly, in [0, 1].
        test_loss: as ``train_loss``.
        test_accuracy: as ``train_accuracy``.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float


def train(
    network: nn.Module,
    train_images: Float32[Tensor, "images pixels"],
    train_labels: Int64[Tensor, "images"],
    test_images: Float32[Tensor, "test_images pixels"],
    test_labels: Int64[Tensor, "test_images"],
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    generator: torch.Generator,
    on_epoch: Callable[[EpochMetrics], None],
) -> None:
    """Trains a network in place with Adam on the cross-entropy.

    The same network, data, settings and generator state give the same bits on the same machine with the
    same number of torch threads.

    Args:
        network: from pixels to one logit a class.
        train_images: in memory, as one tensor.
        train_labels: classes.
        test_images: evaluated after each epoch, never trained on.
        test_labels: classes.
        epochs: passes over the training images.
        learning_rate: of Adam.
        batch_size: images a step; the last batch of an epoch may be smaller.
        generator: draws the order of the images in each epoch.
        on_epoch: called before training and after each epoch.

    Raises:
        DivergenceError: the loss after an epoch is not finite.
    """

    def measure(epoch: int) -> None:
        metrics = EpochMetrics(
            epoch,
            *evaluate(network, train_images, train_labels),
            *evaluate(network, test_images, test_labels),
        )
        if not all(torch.isfinite(torch.tensor([metrics.train_loss, metrics.test_loss]))):
            raise DivergenceError(f"the loss is not finite after epoch {epoch}; try a smaller learning rate")
        on_epoch(metrics)

    # One fused step costs a fifth of the plain loop over parameters, with the same arithmetic.
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    batch = train_images.new_empty(min(batch_size, len(train_images)), train_images.shape[1])
    measure(0)
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(train_images), generator=generator)
        labels = train_labels[order]
        for indices, batch_labels in zip(order.split(batch_size), labels.split(batch_size), strict=True):
            images = batch[: len(indices)]
            torch.index_select(train_images, 0, indices, out=images)  # no new memory: 3x an indexing
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(network(images), batch_labels).backward()
            optimizer.step()
        measure(epoch)


@torch.no_grad()
def evaluate(
    network: nn.Module, images: Float32[Tensor, "images pixels"], labels: Int64[Tensor, "images"]
) -> tuple[float, float]:
    """Returns the mean cross-entropy (nats) and the accuracy in [0, 1]."""
    loss, num_right = 0.0, 0
    for some_images, some_labels in zip(
        images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True
    ):
        logits = network(some_images)
        loss += float(cross_entropy(logits, some_labels, reduction="sum"))
        num_right += int((logits.argmax(1) == some_labels).sum())
    return loss / len(images), num_right / len(images)
