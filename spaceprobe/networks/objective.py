"""What a network is trained for: classes by cross-entropy, or numbers by squared error.

The targets tell which of the two: integers are classes, floating-point rows are values.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from spaceprobe.networks.differentiation import Targets, differentiator, loss
from spaceprobe.networks.layers import is_sequence

EVALUATION_BATCH = 2_000  # chosen: activations stay in the cache; fixed, so that sums keep their last bits
FEATURE_MAP_BATCH = 125  # chosen: the same for convolutions and tokens, whose activations are far larger

Inputs = Float32[Tensor, "points features"]


def is_classification(targets: Targets) -> bool:
    """Return whether targets are classes."""
    return not targets.dtype.is_floating_point


@dataclass(frozen=True)
class FullBatch:
    """A network on all points of a set.

    Attributes:
        loss: mean over the points.
        accuracy: share of points classified rightly, in [0, 1]; None for a regression, which has none.
        gradient_norm: Euclidean norm, over all parameters, of the gradient of the mean loss, and of the
            penalty on the weights where there is one.
        outputs: the network's, one row a point; on the CPU.
    """

    loss: float
    accuracy: float | None
    gradient_norm: float
    outputs: Float32[Tensor, "points outputs"]


@torch.no_grad()
def evaluate(network: nn.Module, inputs: Inputs, targets: Targets) -> tuple[float, float | None]:
    """Return the mean loss, and the accuracy in [0, 1]; None for a regression, which has none."""
    total_loss, num_right = 0.0, 0
    for some_inputs, some_targets in _batches(network, inputs, targets):
        outputs = network(some_inputs)
        total_loss += loss(outputs, some_targets, "sum").item()
        num_right += _num_right(outputs, some_targets)
    return total_loss / len(inputs), num_right / len(inputs) if is_classification(targets) else None


def full_batch(network: nn.Module, inputs: Inputs, targets: Targets, weight_decay: float = 0.0) -> FullBatch:
    """Return what `evaluate` does, bit for bit, with the gradient and the outputs: 1.7 times its time.

    The parameters' own gradients (`Parameter.grad`) are left alone.

    Args:
        network: as for `evaluate`.
        inputs: as for `evaluate`.
        targets: as for `evaluate`.
        weight_decay: λ of λ/2 · ‖parameters‖², which the gradient is of as well; the loss is without it.
    """
    parameters = list(network.parameters())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    total_loss, num_right, outputs = 0.0, 0, []
    differentiate = differentiator(network)
    for some_inputs, some_targets in _batches(network, inputs, targets):
        batch = differentiate(some_inputs, some_targets, "sum")
        for summed, gradient in zip(total, batch.gradients, strict=True):
            if gradient is not None:
                summed += gradient
        total_loss += batch.loss.item()
        num_right += _num_right(batch.outputs, some_targets)
        outputs.append(batch.outputs)
    pulls = [
        summed.double() / len(inputs) + weight_decay * parameter.detach().double()
        for summed, parameter in zip(total, parameters, strict=True)
    ]
    return FullBatch(
        total_loss / len(inputs),
        num_right / len(inputs) if is_classification(targets) else None,
        float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(pull) for pull in pulls]))),
        torch.cat(outputs).cpu(),
    )


def _num_right(outputs: Tensor, targets: Targets) -> int:
    return int((outputs.argmax(1) == targets).sum()) if is_classification(targets) else 0


def _batches(network: nn.Module, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    size = EVALUATION_BATCH if is_sequence(network) else FEATURE_MAP_BATCH
    return zip(inputs.split(size), targets.split(size), strict=True)
